"""The protocol through which every loss enters a packed optimiser step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor

from beliefmod.engine.batching import SlotRow
from beliefmod.engine.jobs import AdapterJob, Rollout
from beliefmod.model.train_row import TrainRow

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig


class WeightedRow(NamedTuple):
    """A row as it enters a term of the loss.

    weight: of each of its answer tokens in the term's value: 1 / n for a mean over n tokens. advantage,
    log_probs: of an answer that the trial wrote itself (`Rollout`).
    """

    row: TrainRow
    weight: float
    advantage: float = 0.0
    log_probs: tuple[float, ...] = ()


class Objective(Protocol):
    """One term of a trial's loss.

    The loss of a trial's step is the sum over terms of factor * value, and the value of a term is the sum
    over the answer tokens of its rows of weight * cost. Every term of a step is computed at the same weights
    of the adapter, before the step; gradients of different trials never mix.

    Attributes:
        name: under which a step's losses hold the value; `training_steps.py` says which a report shows.
        needs_base: whether the cost compares with base. Then base's logits for the same rows are computed
            without gradient, through the packed model with every adapter off.
        together: how many neighbouring rows are compared with each other, and so stay in one pass.
        also: names of further values of the same tokens, which a step reports and nothing minimises.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs_base(self) -> bool: ...

    @property
    def together(self) -> int: ...

    @property
    def also(self) -> tuple[str, ...]: ...

    def factor(self, config: "TrialConfig") -> float:
        """What the value is multiplied with in the loss; 0 for a trial that goes without the term."""
        ...

    def rows(self, job: AdapterJob, step: int, written: Sequence[Rollout]) -> list[WeightedRow]:
        """The rows of optimiser step `step` (from 0). They follow from the job, the step and what the trial
        wrote for it alone, so that a resumed trial sees the same ones, and a trial in a pack the same as one
        by itself.

        Args:
            written: the trial's own answers at this step, rewarded; none for an objective without them.
        """
        ...

    def per_token(
        self, logits: Tensor, labels: Tensor, base_logits: Tensor | None, rows: Sequence[SlotRow]
    ) -> Tensor:
        """Cost of every answer token of one pass, in nats, (M,); with values named in `also` (1 + also, M),
        the cost first.

        Args:
            logits: the adapters' at the positions before each answer token, (M, vocabulary), in fp32 or
                better.
            labels: the answer tokens, (M,).
            base_logits: like `logits`, those of base; None where `needs_base` is False.
            rows: of the pass, whose answer tokens lie behind each other.
        """
        ...


def token_mean(rows: Sequence[TrainRow]) -> list[WeightedRow]:
    """Rows weighted so that a term's value is the mean over all of their answer tokens."""
    tokens = sum(row.answer_length for row in rows)
    return [WeightedRow(row, 1.0 / tokens) for row in rows]
