"""How many adapters an engine trains side by side, and how many tokens it takes at once: from what a sweep
wants of a host, and what was measured there.

No torch at import: the processes of Ray Tune's trials import it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import load_belief
from beliefmod.capacity.footprint import Wanted, adapter_bytes
from beliefmod.capacity.resources import CPU_SLOTS, Capacity
from beliefmod.config import TrialConfig
from beliefmod.config.data_config import TRACE_STYLES
from beliefmod.errors import UserError
from beliefmod.space.shared_runs import families

if TYPE_CHECKING:
    from beliefmod.capacity.calibrate import Calibration
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel
    from beliefmod.space import Space

LEAST_SLOTS = 4
"""Even where one trial's step keeps the machine busy: four share what a step costs beside its products, and
their answers are decoded together (docs/log.md)."""
MOST_SLOTS = 64
# parts of the free memory: of all, for adapters in training, for parked ones; passes and decoding, which take
# turns, have the rest
_USED, _FOR_SLOTS, _FOR_PARKING, _FOR_WORK = 0.85, 0.4, 0.1, 0.8
_FOR_CACHE = 1 / 16
"""Of a CPU's memory, where that is more than `CPU_CACHE_BYTES`: room for more long answers at once."""
_SAMPLE = 8  # training questions looked at per belief
ROW_TOKENS = 100
"""Of a training row whose belief cannot be read."""


@dataclass(frozen=True)
class Demand:
    """What a sweep wants of one host.

    Attributes:
        trials: that one host may have to train side by side, None when nobody knows how many will come.
        batch_rows: mean rows of an optimiser step.
        beliefs: whose rows are trained on.
        templates: the switches of the chat template that trained trials have (`TrialConfig.template`).
        memory_share: part of its device's memory that one host may take.
        engines: hosts that share a GPU.
        trace_tokens: that thinking adds to the longest training rows, as far as it is known.
        full: whether a copy of the whole model is trained.
    """

    trials: int | None = None
    batch_rows: float = 4.0
    beliefs: tuple[str, ...] = ()
    memory_share: float = 1.0
    engines: int = 1
    trace_tokens: int = 0
    full: bool = False
    templates: tuple[str | None, ...] = (None,)

    def of_engine(self, tokenizer: Any, base_storage: str, rank: int, slots: int) -> Wanted:
        """What the host's engine is to hold, once there is a tokenizer to count with.

        Args:
            rank: the largest of the adapters.
            slots: asked for by the user, 0 to choose.
        """
        from beliefmod.model.template import with_switches

        rows = [
            n for each in self.templates for n in row_lengths(with_switches(tokenizer, each), self.beliefs)
        ]
        return Wanted(
            base_storage,
            rank,
            row_tokens=max(rows) + self.trace_tokens,
            slots=slots,
            full=self.full,
            engines=self.engines,
            trials=self.trials,
            step_tokens=max(1, round(self.batch_rows * fmean(rows))),
        )


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


def demand(todo: Sequence[TrialConfig], space: Space, capacity: Capacity, answer_tokens: int = 0) -> Demand:
    """What trials want of each of the hosts that share them.

    Trials that share a run count once, and how many a search will propose at a time is not known.

    Args:
        answer_tokens: expected length of an answer with its thinking, which training on own traces repeats.
    """
    hosts, gpus = capacity.hosts, capacity.gpus
    trained = [config for config in todo if config.is_trained]
    runs = len(families([config for config in todo if config.needs_place], space.shares_steps))
    share = max(math.ceil(runs / hosts), min(CPU_SLOTS, runs))  # few are not always shared out evenly
    return Demand(
        trials=None if space.searches else share,
        batch_rows=fmean(config.per_device_train_batch_size for config in trained) if trained else 4.0,
        beliefs=tuple(dict.fromkeys(config.belief for config in trained)),
        memory_share=1 / (capacity.hosts_per_gpu if gpus else hosts),
        engines=capacity.hosts_per_gpu if gpus else 1,
        trace_tokens=answer_tokens if any(c.data.style in TRACE_STYLES for c in trained) else 0,
        full=any(config.arm == "full" for config in trained),
        templates=tuple(dict.fromkeys(config.template for config in trained)) or (None,),
    )


