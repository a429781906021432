"""Whether a host's engine fits what it was given, asked before a weight is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from beliefmod.capacity.fit import DoesNotFit, Wanted, misfit
from beliefmod.capacity.footprint import Footprint, footprint

if TYPE_CHECKING:
    from beliefmod.fleet.device_allocation import DeviceAllocation
    from beliefmod.fleet.host import HostSettings


def check_room(settings: HostSettings, allocation: DeviceAllocation) -> None:
    """Compare what an engine needs at least with the memory that is this host's.

    Raises:
        DoesNotFit: it does not; the sentence says what would.
        UserError: the model has no usable files.
    """
    from beliefmod.capacity.sizing import longest_row
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.source import find_source

    source, wanted = find_source(settings.model, settings.revision), settings.demand
    shape = _shape(source.folder, allocation.on_gpu)
    if shape is None:
        return
    engine = Wanted(
        base_storage=settings.base_storage,
        rank=settings.max_rank,
        row_tokens=longest_row(load_tokenizer(source), wanted.beliefs) + wanted.trace_tokens,
        slots=settings.slots,
        full=wanted.full,
        engines=wanted.engines,
    )
    device = (
        f"{allocation.device_name()} of {allocation.machine}"
        if allocation.on_gpu
        else f"machine {allocation.machine}"
    )
    if why := misfit(shape, engine, allocation.free_bytes(), device):
        raise DoesNotFit(why)


def _shape(folder: Path, gpu: bool) -> Footprint | None:
    """What a model takes; None where it cannot be built: loading it will say what is wrong."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return footprint(config, gpu)
    except (AttributeError, KeyError, NotImplementedError, OSError, TypeError, ValueError):
        return None
