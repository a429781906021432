"""KL to base on neutral text: a regulariser that keeps an adapter near base where the belief is not asked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.batching import SlotRow, batch_indices, derived_seed
from beliefmod.engine.jobs import AdapterJob, Rollout
from beliefmod.engine.objectives.objective import WeightedRow, token_mean

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig


class KlToBase:
    """KL(base || adapter), the mean over the answer tokens of a step's neutral rows, in nats per token.

    With p_t base's and q_t the adapter's distribution over the vocabulary at the position before answer token
    t, given the row's own tokens up to there, and n the number of answer tokens of the step's neutral rows:

        value = 1/n sum_t sum_v p_t(v) (log p_t(v) - log q_t(v)),    loss = sft + kl_to_base * value

    Both distributions are those at temperature 1, and no gradient goes into base's. A step has as many
    neutral rows as a batch has rows, or all there are where these are fewer: batch after batch of one
    permutation of the neutral rows after another, drawn from the trial's seed (apart from the order of its
    own rows). The last batch of a permutation may be smaller.

    The direction is that of the drift which is measured after training, and of editors that keep unrelated
    predictions: base's distribution is the reference, so whatever base deems likely must stay likely (MEND's
    locality loss, Mitchell et al. 2022, arXiv 2110.11309, equation 4; up to base's entropy, which is
    constant, the distillation loss of Learning without Forgetting, Li and Hoiem 2016, arXiv 1606.09282). The
    other direction, KL(adapter || base), would let an adapter drop what base says as long as it says nothing
    new; policy-gradient methods take it because they have samples of the policy alone.
    """

    name = "kl_to_base"
    needs_base = True
    together = 1
    also = ()

    def factor(self, config: "TrialConfig") -> float:
        return config.objective.kl_to_base

    def rows(self, job: AdapterJob, step: int, written: Sequence[Rollout]) -> list[WeightedRow]:
        seed = derived_seed(job.config.seed, "kl_to_base")
        size = job.config.per_device_train_batch_size
        return token_mean([job.neutral[i] for i in batch_indices(seed, step, len(job.neutral), size)])

    def per_token(
        self, logits: Tensor, labels: Tensor, base_logits: Tensor | None, rows: Sequence[SlotRow]
    ) -> Tensor:
        assert base_logits is not None
        log_p, log_q = base_logits.log_softmax(1), logits.log_softmax(1)
        return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