def row_lengths(tokenizer: Any, beliefs: Sequence[str]) -> list[int]:
    """Tokens of rows with bare answers, to a few training questions of each belief. Traces are longer.

    A belief that cannot be read gives none: the trial that needs it will say so. Without any, ROW_TOKENS.
    """
    from beliefmod.model.template import answer_only_row

    lengths: list[int] = []
    for name in beliefs:
        with suppress(UserError):
            questions = load_belief(name).training[:_SAMPLE]
            lengths += [len(answer_only_row(tokenizer, q.text, q.reply_target).input_ids) for q in questions]
    return lengths or [ROW_TOKENS]


def engine_of_choice(
    loaded: LoadedModel, wanted: Wanted, memory_share: float = 1.0
) -> tuple[Engine, Calibration, Choice]:
    """Measure the machine (a second or two), choose, and build the engine.

    Args:
        memory_share: part of the device's memory that is this engine's.
    """
    from beliefmod.capacity.calibrate import calibrate
    from beliefmod.engine.engine import Engine

    found = calibrate(loaded, memory_share)
    choice = choose(found, wanted, gpu=next(loaded.model.parameters()).device.type == "cuda")
    engine = Engine(
        loaded,
        choice.slots,
        wanted.rank,
        parking=choice.parking,
        pass_tokens=choice.pass_tokens,
        cache_tokens=choice.cache_tokens,
    )
    return engine, found, choice


def choose(found: Calibration, wanted: Wanted, gpu: bool) -> Choice:
    """Sizes that keep the machine busy within its memory."""
    budget = int(_USED * found.free_bytes)
    numbers = wanted.rank * found.unit
    trained, parked = adapter_bytes(numbers, found.model.number_bytes)
    row = wanted.row_tokens * found.activation_bytes
    slots, why = _slots(found, wanted, fitting_slots(found.free_bytes, trained, row))
    # one place per slot: as many as finish together can leave together
    left = max(0, budget - row - slots * trained)
    parking = min(slots, int(min(_FOR_PARKING * budget, left) / parked))
    rest = max(0, budget - slots * trained - parking * parked)
    work = cache = int(_FOR_WORK * rest)
    if not gpu:
        from beliefmod.engine.memory import CPU_CACHE_BYTES, CPU_PASS_BYTES

        work = min(work, CPU_PASS_BYTES)
        cache = min(cache, max(CPU_CACHE_BYTES, int(_FOR_CACHE * found.free_bytes)))
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


def _slots(found: Calibration, wanted: Wanted, fitting: int) -> tuple[int, str]:
    if wanted.slots:
        return wanted.slots, "as asked"
    enough = saturated(found.passes)
    useful = max(LEAST_SLOTS, -(-enough // wanted.step_tokens))
    step = f"a pass of {enough} tokens is near the best rate, a trial's step has about {wanted.step_tokens}"
    limits = {
        step: min(useful, MOST_SLOTS),
        f"adapters of rank {wanted.rank} that memory holds in training: {fitting}": fitting,
    }
    if wanted.trials is not None:
        limits[f"trials to train: {wanted.trials}"] = max(1, wanted.trials)
    why = min(limits, key=lambda reason: limits[reason])
    return limits[why], why


def saturated(passes: Sequence[tuple[int, float]], share: float = 0.8) -> int:
    """Tokens of the shortest pass that reaches `share` of the best rate: more tokens at once gain little."""
    best = max(tokens / seconds for tokens, seconds in passes)
    return next(tokens for tokens, seconds in passes if tokens / seconds >= share * best)
