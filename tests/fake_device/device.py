"""A GPU without a GPU: within `fake_cuda` torch has a device cuda:0, which computes on the CPU.

Its tensors cannot be mixed with CPU tensors, and it counts what it is asked to do and where the program waits
for it. What a program does wrong on a real GPU, or slowly for the sake of a number, it thus does here too.
Not seen are kernels that only a GPU has, its rounding, and its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.fake_device.tensor import CPU, META, DeviceTensor, compute, pinned, refuse_mixed
from tests.fake_device.work import Work

MEMORY = 2**33
"""Bytes that the device says it has, all free."""
ONE_KERNEL = (F.scaled_dot_product_attention, F.rms_norm, torch.rms_norm)
"""Of several operations on the CPU's other devices, one each way on a GPU."""
FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)


class _Operations(TorchDispatchMode):
    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():  # what consists of other operations arrives here whole
            with self:
                found = func.decompose(*args, **kwargs)
            if found is not NotImplemented:
                return found
        return compute(self.work, func, args, kwargs)


class _Names(TorchFunctionMode):
    """Lets Python name the device cuda, and does what torch's own code does before any operation is seen."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        args = tuple(map(_renamed, args))
        kwargs = {name: _renamed(value) for name, value in (kwargs or {}).items()}
        if func is torch.Tensor.pin_memory:
            return pinned(args[0])
        if func is torch.Tensor.tolist and isinstance(args[0], DeviceTensor):
            return args[0].to(CPU).tolist()
        if func in FROM_NUMBERS:
            return _from_numbers(func, args, kwargs)
        if func in ONE_KERNEL and isinstance(args[0], DeviceTensor):
            return _one_kernel(self.work, func, args, kwargs)
        return func(*args, **kwargs)


def _renamed(value: Any) -> Any:
    kind = str(value).partition(":")[0] if isinstance(value, (torch.device, str)) else None
    if kind == "meta":
        raise NotImplementedError("within `fake_cuda` nothing can be on meta: load models before it")
    return META if kind == "cuda" else value


def _from_numbers(func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """A tensor of Python numbers: torch makes it on the CPU and copies it, in C++, where nobody sees it."""
    device = kwargs.pop("device", None)
    if func is torch.Tensor.new_tensor:
        like, *args = args
        func, device = torch.tensor, device or (META if isinstance(like, DeviceTensor) else CPU)
        kwargs.setdefault("dtype", like.dtype)
    if isinstance(args[0], DeviceTensor) or device != META:
        return func(*args, **kwargs) if device is None else func(*args, **kwargs, device=device)
    return func(*args, **kwargs).to(META)


def _one_kernel(work: Work, func: Callable[..., Tensor], args: Any, kwargs: dict[str, Any]) -> Tensor:
    given = [*args, *kwargs.values()]
    places = [place for place, value in enumerate(given) if isinstance(value, Tensor)]

    def call(*tensors: Tensor) -> Tensor:
        values = list(given)
        for place, tensor in zip(places, tensors, strict=True):
            values[place] = tensor
        return func(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))

    tensors = [given[place] for place in places]
    refuse_mixed(work, func, args, tensors)
    return _OneKernel.apply(work, call, *tensors)  # pyright: ignore[reportReturnType]


class _OneKernel(torch.autograd.Function):
    """A function of several operations as one operation of the device, and one back."""

    @staticmethod
    def forward(ctx: Any, work: Work, call: Callable[..., Tensor], *tensors: DeviceTensor) -> Tensor:
        work.launches += 1
        ctx.work, ctx.call = work, call
        ctx.save_for_backward(*tensors)
        return DeviceTensor(call(*(tensor.held for tensor in tensors)))

    @staticmethod
    def backward(ctx: Any, grad: DeviceTensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.work.launches += 1
        wanted = ctx.needs_input_grad[2:]
        with torch.enable_grad():
            held = [
                tensor.held.detach().requires_grad_(want)
                for tensor, want in zip(ctx.saved_tensors, wanted, strict=True)
            ]
            found = ctx.call(*held)
        leaves = [tensor for tensor in held if tensor.requires_grad]
        gradients = iter(torch.autograd.grad(found, leaves, grad.held))
        return None, None, *(DeviceTensor(next(gradients)) if want else None for want in wanted)


@contextmanager
def fake_cuda(capability: tuple[int, int] = (8, 0)) -> Iterator[Work]:
    """Within the block there is a device cuda:0 of this compute capability; what it is asked to do."""
    work = Work(capability)
    known: dict[str, Any] = {
        "mem_get_info": lambda device=None: (MEMORY, MEMORY),
        "get_device_capability": lambda device=None: capability,
        "get_device_name": lambda device=None: "test device",
        "memory_reserved": lambda device=None: 0,
        "max_memory_reserved": lambda device=None: 0,
        "synchronize": lambda device=None: work.wait("torch.cuda.synchronize"),
    }
    with ExitStack() as stack:
        for name, value in known.items():
            stack.enter_context(patch.object(torch.cuda, name, value))
        stack.enter_context(_Operations(work))
        stack.enter_context(_Names(work))
        yield work


def on_device(model: nn.Module) -> nn.Module:
    """The model with its weights and buffers on the device; tied weights stay tied."""
    moved: dict[int, Tensor] = {}
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, tensor in store.items():
                if tensor is None:
                    continue
                if id(tensor) not in moved:
                    there = tensor.detach().to("cuda")
                    is_weight = isinstance(tensor, nn.Parameter)
                    moved[id(tensor)] = nn.Parameter(there, tensor.requires_grad) if is_weight else there
                store[name] = moved[id(tensor)]
    return model
