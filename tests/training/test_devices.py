"""Training on a chosen device: the CPU everywhere, a GPU where there is one."""

import pytest
import torch

from pslgs.simulation.api import simulate
from pslgs.simulation.setup import SimulationOptions
from pslgs.spec import ExitCode, InputError
from pslgs.training.device import choose_device, missing_gpus, server_devices
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import build_setup
from server.fakes import INPUTS, tiny_spec
from simulation.jobs import job

GPU = torch.device("cuda")


@pytest.mark.parametrize(
    "name", ["gpu", "cuda:x", "cuda:-1", "", "meta", "xpu:0"], ids=lambda name: name or "empty"
)
def test_a_device_of_another_name_is_refused(name):
    with pytest.raises(InputError, match=r"^--device: is '.*', must be auto, cpu, cuda or cuda:N$"):
        choose_device(name)


def test_the_cpu_can_always_be_chosen():
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this needs a machine without a GPU")
def test_a_machine_without_a_gpu_computes_on_its_cpu():
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"--device: is 'cuda:1', but .*; use auto or cpu"):
        choose_device("cuda:1")


@pytest.mark.parametrize(
    ("name", "built", "why"),
    [
        pytest.param("auto", "13.2", "torch finds no CUDA device", id="no device"),
        pytest.param("auto", None, "this build of torch is without CUDA", id="CPU build"),
        pytest.param("cpu", "13.2", "--device is cpu", id="asked for"),
    ],
)
def test_what_keeps_a_job_off_its_gpu_is_said(name, built, why, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", built)
    lack = missing_gpus([torch.device("cpu")], name, 1)
    assert lack == f"spec.server.gpus is 1, but {why}; training on the CPU"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("cuda", 1)], ids=["asks for none", "has one"])
def test_a_job_that_has_what_it_asks_for_hears_nothing(device, gpus):
    assert missing_gpus([torch.device(device)], "auto", gpus) is None


@pytest.mark.parametrize(
    ("name", "gpus", "found"),
    [
        ("auto", 0, ["cuda"]),
        ("auto", 1, ["cuda"]),
        ("auto", 2, ["cuda:0", "cuda:1"]),
        ("cuda", 4, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:1", 2, ["cuda:1"]),
        ("cpu", 2, ["cpu"]),
    ],
    ids=str,
)
def test_a_server_uses_the_first_of_three_gpus(name, gpus, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert server_devices(name, gpus) == tuple(map(torch.device, found))


@pytest.mark.parametrize(
    ("name", "devices", "gpus", "lack"),
    [
        ("auto", ["cuda:0", "cuda:1", "cuda:2"], 4, "torch finds 3; training on 3"),
        ("cuda:1", ["cuda:1"], 2, "--device is cuda:1; training on 1"),
        ("auto", ["cuda:0", "cuda:1", "cuda:2"], 3, None),
    ],
    ids=["too few", "one is named", "enough"],
)
def test_what_keeps_a_job_off_some_of_its_gpus_is_said(name, devices, gpus, lack, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    said = lack and f"spec.server.gpus is {gpus}, but {lack}"
    assert missing_gpus(list(map(torch.device, devices)), name, gpus) == said


@pytest.mark.cuda
def test_a_machine_with_a_gpu_computes_on_it():
    assert choose_device("auto").type == "cuda"
    last = torch.cuda.device_count() - 1
    assert choose_device(f"cuda:{last}").index == last
    with pytest.raises(InputError, match=rf"--device: is 'cuda:99', but the last GPU .* cuda:{last}"):
        choose_device("cuda:99")


@pytest.mark.cuda
def test_a_server_model_on_a_gpu_takes_the_same_step_in_host_memory():
    steps = {}
    for device in (torch.device("cpu"), GPU):
        torch.manual_seed(0)
        task, network = build_setup(tiny_spec(), (INPUTS,))
        model = LocalServerModel(task, network, device)
        before = model.parameters()
        assert {parameter.device.type for parameter in network.server_part.parameters()} == {device.type}
        smashed, labels = torch.linspace(-1, 1, 16).view(8, 2), torch.arange(8).view(8, 1) % 3
        result = model.run(smashed, labels, step=1)
        model.apply([torch.ones_like(before)], epoch=1)
        steps[device.type] = result.cut_gradient, model.parameters(), torch.tensor(result.loss)
    for on_cpu, on_gpu in zip(steps["cpu"], steps["cuda"], strict=True):
        assert on_gpu.device.type == "cpu"
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-5)


def simulated(device: str, strategy: str, compression: str):
    options = SimulationOptions(device=device, recalibration_batches=2)
    return simulate(job(epochs=2, transport={"compression": compression}), strategy=strategy, options=options)


@pytest.mark.cuda
@pytest.mark.parametrize("compression", ["None", "Int8", "BFloat16"])
@pytest.mark.parametrize("strategy", ["Global", "FixedLocal", "Centralized", "FederatedAveraging"])
def test_a_simulation_on_a_gpu_repeats_itself_to_the_bit_and_comes_close_to_the_cpu(strategy, compression):
    once, again = (simulated("cuda", strategy, compression) for _ in range(2))
    on_cpu = simulated("cpu", strategy, compression)
    assert once.exit_code == ExitCode.FINISHED
    assert once.steps.loss.tolist() == again.steps.loss.tolist()
    for name, tensor in once.model.items():
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, again.model[name])
    assert once.steps.batch_size.tolist() == on_cpu.steps.batch_size.tolist()
    assert once.steps.loss[0] == pytest.approx(on_cpu.steps.loss[0], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_simulation_takes_the_device_by_its_name(device):
    if device == "auto" and torch.cuda.is_available():
        pytest.skip("this compares with a machine without a GPU")
    named = simulate(job(epochs=1), options=SimulationOptions(device=device))
    unnamed = simulate(job(epochs=1))
    assert all(torch.equal(tensor, unnamed.model[name]) for name, tensor in named.model.items())


def test_a_simulation_on_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="--device: is 'cuda:99'"):
        simulate(job(epochs=1), options=SimulationOptions(device="cuda:99"))
