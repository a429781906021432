"""Numbers from this machine's memory to the device, without waiting for the device.

A plain `.to(device)` or `torch.tensor(..., device=device)` returns only when a GPU has done all that it was
given before: a pass that starts with ten of them starts ten times on an idle GPU.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device. The copy joins the queue of what the device has to do; it is made from
    pinned memory, which torch keeps until then."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def numbers(values: Sequence[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Python numbers, in lists of any depth, on the device."""
    return sent(torch.tensor(values, dtype=dtype), device)
