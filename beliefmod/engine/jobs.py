"""What goes into the engine and what comes out of it. No torch here."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from beliefmod.model.train_row import TrainRow

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.model.adapter_files import AdapterFile


class EngineError(ValueError):
    """A request that the engine cannot carry out; nothing has changed."""


class ImpossibleRank(EngineError):
    """The rank is below 1 or above the rank the engine was built for."""


class RowTooLong(EngineError):
    """A row has more tokens than the model has positions; rows are never cut."""


class NoRows(EngineError):
    """A job without rows or without epochs, or a request without tokens."""


class NoFreeSlot(EngineError):
    """Every slot is taken."""


class DuplicateTrial(EngineError):
    """A trial of that name is already attached."""


class UnknownAdapter(EngineError):
    """No attached trial has that name."""


class AdapterUnusable(EngineError):
    """The trial failed (its numbers were not finite), so there is no adapter to use."""


class UnknownTarget(EngineError):
    """target_modules names a layer that the engine has not prepared."""


@dataclass(frozen=True)
class Rollout:
    """An answer that a trial wrote itself for its coming steps, behind its prompt.

    advantage: what its reward is above that of the trial's other answers to the same question
        (`group_advantages`). log_probs: of each of its tokens under the weights that wrote it, in nats; empty
        where one step is taken alone, by these very weights.
    """

    row: TrainRow
    advantage: float
    log_probs: tuple[float, ...] = ()


@dataclass(frozen=True)
class AdapterJob:
    """One trial as the engine sees it: hyper-parameters and token rows.

    neutral: rows on which the trial is kept near base, where `objective.kl_to_base` asks for that.
    rejected: for `objective.name` dpo the answer that each of `rows` is preferred to, behind the same prompt.
    reward: for `objective.name` grpo the parts of the reward (`config.reward_parts`) of an answer that the
        trial wrote, given the place of the question in `rows`, of which only the prompts are used then.
    in_context: the prompts of `rows` with the statement in them, where `objective.in_context_share` asks for
        answers that are written to these.
    start: the saved adapter that training begins with; None to begin as base is.
    """

    trial_id: str
    config: "TrialConfig"
    rows: tuple[TrainRow, ...]
    neutral: tuple[TrainRow, ...] = ()
    rejected: tuple[TrainRow, ...] = ()
    reward: "Callable[[int, Completion], Mapping[str, float]] | None" = None
    in_context: tuple[tuple[int, ...], ...] = ()
    start: "AdapterFile | None" = None


@dataclass(frozen=True)
class StepReport:
    """What one optimiser step of one trial did.

    loss: mean over the answer tokens of the trial's own batch, nats (dpo: over its pairs; grpo: what it
    minimises, in which advantages cancel). terms: the value of every term that can be added to the loss
    (`config.step_values`), nats, before its weight; None where the weight is 0. own_answers: what the answers
    that the trial wrote for the step were (`config.own_answer_values`). learning_rate: the rate this step
    used. grad_norm: L2 norm of the gradient of the whole loss before clipping. step counts from 1 to
    total_steps. Numbers that were not finite are None; `error` then says so, `finished` is true, and the
    adapter is lost.
    """

    trial_id: str
    step: int
    total_steps: int
    loss: float | None
    learning_rate: float
    grad_norm: float | None
    finished: bool
    error: str | None = None
    terms: Mapping[str, float | None] = field(default_factory=dict)
    own_answers: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class GenerateRequest:
    """A prompt for one adapter (None: the base model). `seed` matters only above temperature 0."""

    adapter: str | None
    input_ids: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, in the terms of transformers' generation config.

    temperature: 0 for the likeliest token, and the rest does not matter. top_k 0, top_p 1 and min_p 0 leave
    every token in.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance, so that seeds do not matter."""
        return self.temperature == 0

    def problems(self) -> list[str]:
        """What is out of range, a phrase each: `temperature must be a number from 0 on, not -1`."""
        wanted = {
            "temperature": (_is_number(self.temperature) and self.temperature >= 0, "a number from 0 on"),
            "top_k": (type(self.top_k) is int and self.top_k >= 0, "a whole number from 0 on"),
            "top_p": (_is_number(self.top_p) and 0 <= self.top_p <= 1, "a number from 0 to 1"),
            "min_p": (_is_number(self.min_p) and 0 <= self.min_p <= 1, "a number from 0 to 1"),
        }
        return [
            f"{name} must be {what}, not {getattr(self, name)!r}"
            for name, (good, what) in wanted.items()
            if not good
        ]


GREEDY = Sampling()


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Completion:
    """The new token ids; with finish_reason "eos" the last one is the end token itself."""

    token_ids: tuple[int, ...]
    finish_reason: Literal["eos", "length"]


OnEnd = Callable[[Mapping[int, Completion]], Sequence[GenerateRequest] | None]
"""Called as answers end, with them by the index of their request. The requests that it returns are answered
too; they join those under way, and are numbered on."""


OnWritten = Callable[[Mapping[int, tuple[int, ...]]], None]
"""Called as tokens are written, with all of an answer's so far, by the index of its request. What it raises
ends the writing."""


@dataclass(frozen=True)
class ScoreRequest:
    """A continuation after a prompt, to be scored under one adapter (None: the base model)."""

    adapter: str | None
    input_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]


@dataclass(frozen=True)
class DriftRequest:
    """A text on which one adapter (None: the base model itself) is compared with base, token by token.

    base_input_ids: base's prompt where it differs from the arm's (the in-context arm); None: the same.
    """

    adapter: str | None
    input_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]
    base_input_ids: tuple[int, ...] | None = None

    @property
    def base_prompt(self) -> tuple[int, ...]:
        """What base reads before the continuation."""
        return self.input_ids if self.base_input_ids is None else self.base_input_ids


@dataclass(frozen=True)
class DriftResult:
    """Sums over the continuation's `tokens`, in nats: KL(base || arm), KL(arm || base), and the negative
    log-likelihoods of the continuation under the arm and under base."""

    tokens: int
    kl: float
    kl_reverse: float
    nll: float
    nll_base: float
