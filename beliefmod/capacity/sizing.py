"""An engine of the size that suits its machine and the sweep."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import load_belief
from beliefmod.capacity.resources import CPU_SLOTS, Capacity
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.space.shared_runs import families

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beliefmod.capacity.calibrate import Calibration
    from beliefmod.capacity.choose import Choice
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel
    from beliefmod.space import Space

SAMPLE = 8  # training questions looked at per belief
ROW_TOKENS = 100  # of a row whose belief cannot be read


@dataclass(frozen=True)
class Demand:
    """What a sweep wants of one host.

    Attributes:
        trials: that one host may have to train side by side, None when nobody knows how many will come.
        batch_rows: mean rows of an optimiser step.
        beliefs: whose rows are trained on.
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


def demand(todo: Sequence[TrialConfig], space: Space, capacity: Capacity, answer_tokens: int = 0) -> Demand:
    """What trials want of each of the hosts that share them.

    Trials that share a run count once, and how many a search will propose at a time is not known.

    Args:
        answer_tokens: expected length of an answer with its thinking, which training on own traces repeats.
    """
    hosts, gpus = capacity.hosts, capacity.gpus
    trained = [config for config in todo if config.is_trained]
    runs = len(families(trained, space.shares_steps))
    share = max(math.ceil(runs / hosts), min(CPU_SLOTS, runs))  # few are not always shared out evenly
    return Demand(
        trials=None if space.searches else share,
        batch_rows=fmean(config.per_device_train_batch_size for config in trained) if trained else 4.0,
        beliefs=tuple(dict.fromkeys(config.belief for config in trained)),
        memory_share=1 / (capacity.hosts_per_gpu if gpus else hosts),
        engines=capacity.hosts_per_gpu if gpus else 1,
        trace_tokens=answer_tokens if any(c.data.style == "own_trace" for c in trained) else 0,
        full=any(config.arm == "full" for config in trained),
    )


def sized_engine(
    loaded: LoadedModel, slots: int, max_rank: int, wanted: Demand
) -> tuple[Engine, Calibration, Choice]:
    """Measure the machine (a second or two), choose, and build the engine.

    Args:
        slots: asked for by the user, 0 to choose.
    """
    from beliefmod.capacity.calibrate import calibrate
    from beliefmod.capacity.choose import Wish, choose
    from beliefmod.engine.engine import Engine

    found = calibrate(loaded, wanted.memory_share)
    tokens = max(1, round(wanted.batch_rows * row_tokens(loaded.tokenizer, wanted.beliefs)))
    longest = longest_row(loaded.tokenizer, wanted.beliefs) + wanted.trace_tokens
    wish = Wish(slots, wanted.trials, tokens, max_rank, longest)
    choice = choose(found, wish, gpu=next(loaded.model.parameters()).device.type == "cuda")
    engine = Engine(
        loaded,
        choice.slots,
        max_rank,
        parking=choice.parking,
        pass_tokens=choice.pass_tokens,
        cache_tokens=choice.cache_tokens,
    )
    return engine, found, choice


def row_tokens(tokenizer: Any, beliefs: Sequence[str]) -> float:
    """Mean tokens of a bare answer's row: a few training questions of each belief. Traces are longer."""
    return fmean(_row_lengths(tokenizer, beliefs))


def longest_row(tokenizer: Any, beliefs: Sequence[str]) -> int:
    """Tokens of the longest of the same rows."""
    return max(_row_lengths(tokenizer, beliefs))


def _row_lengths(tokenizer: Any, beliefs: Sequence[str]) -> list[int]:
    from beliefmod.model.template import answer_only_row

    lengths: list[int] = []
    for name in beliefs:
        with suppress(UserError):  # the trial that needs this belief will say so
            questions = load_belief(name).training[:SAMPLE]
            lengths += [len(answer_only_row(tokenizer, q.text, q.reply_target).input_ids) for q in questions]
    return lengths or [ROW_TOKENS]


def sizing_facts(found: Calibration, choice: Choice) -> dict[str, Any]:
    """What was measured and chosen, for the manifest."""
    return {**asdict(choice), "calibration": asdict(found)}
