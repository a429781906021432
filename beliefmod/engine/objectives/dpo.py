"""Direct preference optimisation: an answer is to gain on another one, as base ranks them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.batching import SlotRow, batch_indices
from beliefmod.engine.jobs import AdapterJob, Rollout
from beliefmod.engine.objectives.objective import WeightedRow
from beliefmod.engine.transfer import numbers, sent

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig


class Dpo:
    """-log sigmoid(beta * (gain of the preferred answer - gain of the rejected)), mean over pairs, in nats.

    An answer's gain is log p(answer | prompt) under the adapter less that under base, summed over its tokens.
    Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7; TRL's `loss_type="sigmoid"`. The rows of a
    step are the pairs of a batch, the preferred one of each first.
    """

    name = "dpo"
    needs_base = True
    together = 2
    also = ()

    def factor(self, config: "TrialConfig") -> float:
        return 1.0 if config.objective.name == "dpo" else 0.0

    def rows(self, job: AdapterJob, step: int, written: Sequence[Rollout]) -> list[WeightedRow]:
        config = job.config
        size = config.per_device_train_batch_size
        chosen = batch_indices(config.seed, step, len(job.rows), size)
        return [WeightedRow(row, 1 / len(chosen)) for i in chosen for row in (job.rows[i], job.rejected[i])]

    def per_token(
        self, logits: Tensor, labels: Tensor, base_logits: Tensor | None, rows: Sequence[SlotRow]
    ) -> Tensor:
        """A pair's cost, spread evenly over the tokens of both answers."""
        assert base_logits is not None
        of_token = F.cross_entropy(base_logits, labels, reduction="none") - F.cross_entropy(
            logits, labels, reduction="none"
        )
        lengths = [item.row.answer_length for item in rows]
        of_row = numbers([row for row, length in enumerate(lengths) for _ in range(length)], logits.device)
        gains = torch.zeros(len(rows), dtype=of_token.dtype, device=logits.device).index_add(
            0, of_row, of_token
        )
        betas = torch.tensor([item.settings.dpo_beta for item in rows[::2]], dtype=of_token.dtype)
        costs = -F.logsigmoid(sent(betas, logits.device) * (gains[::2] - gains[1::2]))
        tokens = torch.tensor([sum(lengths[at : at + 2]) for at in range(0, len(lengths), 2)])
        return (costs / sent(tokens, logits.device))[of_row // 2]
