"""Supervised fine-tuning: the mean negative log-likelihood of a batch's answer tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.batching import SlotRow, batch_indices
from beliefmod.engine.jobs import AdapterJob, Rollout
from beliefmod.engine.objectives.objective import WeightedRow, token_mean

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig


class Sft:
    """-log p(token | tokens before it), mean over the answer tokens of a batch, in nats."""

    name = "sft"
    needs_base = False
    together = 1
    also = ()

    def factor(self, config: "TrialConfig") -> float:
        return 1.0 if config.objective.name == "sft" else 0.0

    def rows(self, job: AdapterJob, step: int, written: Sequence[Rollout]) -> list[WeightedRow]:
        config = job.config
        size = config.per_device_train_batch_size
        return token_mean([job.rows[i] for i in batch_indices(config.seed, step, len(job.rows), size)])

    def per_token(
        self, logits: Tensor, labels: Tensor, base_logits: Tensor | None, rows: Sequence[SlotRow]
    ) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")
