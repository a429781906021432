"""How many adapters an engine trains side by side, and how many tokens it takes at once: arithmetic over a
calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.capacity.calibrate import saturated

if TYPE_CHECKING:
    from beliefmod.capacity.calibrate import Calibration

LEAST_SLOTS = 4
"""Even where one trial's step keeps the machine busy: four share what a step costs beside its products, and
their answers are decoded together (docs/log.md)."""
MOST_SLOTS = 64
# parts of the free memory: of all, for adapters in training, for parked ones; passes and decoding, which take
# turns, have the rest
_USED, _FOR_SLOTS, _FOR_PARKING, _FOR_WORK = 0.85, 0.4, 0.1, 0.8
# a CPU's memory is also that of everybody else, and more of it makes nothing faster
_CPU_WORK_BYTES = 2 * 2**30
_CPU_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Wish:
    """What an engine is wanted for.

    Attributes:
        slots: asked for by the user, 0 to choose.
        trials: that this engine may have to train side by side, so that no more slots are made than there is
            use for; None when nobody knows.
        step_tokens: tokens of one optimiser step of a typical trial.
        max_rank: of the adapters.
        row_tokens: of the longest row to expect. Rows are never cut, so a pass over one must fit beside the
            slots; 0 if it is not known.
    """

    slots: int
    trials: int | None
    step_tokens: int
    max_rank: int
    row_tokens: int = 0


@dataclass(frozen=True)
class Choice:
    """Sizes of an engine, why, and what memory would have allowed at most (for `capacity.limit`)."""

    slots: int
    parking: int
    pass_tokens: int
    cache_tokens: int
    why: str
    most_slots: int
    most_cache_tokens: int


def choose(found: Calibration, wish: Wish, gpu: bool) -> Choice:
    """Sizes that keep the machine busy within its memory."""
    budget = int(_USED * found.free_bytes)
    numbers = wish.max_rank * found.unit
    trained, parked = adapter_bytes(numbers, found.model.number_bytes)
    row = wish.row_tokens * found.activation_bytes
    slots, why = _slots(found, wish, fitting_slots(found.free_bytes, trained, row))
    # one place per slot: as many as finish together can leave together
    left = max(0, budget - row - slots * trained)
    parking = min(slots, int(min(_FOR_PARKING * budget, left) / parked))
    rest = max(0, budget - slots * trained - parking * parked)
    work = cache = int(_FOR_WORK * rest)
    if not gpu:
        work, cache = min(work, _CPU_WORK_BYTES), min(cache, _CPU_CACHE_BYTES)
    return Choice(
        slots=slots,
        parking=parking,
        pass_tokens=max(1, min(found.pass_tokens, work // found.activation_bytes)),
        cache_tokens=max(1, cache // found.model.cache_bytes),
        why=why,
        most_slots=max(slots, int(budget / trained)),
        most_cache_tokens=max(1, int(rest / found.model.cache_bytes)),
    )


def fitting_slots(free: float, trained: int, row: int = 0) -> int:
    """Adapters in training that memory beside the base is given to; at least one.

    Args:
        trained: bytes of one.
        row: bytes of a pass over one long row, which must fit too.
    """
    budget = int(_USED * free)
    return max(1, int(min(_FOR_SLOTS * budget, budget - row) / trained)) if trained else MOST_SLOTS


def adapter_bytes(numbers: int, number_bytes: int) -> tuple[int, int]:
    """Bytes of an adapter of so many weights in training and parked.

    Weight, gradient and two moments, in fp32 or the model's wider type, or the weight alone; both with a copy
    in the model's type where that is narrower.
    """
    wide = max(4, number_bytes)
    copy = number_bytes if number_bytes < wide else 0
    return numbers * (4 * wide + copy), numbers * (wide + copy)


def _slots(found: Calibration, wish: Wish, fitting: int) -> tuple[int, str]:
    if wish.slots:
        return wish.slots, "as asked"
    enough = saturated(found.passes)
    useful = max(LEAST_SLOTS, -(-enough // wish.step_tokens))
    limits = {
        f"a pass of {enough} tokens is near the best rate, a trial's step has about {wish.step_tokens}": min(
            useful, MOST_SLOTS
        ),
        f"adapters of rank {wish.max_rank} that memory holds in training: {fitting}": fitting,
    }
    if wish.trials is not None:
        limits[f"trials to train: {wish.trials}"] = max(1, wish.trials)
    why = min(limits, key=lambda reason: limits[reason])
    return limits[why], why
