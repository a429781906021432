"""Does an engine fit a device, with how many slots, and what would help if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from beliefmod.capacity.choose import fitting_slots
from beliefmod.capacity.footprint import PROCESS_BYTES, Footprint, Wanted, footprint
from beliefmod.capacity.limit import size
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from beliefmod.model.model_files import ModelSource
    from beliefmod.model.stored_weights import StoredWeights

GPU_SIZES = (16, 24, 40, 80)
"""Of common GPUs, as they are sold; the driver keeps a few per cent for itself."""
USABLE = 0.95
SMALL_BYTES = 2**30
"""Models up to here fit every GPU: without one at hand nobody needs to be told."""
SHORTEST_ROW = 64
"""Tokens below which a row is too short to be advice."""


@dataclass(frozen=True)
class Gpu:
    """A GPU of some machine, with its memory in bytes."""

    machine: str
    index: int
    name: str
    total: int
    free: int


class DoesNotFit(UserError):
    """An engine does not fit the device that its host was given; on another one it may."""


def slots_within(model: Footprint, wanted: Wanted, free: float) -> int:
    """Slots that an engine could have in so many bytes; 0 if it does not fit.

    As many as were asked for, else the most that it would choose: the sweep may have use for fewer.
    """
    needs = model.least(wanted)
    if needs.total > free:
        return 0
    trained, _ = model.adapter(wanted.rank)
    return wanted.slots or fitting_slots(free - needs.base, trained, int(needs.work))


def misfit(model: Footprint, wanted: Wanted, free: float, device: str) -> str | None:
    """Why an engine does not fit, and what would; None if it does.

    Args:
        free: bytes of the device that are this engine's.
        device: for the sentence: `NVIDIA L4 of machine-3`.
    """
    needs = model.least(wanted)
    if needs.total <= free:
        return None
    share = f" for each of {wanted.engines} engines" if wanted.engines > 1 else ""
    slots = f"{wanted.slots} adapters" if wanted.slots > 1 else "one adapter"
    parts = (
        f"model {size(needs.base)}, {slots} in training {size(needs.adapters)}, a row of {wanted.row_tokens} "
        f"tokens {size(needs.work)}"
    )
    ways = remedies(model, wanted, free)
    ways = ways or [f"take a device with {size(needs.total + PROCESS_BYTES)} or more for an engine"]
    return (
        f"the model does not fit: {device} has {size(free)} free{share}, and an engine needs "
        f"{size(needs.total)} ({parts}); {' or '.join(ways)}"
    )


def remedies(model: Footprint, wanted: Wanted, free: float) -> list[str]:
    """Changes each of which alone would make an engine fit; where none would, those that do together."""

    def fits(changed: Wanted) -> bool:
        return model.least(changed).total <= free * wanted.engines / changed.engines

    packed = replace(wanted, base_storage="nf4")
    trained, _ = model.adapter(wanted.rank)
    slots = 1 + int((free - model.least(replace(wanted, slots=1)).total) // max(1, trained))
    tokens = int((free - model.least(replace(wanted, row_tokens=0)).total) // model.token_bytes)
    ways = {
        f"set base_storage: nf4 (it needs {size(model.least(packed).total)} then)": fits(packed),
        f"give --slots {slots}": wanted.slots > 1 and slots >= 1,
        "leave out --hosts-per-gpu": wanted.engines > 1 and fits(replace(wanted, engines=1)),
        f"train on rows of {tokens} tokens at most": tokens >= SHORTEST_ROW,
        "leave out arm full": wanted.full and fits(replace(wanted, full=False)),
    }
    found = [way for way, helps in ways.items() if helps]
    smallest = replace(packed, slots=min(1, wanted.slots), engines=1, full=False)
    if not found and smallest != packed and fits(smallest):
        dropped = {
            "--slots": wanted.slots > 1,
            "--hosts-per-gpu": wanted.engines > 1,
            "arm full": wanted.full,
        }
        names = ", ".join(name for name, given in dropped.items() if given)
        return [f"set base_storage: nf4 and leave out {names}"]
    return found


def table(model: Footprint, wanted: Wanted, sizes: Sequence[int] = GPU_SIZES) -> list[tuple[str, ...]]:
    """Rows for a person: storage, what an engine needs at least, and the slots that GPUs of these sizes hold.

    Args:
        sizes: in GB, as GPUs are sold.
    """
    rows: list[tuple[str, ...]] = [("base_storage", "least", *(f"{gb} GB" for gb in sizes))]
    kinds = [("nf4", False), ("dequantized", False), *([(wanted.base_storage, True)] if wanted.full else [])]
    for storage, full in kinds:
        asked = replace(wanted, base_storage=storage, full=full)
        cells = (
            slots_within(model, asked, USABLE * gb * 1e9 / wanted.engines - PROCESS_BYTES) for gb in sizes
        )
        name = f"{storage}, arm full" if full else storage
        needs = model.least(asked).total + PROCESS_BYTES
        rows.append((name, size(needs), *(str(count) if count else "-" for count in cells)))
    return rows


def table_lines(model: Footprint, wanted: Wanted) -> list[str]:
    """The table as text."""
    rows = table(model, wanted)
    widths = [max(len(row[column]) for row in rows) + 2 for column in range(len(rows[0]))]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line.rstrip() for line in lines]


def verdict(model: Footprint, wanted: Wanted, gpu: Gpu) -> str:
    """Whether an engine fits a GPU, in a line."""
    free = min(gpu.free, gpu.total / wanted.engines)
    about = f"{gpu.name} of {gpu.machine}, {size(gpu.free)} of {size(gpu.total)} free"
    if why := misfit(model, wanted, free, "it"):
        return f"{about}: {why}"
    slots = slots_within(model, wanted, free)
    each = f" for each of {wanted.engines} engines" if wanted.engines > 1 else ""
    return f"{about}: fits, memory for up to {slots} slots of rank {wanted.rank}{each}"


def gpu_lines(
    config: PretrainedConfig,
    wanted: Wanted,
    planned_on_gpu: bool,
    gpus: Sequence[Gpu],
    remarks: Sequence[str] = (),
    stored: StoredWeights | None = None,
) -> list[str]:
    """What a plan says of GPUs: what those of common sizes hold, and whether those at hand will do.

    Args:
        planned_on_gpu: whether hosts will hold a GPU each.
        gpus: those that hosts would be put on; none for a machine or a cluster that has none yet.
        remarks: sentences about GPUs that cannot be used.
        stored: how the model's files hold its weights; None: plain.
    """
    model = footprint(config, gpu=True, stored=stored)
    if not planned_on_gpu and model.dense < SMALL_BYTES:
        return []
    lines = [
        f"on a GPU          adapters of rank {wanted.rank} that memory holds in training, for rows of up to "
        f"about {wanted.row_tokens} tokens:",
        *(f"                  {line}" for line in table_lines(model, wanted)),
        *(f"gpu {gpu.index:<13} {verdict(model, wanted, gpu)}" for gpu in gpus),
        *(f"note              {remark}" for remark in remarks),
    ]
    if planned_on_gpu and not gpus:
        lines.append("note              no GPU is there yet; every host checks its own before it loads")
    return lines


def check_fits(source: ModelSource, wanted: Wanted, free: float, device: str, gpu: bool) -> None:
    """Whether a model's engine fits a device, before a weight is read.

    A configuration that no model can be built from passes: loading it will say what is wrong.

    Args:
        source: the model's files.
        free: bytes of the device that are this engine's.
        device: for the sentence: `NVIDIA L4 of machine-3`.

    Raises:
        DoesNotFit: it does not; the sentence says what would.
    """
    from transformers import AutoConfig

    from beliefmod.model.stored_weights import stored_weights

    try:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
        model = footprint(config, gpu, stored_weights(source))
    except (AttributeError, KeyError, NotImplementedError, OSError, TypeError, ValueError):
        return
    if why := misfit(model, wanted, free, device):
        raise DoesNotFit(why)
