"""Group relative policy optimisation: a trial's own answers, pushed by how their rewards differ."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from beliefmod.config import ObjectiveConfig
from beliefmod.engine.batching import SlotRow, of_tokens
from beliefmod.engine.jobs import AdapterJob, Rollout
from beliefmod.engine.objectives.objective import WeightedRow
from beliefmod.engine.transfer import numbers
from beliefmod.model.train_row import TrainRow

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig

LEAST_DEVIATION = 1e-4
"""Added to a group's standard deviation, as TRL does, so that equal rewards give no advantage."""


class Grpo:
    """The clipped policy gradient of GRPO, with the KL from the trial to base, on answers that it just wrote.

    With A an answer's advantage, p_t the trial's and b_t base's probability of the answer's token t, both at
    the temperature at which it was sampled, and r_t what p_t is over the one under the weights that wrote it:

        cost_t = grpo_beta * r_t * (b_t / p_t - log(b_t / p_t) - 1)
                 - min(r_t * A, clip(r_t, 1 - epsilon, 1 + epsilon) * A)

    in which the term behind r_t is an estimate of KL(trial || base) that is never negative (Schulman's k3);
    with r_t before it its gradient is that of the KL itself (arXiv 2512.02556). `loss_type`
    grpo is the mean over answers of the mean over their tokens (Shao et al. 2024, arXiv 2402.03300, equation
    3), dr_grpo the sum over all tokens, over the number of answers and `max_completion_length` (Liu et al.
    2025, arXiv 2503.20783). With `num_iterations` 1 the weights that take the step are those that wrote the
    answers, so that r_t is 1 and nothing is clipped.

    Beside its value the term has `kl_own_answers`: the sum over an answer's tokens of that estimate, mean
    over answers, in nats.
    """

    name = "grpo"
    needs_base = True
    together = 1
    also = ("kl_own_answers",)

    def factor(self, config: "TrialConfig") -> float:
        return 1.0 if config.objective.name == "grpo" else 0.0

    def rows(self, job: AdapterJob, step: int, written: Sequence[Rollout]) -> list[WeightedRow]:
        settings = job.config.objective
        return [
            WeightedRow(
                item.row,
                1.0 / (len(written) * _counted(item.row, settings)),
                item.advantage,
                item.log_probs,
            )
            for item in written
        ]

    def per_token(
        self, logits: Tensor, labels: Tensor, base_logits: Tensor | None, rows: Sequence[SlotRow]
    ) -> Tensor:
        assert base_logits is not None

        def each(values: list[float]) -> Tensor:
            return of_tokens(values, rows, logits.device, logits.dtype)

        own = token_log_probs(logits, labels, rows)
        gap = token_log_probs(base_logits, labels, rows) - own
        divergence = gap.exp() - gap - 1
        advantage = each([item.advantage for item in rows])
        beta = each([item.settings.grpo_beta for item in rows])
        epsilon = each([item.settings.epsilon for item in rows])
        ratio = (own - _log_probs_before(own, rows)).exp()
        clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
        cost = beta * ratio * divergence - torch.minimum(ratio * advantage, clipped * advantage)
        # a token has the weight 1 / (answers * tokens counted of each)
        counted = each([_counted(item.row, item.settings) for item in rows])
        return torch.stack((cost, counted * divergence))


def token_log_probs(logits: Tensor, labels: Tensor, rows: Sequence[SlotRow]) -> Tensor:
    """Log-probability of every answer token at its trial's temperature, (M,), in nats.

    Args:
        logits, labels, rows: as in `Objective.per_token`.
    """
    temperatures = [item.settings.temperature for item in rows]
    temperature = of_tokens(temperatures, rows, logits.device, logits.dtype)[:, None]
    return -F.cross_entropy(logits / temperature, labels, reduction="none")


def _log_probs_before(own: Tensor, rows: Sequence[SlotRow]) -> Tensor:
    """Log-probabilities under the weights that wrote the answers, (M,): where none are kept, those of now."""
    if not any(item.log_probs for item in rows):
        return own.detach()
    kept = [item.log_probs or (math.nan,) * item.row.answer_length for item in rows]
    before = numbers([value for row in kept for value in row], own.device, own.dtype)
    return torch.where(before.isnan(), own.detach(), before)


def _counted(row: TrainRow, settings: ObjectiveConfig) -> float:
    """Tokens over which an answer's costs are a mean: its own, or as many as any answer may have."""
    return float(row.answer_length if settings.loss_type == "grpo" else settings.max_completion_length)


def group_advantages(
    rewards: Sequence[float], size: int, loss_type: Literal["grpo", "dr_grpo"]
) -> list[float]:
    """What each answer's reward is above the mean of its group; for grpo over the group's standard deviation.

    Args:
        rewards: of answers, those of a group of `size` behind each other.

    >>> group_advantages([1.0, 0.0, 0.0, 0.0], 2, "dr_grpo")
    [0.5, -0.5, 0.0, 0.0]
    """
    found: list[float] = []
    for start in range(0, len(rewards), size):
        group = rewards[start : start + size]
        mean = fmean(group)
        scale = stdev(group) + LEAST_DEVIATION if loss_type == "grpo" else 1.0
        found += [(reward - mean) / scale for reward in group]
    return found
