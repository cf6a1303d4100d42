"""What processes of the server part exchange, in a group of a single one."""

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pslgs.training import collectives
from pslgs.training.collectives import Group, gathered, row_counts, share_tensors, sum_gradients
from pslgs.training.global_batchnorm import GlobalBatchNorm


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory):
    Group(0, 1, "cpu", tmp_path_factory.mktemp("group") / "store").join()
    yield
    dist.destroy_process_group()


@given(rows=st.integers(0, 1000), processes=st.integers(1, 16))
def test_rows_are_divided_evenly(rows, processes):
    counts = row_counts(rows, processes)
    assert (len(counts), sum(counts)) == (processes, rows)
    assert max(counts) - min(counts) <= 1


LAYERS = {
    "vectors": (lambda: nn.BatchNorm1d(3), (7, 3)),
    "sequences": (lambda: nn.BatchNorm1d(3), (4, 3, 5)),
    "images": (lambda: nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "without parameters": (lambda: nn.BatchNorm2d(3, affine=False), (2, 3, 4, 5)),
    "without running statistics": (lambda: nn.BatchNorm1d(3, track_running_stats=False), (7, 3)),
    "without momentum": (lambda: nn.BatchNorm1d(3, momentum=None), (7, 3)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=list(LAYERS))
def test_batch_normalisation_is_that_of_torch(make, shape, dtype):
    found = []
    for several in (False, True):
        torch.manual_seed(0)
        layer = make().to(torch.float64 if dtype is torch.float64 else torch.float32)
        for each in layer.parameters():
            nn.init.normal_(each)
        batch = (3 + torch.randn(shape, dtype=torch.float64)).to(dtype).requires_grad_()
        factor = torch.randn(shape, dtype=torch.float64).to(dtype)
        for _ in range(2):
            if several:
                with GlobalBatchNorm():
                    output = layer(batch)
            else:
                output = layer(batch)
        (output * factor).sum().backward()
        parameters = (each.grad for each in layer.parameters())
        found.append([output, batch.grad, *parameters, *layer.buffers()])
    limit = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    for expected, result in zip(*found, strict=True):
        assert result.dtype == expected.dtype
        torch.testing.assert_close(result, expected, rtol=limit, atol=limit)


def test_a_layer_in_evaluation_mode_uses_its_running_statistics():
    layer, batch = nn.BatchNorm1d(3).eval(), torch.randn(5, 3)
    with GlobalBatchNorm():
        result = layer(batch)
    assert torch.equal(result, layer(batch))
    assert layer.num_batches_tracked == 0


def test_what_is_gathered_has_a_gradient():
    row = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert gathered(row).shape == (1, 3)
    assert torch.autograd.gradcheck(lambda each: gathered(each).square(), [row])


@pytest.mark.parametrize("bucket_bytes", [1, 64, 1 << 20], ids=str)
def test_gradients_and_weights_of_any_type_and_size_pass_through_buckets(bucket_bytes, monkeypatch):
    monkeypatch.setattr(collectives, "_BUCKET_BYTES", bucket_bytes)
    shapes = ((3, 4), (), (0,), (5,), (2, 2, 2))
    parameters = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    gradients = [torch.randn(shape) for shape in shapes]
    for parameter, gradient in zip(parameters[:-1], gradients, strict=False):
        parameter.grad = gradient.clone()
    sum_gradients(parameters)
    assert parameters[-1].grad is None
    for parameter, gradient in zip(parameters[:-1], gradients, strict=False):
        assert torch.equal(parameter.grad, gradient)
    sum_gradients([])
    others = [torch.tensor(5), torch.tensor([True, False]), torch.randn(3, dtype=torch.complex64)]
    share_tensors([*parameters, *others])
