"""Tensors that say they are on a GPU, and what every operation of torch does with them.

A DeviceTensor holds a CPU tensor, which has its numbers. To torch's C++ part it is on `meta`, the one device
of a CPU build beside the CPU on which autograd works; to Python it says cuda:0. Operations are caught below
autograd, as torch's own FakeTensor catches them, so what is differentiated is what a GPU differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch

from tests.fake_device.work import Work

CUDA, CPU, META = torch.device("cuda", 0), torch.device("cpu"), torch.device("meta")
aten = torch.ops.aten
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
GROUPED = {aten._grouped_mm.default}
ON_CPU = {
    aten.histc.default: lambda numbers, *args: aten.histc(numbers.float(), *args).to(numbers.dtype),
    aten._conj.default: aten.conj_physical.default,
    aten._neg_view.default: aten.neg.default,
}
"""How the CPU computes what it has no kernel for. And conjugates and negatives at once: torch only marks such
numbers, and looks at the mark before operations are caught here, on the DeviceTensor, which has none."""
# beside views: what takes memory, or only makes another header for it
FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}


class DeviceTensor(torch.Tensor):
    """A tensor on the test device; `held` has its numbers."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]
    device = property(lambda self: CUDA)  # pyright: ignore[reportAssignmentType]
    is_cuda = property(lambda self: True)  # pyright: ignore[reportAssignmentType]
    is_meta = property(lambda self: False)  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(cls, held: Tensor) -> DeviceTensor:
        # what a view of an ordinary tensor is in inference mode too
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                held.size(),
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=META,
            )
        made.held = held
        return made

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return f"{self.held} on {CUDA}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} of a tensor on the test device outside of `fake_cuda`")


def compute(work: Work, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run one operation of aten, and count it if the test device has a part in it."""
    tensors = list(tensors_in((args, list(kwargs.values()))))
    here = [tensor for tensor in tensors if isinstance(tensor, DeviceTensor)]
    asked = kwargs.get("device")
    placed = bool(here) if asked is None else torch.device(asked) == META
    if func is aten.copy_.default:
        placed = isinstance(args[0], DeviceTensor)
    if not here and not placed:
        return func(*args, **kwargs)
    if func in (aten._to_copy.default, aten.copy_.default):
        _between_devices(work, func, args, kwargs, placed)
    else:
        refuse_mixed(work, func, args, tensors)
    if kwargs.get("generator") is not None:
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if func in GROUPED:
        _check_grouped(work, tensors)
    elif _depends_on_numbers(func, args, kwargs):
        work.wait(func.name())
    if not func.is_view and func.name().removeprefix("aten::").partition(".")[0] not in FREE:
        work.launches += 1
    own = {name: replaced(value, _held) for name, value in kwargs.items()}
    if placed and asked is not None:
        own["device"] = CPU
    found = ON_CPU.get(func, func)(*replaced(args, _held), **own)
    if not placed:
        return found
    known = {id(tensor.held): tensor for tensor in here}

    def wrapped(tensor: Tensor) -> Tensor:
        # what was changed in place is the tensor that was given
        return known[id(tensor)] if id(tensor) in known else DeviceTensor(tensor)

    if torch.Tag.inplace_view in func.tags:  # it changes what shape the tensor says it has, too
        with no_dispatch():
            func(*args, **kwargs)
    return replaced(found, wrapped)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors among an operation's arguments or results, which may stand in lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from tensors_in(each)


def replaced(value: Any, by: Callable[[Tensor], Tensor]) -> Any:
    """The same value with another tensor in the place of each."""
    if isinstance(value, Tensor):
        return by(value)
    return type(value)([replaced(each, by) for each in value]) if isinstance(value, (list, tuple)) else value


def pinned(tensor: Tensor) -> Tensor:
    """A copy of a CPU tensor that is taken for one in pinned memory, of which this machine has none."""
    copied = tensor.clone()
    copied.is_as_pinned = True  # pyright: ignore[reportAttributeAccessIssue]
    return copied


def _held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, DeviceTensor) else tensor


def refuse_mixed(work: Work, func: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Raise what torch raises of CPU tensors beside CUDA tensors: but CPU tensors without dimensions are
    taken as numbers, and indices are copied to the device."""
    strangers = [t for t in tensors if t.dim() and not isinstance(t, DeviceTensor)]
    if func in INDEXING and isinstance(args[0], DeviceTensor):
        indices = [index for index in args[1] if isinstance(index, Tensor)]
        for index in indices:
            if not isinstance(index, DeviceTensor):
                work.wait("copy of an index to the device")
        strangers = [t for t in strangers if not any(t is index for index in indices)]
    if strangers:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{CUDA} and {strangers[0].device}! ({func})"
        )


def _between_devices(
    work: Work, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], placed: bool
) -> None:
    """Count a copy. One from pinned memory that is asked not to block only joins the device's queue; one back
    is waited for whatever was asked, for a program that reads what has not arrived is wrong."""
    source = args[0] if func is aten._to_copy.default else args[1]
    queued = kwargs.get("non_blocking") or args[2:3] == (True,)
    if isinstance(source, DeviceTensor):
        if not placed:
            work.wait("copy back")
    elif not (queued and getattr(source, "is_as_pinned", False)):
        work.wait("copy to the device")


def _depends_on_numbers(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the result, or its shape, cannot be known before the device has computed it."""
    if func in INDEXING:
        masks = [i for i in args[1] if isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8)]
        # one number for all that a mask chooses is filled in, and the mask is never counted
        filled = func is not aten.index.Tensor and args[2].numel() == 1
        return bool(masks) and not filled
    if func is aten.repeat_interleave.Tensor:
        return kwargs.get("output_size") is None
    return bool(WAITING & set(func.tags)) or func is aten._linalg_check_errors.default


def _check_grouped(work: Work, tensors: Sequence[Tensor]) -> None:
    """torch 2.13 has a kernel for bf16 on compute capabilities 9 and 10, which reads 16 bytes at a time;
    elsewhere it copies the bounds of the groups to the CPU and multiplies group by group."""
    if any(isinstance(t, DeviceTensor) and t.held.data_ptr() % 16 for t in tensors if t.dim() > 1):
        raise RuntimeError("expected data_ptr to be aligned to 16 bytes")
    if work.capability[0] not in (9, 10) or tensors[0].dtype != torch.bfloat16:
        work.wait("aten::_grouped_mm without a kernel")
