"""The test device itself: what it refuses and waits for is what torch on CUDA refuses and waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.fake_device.device import fake_cuda, on_device
from tests.fake_device.tensor import DeviceTensor
from tests.fake_device.work import Work


@pytest.fixture
def device() -> Iterator[Work]:
    with fake_cuda() as work:
        yield work


def there(*size: int, **options) -> torch.Tensor:
    return torch.ones(*size, device="cuda", **options)


def test_tensors_made_on_it_say_so_and_keep_what_was_written(device: Work):
    made = [
        there(2, 3),
        torch.tensor([[1.0, 2.0]], device="cuda:0"),
        torch.arange(4).to("cuda"),
        torch.zeros_like(there(2)),
        there(2).new_tensor([3, 4]),
        torch.ones(3).to(there(1)),
        torch.full((2,), 7, device=torch.device("cuda")),
    ]
    for tensor in made:
        assert (
            tensor.device == torch.device("cuda", 0) and tensor.is_cuda and isinstance(tensor, DeviceTensor)
        )
    assert [tensor.tolist() for tensor in made[1:3]] == [[[1.0, 2.0]], [0, 1, 2, 3]]
    assert made[4].tolist() == [3.0, 4.0] and made[4].dtype == torch.float32
    assert torch.ones(2).device.type == "cpu" and torch.device("cuda").type == "cuda"


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: there(2) + torch.ones(2),
        lambda: torch.ones(2, 2) @ there(2, 2),
        lambda: torch.cat([there(2), torch.ones(2)]),
        lambda: there(3).index_select(0, torch.tensor([0])),
        lambda: torch.arange(3)[there(1, dtype=torch.long)],
        lambda: F.linear(there(2, 2), torch.ones(2, 2)),
        lambda: F.rms_norm(there(2, 2), (2,), torch.ones(2)),
        lambda: F.scaled_dot_product_attention(there(1, 1, 2, 2), there(1, 1, 2, 2), torch.ones(1, 1, 2, 2)),
        lambda: there(2).add_(torch.ones(2)),
        lambda: F.embedding(torch.tensor([0]), there(2, 2)),
    ],
)
def test_cpu_tensors_are_refused_beside_its_own(device: Work, mixed: Callable[[], object]):
    with pytest.raises(RuntimeError, match="at least two devices"):
        mixed()


def test_numbers_and_tensors_without_dimensions_are_not(device: Work):
    assert (there(2) * 3 + torch.tensor(1.0)).tolist() == [4.0, 4.0]
    assert torch.where(there(2) > 0, there(2), 0.0).tolist() == [1.0, 1.0]
    assert not any("copy to" in what for what in device.waits)


def test_a_generator_of_the_cpu_is_refused(device: Work):
    with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
        torch.randn(2, device="cuda", generator=torch.Generator())
    with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
        there(2).uniform_(0, 1, generator=torch.Generator())


def test_numpy_and_tensors_outside_of_the_block_are_refused():
    with fake_cuda():
        tensor = there(2)
        with pytest.raises(RuntimeError, match="numpy"):
            tensor.numpy()
        with pytest.raises(NotImplementedError, match="load models before it"):
            torch.ones(2, device="meta")
    with pytest.raises(RuntimeError, match="outside of `fake_cuda`"):
        tensor + 1


WAITING = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.max()),
    "branch": lambda x: bool((x > 0).any()),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu", non_blocking=True),
    "copy_": lambda x: torch.empty(4).copy_(x),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "mask of the CPU": lambda x: x[torch.tensor([True, False, True, True])],
    "write by mask": lambda x: x.index_put_((x > 0,), there(4)),
    "unique": lambda x: x.unique(),
    "repeat": lambda x: x.repeat_interleave(there(4, dtype=torch.long)),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "new": lambda x: torch.tensor([1.0], device=x.device),
    "new_tensor": lambda x: x.new_tensor(1.0),
    "upload": lambda x: torch.ones(2).to(x),
    "upload from memory that is not pinned": lambda x: torch.ones(2).to(x.device, non_blocking=True),
    "write": lambda x: x.copy_(torch.ones(4)),
    "index": lambda x: x[torch.tensor([0, 1])],
    "list as index": lambda x: x[[0, 1]],
    "synchronize": lambda x: torch.cuda.synchronize(),
}
NOT_WAITING = {
    "arithmetic": lambda x: (x * 2).sum().sqrt_(),
    "index": lambda x: x[torch.arange(2, device="cuda")],
    "slice": lambda x: x[1:3] + x[0],
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "fill by mask": lambda x: x.masked_fill_(x > 0, 1.0),
    "write a number by mask": lambda x: x.__setitem__(x > 0, 1.0),
    "repeat": lambda x: x.repeat_interleave(there(4, dtype=torch.long), output_size=4),
    "repeat by a number": lambda x: x.repeat_interleave(2),
    "sort": lambda x: x.sort().values.topk(2),
    "pinned": lambda x: torch.ones(2).pin_memory().to(x.device, non_blocking=True),
    "pinned, written": lambda x: x.copy_(torch.ones(4).pin_memory(), non_blocking=True),
    "made there": lambda x: torch.zeros(3, device=x.device) + torch.full((3,), 2.0, device=x.device),
    "shape": lambda x: x.view(2, 2).transpose(0, 1).shape[0] + len(x) + x.numel(),
    "CPU work": lambda x: torch.ones(3).tolist() + torch.ones(3)[torch.ones(3) > 0].tolist(),
}


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_what_a_gpu_waits_for_is_counted_with_its_place(device: Work, name: str, mode):
    x = there(4)
    device.take()
    with mode():
        WAITING[name](x)
    assert device.waits.total() >= 1, name
    assert all(" at tests/fake_device/test_fake_device.py:" in what for what in device.waits)


@pytest.mark.parametrize("name", NOT_WAITING)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_what_a_gpu_does_by_itself_is_no_wait(device: Work, name: str, mode):
    x = there(4)
    device.take()
    with mode():
        NOT_WAITING[name](x)
    assert not device.waits


def test_a_copy_gives_a_tensor_of_where_it_went(device: Work):
    here = torch.zeros(2)
    assert here.copy_(there(2)) is here and type(here) is torch.Tensor and here.tolist() == [1.0, 1.0]
    assert isinstance(there(2).copy_(here), DeviceTensor) and type(there(2).cpu()) is torch.Tensor


def test_launches_are_what_computes(device: Work):
    x, weight = there(4, 8), nn.Parameter(there(6, 8))
    device.take()
    x.view(2, 2, 8).transpose(0, 1)[0].detach(), torch.empty(3, device="cuda"), x.shape, torch.ones(2) + 1
    assert device.take().launches == 0
    y = F.linear(x, weight)
    assert device.take().launches == 1
    F.rms_norm(y, (6,))
    assert device.take().launches == 1
    y.sum().backward()
    assert 3 <= device.take().launches <= 5  # a sum, its gradient, and a product


def test_a_network_with_its_gradients_computes_what_the_cpu_does():
    def run(place: str) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        weights = [
            torch.randn(8, 8, generator=generator).to(place).requires_grad_(),
            torch.randn(2, generator=generator).to(place).requires_grad_(),
        ]
        x = torch.randn(1, 4, 5, 2, generator=generator).to(place)
        for _ in range(2):
            out = F.scaled_dot_product_attention(x, x * 2, F.rms_norm(x, (2,), weights[1]), is_causal=True)
            flat = F.linear(out.transpose(1, 2).reshape(5, 8), weights[0])
            flat[0] += 1.0  # in place, on a view
            F.cross_entropy(flat, torch.arange(5).to(place)).backward()
        assert weights[0].grad is not None and weights[1].grad is not None
        torch.optim.AdamW(weights, fused=True).step()
        found = [flat.detach(), *(w.grad for w in weights), *(w.detach() for w in weights)]
        return [tensor.cpu() for tensor in found]

    expected = run("cpu")
    with fake_cuda():
        got = run("cuda")
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_a_rotation_of_complex_numbers_has_the_gradient_that_it_has_on_the_cpu():
    """It is the product with the conjugate, which torch marks and does not compute (DeepSeek-V2's rotary)."""
    generator = torch.Generator().manual_seed(0)
    x, angles, grad = (torch.randn(3, 4, generator=generator) for _ in range(3))

    def rotated(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        turns = torch.polar(torch.ones_like(angles[:, :2]), angles[:, :2])
        return torch.view_as_real(torch.view_as_complex(x.view(3, 2, 2)) * turns).flatten(1)

    expected = x.clone().requires_grad_()
    rotated(expected, angles).backward(grad)
    with fake_cuda():
        got = x.to("cuda").requires_grad_()
        rotated(got, angles.to("cuda")).backward(grad.to("cuda"))
        assert torch.equal(got.grad.cpu(), expected.grad)  # pyright: ignore[reportOptionalMemberAccess, reportArgumentType]
        assert (torch.view_as_complex(x.view(6, 2)).to("cuda").conj().imag).cpu().equal(-x.view(6, 2)[:, 1])


def test_a_view_shares_its_numbers_also_in_inference_mode(device: Work):
    x = torch.zeros(3, 2, device="cuda")
    x[1].copy_(there(2))
    with torch.inference_mode():
        x[2, :1].fill_(5.0)
        y = x[0] + 1
        y[0] = 3.0
    assert x.tolist() == [[0, 0], [1, 1], [5, 0]] and y.tolist() == [3, 1]


def test_a_shape_that_is_changed_in_place_is_changed(device: Work):
    x = there(2, 1, 3)
    x[0] = 2.0
    assert x.squeeze_(1).shape == (2, 3) and x.t_().shape == (3, 2) and x.unsqueeze_(0).shape == (1, 3, 2)
    assert x.tolist() == [[[2.0, 1.0]] * 3] and (x + 1).shape == (1, 3, 2) and x.stride() == (3, 1, 3)


def test_tied_weights_stay_tied(device: Work):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model.register_buffer("table", torch.ones(2))
    on_device(model)
    assert model[1].weight is model[0].weight and isinstance(model[0].weight, DeviceTensor)
    assert isinstance(model.get_buffer("table"), DeviceTensor)
    assert len(list(model.parameters())) == 3


@pytest.mark.parametrize(
    ("capability", "dtype", "waits"),
    [
        ((9, 0), torch.bfloat16, 0),
        ((10, 0), torch.bfloat16, 0),
        ((9, 0), torch.float32, 1),
        ((8, 6), torch.bfloat16, 1),
        ((12, 0), torch.bfloat16, 1),
    ],
)
def test_grouped_products_wait_where_torch_has_no_kernel_for_them(capability, dtype, waits):
    with fake_cuda(capability) as device:
        ends = torch.arange(3, 9, 3, device="cuda", dtype=torch.int32)
        device.take()
        out = F.grouped_mm(there(6, 8, dtype=dtype), there(2, 8, 16, dtype=dtype), offs=ends)
        assert device.waits.total() == waits
        assert out.shape == (6, 16) and float(out[0, 0]) == 8.0


def test_a_grouped_product_of_memory_that_is_not_aligned_fails():
    with fake_cuda((9, 0)):
        ends = torch.arange(3, 9, 3, device="cuda", dtype=torch.int32)
        shifted = there(2 * 8 * 16 + 1, dtype=torch.bfloat16)[1:].view(2, 8, 16)
        with pytest.raises(RuntimeError, match="aligned to 16 bytes"):
            F.grouped_mm(there(6, 8, dtype=torch.bfloat16), shifted, offs=ends)
