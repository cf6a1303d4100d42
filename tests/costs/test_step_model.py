"""Bytes and seconds of a step: the formulas, and the encoding that the wire uses."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pslgs.costs.time_model import ClientTimeModel, Conditions, Link, step_time
from pslgs.costs.traffic import StepTraffic, step_traffic
from pslgs.spec.deployment import Compression
from pslgs.spec.loss import Loss
from pslgs.spec.model import ModelSpec
from pslgs.spec.profiles import ClientProfile
from pslgs.splitting.layout import SmashedLayout
from pslgs.splitting.network import build_network
from pslgs.training.client_step import ClientStep
from pslgs.training.objective import objective
from pslgs.training.profile import NetworkProfile, profile_network
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import overlapped
from pslgs.transport.codec import codec_for

MLP = ModelSpec(
    architecture="mlp", options={"inputs": 6, "hidden": [8, 5], "outputs": 3}, cut_layer="hidden1"
)
CROSS_ENTROPY = objective(Loss.CROSS_ENTROPY, (3,), torch.float32)


@pytest.fixture(scope="module")
def profile() -> NetworkProfile:
    return profile_network(build_network(MLP, 0), (6,))


def traffic_of_cut(profile: NetworkProfile, compression: Compression) -> StepTraffic:
    return step_traffic(
        profile.smashed,
        CROSS_ENTROPY,
        compression,
        parameters=profile.client_parameters,
        gradients=profile.client_gradients,
    )


def test_a_network_is_profiled(profile) -> None:
    assert profile.smashed == SmashedLayout(((8,),), torch.float32)
    assert (profile.client_parameters, profile.client_gradients) == (6 * 8 + 8, 6 * 8 + 8)
    assert profile.server_parameters == 8 * 5 + 5 + 5 * 3 + 3
    assert (profile.client_flops, profile.server_flops) == (2 * 6 * 8, 2 * (8 * 5 + 5 * 3))
    assert (profile.input_elements, profile.output_shape) == (6, (3,))
    assert profile.server_gradients == profile.server_parameters
    assert profile.server_activation_bytes == 4 * (8 + 5)  # the smashed data, the ReLU's output
    assert profile.activation_bytes == 4 * (6 + 8)  # the input for the weights' gradient, the ReLU's output


def test_convolutions_and_normalisation_are_profiled() -> None:
    cut = ModelSpec(architecture="cnn", options={"width": 4}, cut_layer="conv1")
    found = profile_network(build_network(cut, 0), (3, 8, 8))
    assert found.client_flops == 2 * 8 * 8 * 4 * 3 * 9
    assert found.client_parameters == 4 * 3 * 9 + 2 * 4  # GroupNorm has no buffers
    assert found.smashed.shapes == ((4, 4, 4),)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["cnn", "resnet18-cifar"])
def test_the_meta_device_shows_what_real_tensors_show(architecture) -> None:
    cut = ModelSpec(architecture=architecture, cut_layer="conv1")
    network = build_network(cut, 0)
    real = profile_network(network, (3, 16, 16))
    for part in (network.client_part, network.server_part):
        part.to("meta")
    assert profile_network(network, (3, 16, 16)) == real


def test_profiling_leaves_no_trace() -> None:
    network = build_network(ModelSpec(architecture="cnn", cut_layer="conv1"), 0)
    before = {name: tensor.clone() for name, tensor in network.named_tensors().items()}
    network.client_part.eval()
    random_state = torch.get_rng_state()
    profile_network(network, (3, 16, 16))
    assert not network.client_part.training
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.named_tensors().items())


@pytest.mark.parametrize("compression", Compression)
def test_bytes_are_those_of_encoded_tensors(profile, compression) -> None:
    task = TrainingSetup(profile.smashed, CROSS_ENTROPY, None, 0, 1, (6,), profile.client_gradients)
    step = ClientStep(task, build_network(MLP, 0).client_part, "client-0")
    step.begin(1, 0)
    smashed = step.forward(torch.randn(7, 6))
    step.backward(torch.randn(7, 8))
    labels = CROSS_ENTROPY.as_labels(torch.arange(7) % 3)
    encoded = len(codec_for(compression, 8, torch.float32).encode(smashed))
    traffic = traffic_of_cut(profile, compression)
    assert 7 * traffic.sample_up == encoded + labels.numel() * labels.element_size()
    assert 7 * traffic.sample_down == encoded
    assert traffic.sample_raw == 8 * 4
    assert (traffic.parameters, traffic.gradient) == (
        profile.client_parameters * 4,
        step.gradient().numel() * 4,
    )


def test_parameters_and_gradients_travel_for_each_client_and_the_rest_for_each_sample() -> None:
    traffic = StepTraffic(parameters=1000, gradient=800, sample_up=40, sample_down=32, sample_raw=32)
    assert (traffic.up(60, 5), traffic.down(60, 5)) == (60 * 40 + 5 * 800, 60 * 32 + 5 * 1000)
    assert (traffic.up(1.5, 0.5), traffic.down(1.5, 0.5)) == (60 + 400, 48 + 500)


def test_a_step_takes_what_the_formula_says(profile) -> None:
    traffic = StepTraffic(parameters=1000, gradient=300, sample_up=250, sample_down=400, sample_raw=200)
    link = Link.symmetric(bandwidth=8000, latency=0.25)  # 1000 bytes a second
    step = step_time(profile, traffic, 10, 100, Conditions(link, client_flops=480, server_flops=3300))
    assert (step.parameters, step.gradient, step.latency) == pytest.approx((1.0, 0.3, 1.0))
    assert step.forward == pytest.approx(2 + 2.5)  # a batch of one slice: 10 · 96 / 480, then 2500 bytes
    assert step.backward == pytest.approx(4 + 4)  # twice the operations
    assert step.server == pytest.approx(100 * 3 * 110 / 3300)
    assert step.total == pytest.approx(1 + 4.5 + 10 + 8 + 0.3 + 1)
    assert step.compute == pytest.approx(2 + 10 + 4)
    assert step.wire_share == pytest.approx(1 - 16 / step.total)


@given(st.floats(0, 10), st.floats(0, 10), st.integers(1, 30))
def test_what_overlaps_takes_as_long_as_a_pipeline_of_two(one, other, slices) -> None:
    first_free = second_free = 0.0
    for _ in range(slices):
        first_free += one / slices
        second_free = max(first_free, second_free) + other / slices
    assert overlapped(one, other, slices) == pytest.approx(second_free)


@given(st.integers(1, 10), st.integers(0, 9))
def test_a_faster_link_never_makes_a_step_longer(bandwidth, latency) -> None:
    layout = SmashedLayout(((64, 32, 32),), torch.float32)
    shape = NetworkProfile(layout, (3,), 3072, 10_000, 10_000, 10_000, 10_000, 1_000_000, 1_000_000, 0, 0)
    traffic = traffic_of_cut(shape, Compression.NONE)
    slow, fast = (
        step_time(shape, traffic, 40, 128, Conditions(Link.symmetric(rate, delay), 1e9, 1e9)).total
        for rate, delay in ((bandwidth * 1e6, latency / 100), (bandwidth * 2e6, latency / 200))
    )
    assert np.isfinite(slow)
    assert fast < slow


def test_a_plan_and_a_simulation_predict_the_same_step(profile) -> None:
    """Clients and server that compute as many samples a second as their FLOP/s give."""
    traffic = StepTraffic(parameters=1000, gradient=300, sample_up=250, sample_down=400, sample_raw=1 << 20)
    speeds = {"client_flops": 480.0, "server_flops": 3300.0}
    planned = step_time(profile, traffic, 10, 30, Conditions(Link.symmetric(8000, 0.25), **speeds))
    client = ClientProfile(
        samples_per_second=480 / (3 * profile.client_flops), uplink=8000, downlink=8000, latency=0.25
    )
    clients = ["a", "b", "c"]
    simulated = ClientTimeModel(
        dict.fromkeys(clients, client), traffic, server_samples_per_second=3300 / (3 * profile.server_flops)
    )
    assert simulated.step_seconds(dict.fromkeys(clients, 10)) == pytest.approx(planned.total)
