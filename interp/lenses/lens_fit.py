"""A lens, and how one is fitted: texts read entry by entry, and a judgement on texts not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from beliefmod.errors import UserError
from interp.family_bootstrap import drawn_means, interval, question_weights
from interp.lenses.lens_metrics import kl_divergence, log_probabilities
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.types import Ids

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from interp.lenses.lens_head import LensHead, Translate

FOLDS = 5
"""One fold of the texts judges a lens, one stops the fit of a tuned lens, the rest are fitted on."""
FEWEST = 2 * FOLDS
"""Texts below which no lens is fitted: an interval needs two texts to judge by."""
SKIPPED = 1
"""Leading tokens of a text that are left out: the first is where attention goes that has nowhere to go, and
its residual is larger than any other's (Xiao et al. 2024, attention sinks)."""
_TOKENS = 256
"""Tokens whose distributions are compared at a time."""


@dataclass(frozen=True)
class HeldOut:
    """How near an entry's distribution is to the last one's, on texts that nothing was fitted on.

    Attributes:
        kl, kl_logit: mean KL(last entry || entry) over tokens, nats, with the lens and with the logit lens.
        gain_low, gain_high: bootstrap 95 % interval of kl_logit - kl; texts are drawn again, not tokens.
        texts, tokens: how many there were.
    """

    entry: int
    kl: float
    kl_logit: float
    gain_low: float | None
    gain_high: float | None
    texts: int
    tokens: int


def _as_it_is(entry: int, hidden: Tensor) -> Tensor:
    return hidden


@dataclass(frozen=True)
class Lens:
    """What an entry goes through before the model's norm and head.

    Attributes:
        name: logit, tuned or jacobian.
        fitted_on: the arm whose residuals it was fitted on, "base" or "lora"; None for the logit lens.
        translate: an entry 0..N and its residuals (M, hidden) -> (M, hidden), the last entry as it is; the
            logit lens leaves every entry as it is.
        adapter: the engine's adapter that it alone is for; None: every arm.
        held_out: the judgement on texts not fitted on, one per entry.
        notes: what a reader must know, one sentence each.
    """

    name: str
    fitted_on: str | None = None
    translate: Translate = _as_it_is
    adapter: str | None = None
    held_out: tuple[HeldOut, ...] = ()
    notes: tuple[str, ...] = ()

    def reads(self, adapter: str | None) -> bool:
        """Whether it is for the arm of this adapter (None: an untrained arm)."""
        return self.adapter in (None, adapter)


LOGIT = Lens("logit")


@dataclass(frozen=True)
class Folds:
    """Texts to fit on, to stop a fit by, and to judge by; no text is in two of them."""

    fit: tuple[Ids, ...]
    stop: tuple[Ids, ...]
    judge: tuple[Ids, ...]


def folds(texts: Sequence[Ids], name: str) -> Folds:
    """Split texts.

    Raises:
        UserError: there are fewer than FEWEST.
    """
    usable = [ids for ids in texts if len(ids) > SKIPPED]
    if len(usable) < FEWEST:
        raise UserError(
            f"--lens {name}: {len(usable)} neutral texts are too few to fit a lens on and to judge it by (it "
            f"takes {FEWEST}); leave it out, or add passages to the model's neutral.yaml"
        )
    kept = [tuple(usable[part::FOLDS]) for part in range(FOLDS)]  # of every kind of text some are in each
    return Folds(tuple(ids for part in kept[2:] for ids in part), kept[1], kept[0])


def read_texts(engine: Engine, texts: Sequence[Ids], adapter: str | None) -> list[Tensor]:
    """Residuals of each text, (N + 1, tokens - SKIPPED, hidden), under an adapter of the engine or base."""
    rows = [ProbedRow(ids, tuple(range(SKIPPED, len(ids))), adapter) for ids in texts]
    return residuals(engine, rows)


def judged(head: LensHead, texts: Sequence[Tensor], translate: Translate, seed: int) -> tuple[HeldOut, ...]:
    """Judge a lens on texts read by `read_texts`; the last entry is what it is compared with."""
    with_lens = np.array([mean_kl(head, [hidden], translate) for hidden in texts])
    without = np.array([mean_kl(head, [hidden], _as_it_is) for hidden in texts])
    tokens = np.array([hidden.shape[1] for hidden in texts], dtype=np.float64)
    weights = question_weights([str(index) for index in range(len(texts))], seed=seed) * tokens
    gains = drawn_means(without - with_lens, weights)
    share = tokens / tokens.sum()
    return tuple(
        HeldOut(
            entry,
            float(share @ with_lens[:, entry]),
            float(share @ without[:, entry]),
            *interval(gains[:, entry]),
            len(texts),
            int(tokens.sum()),
        )
        for entry in range(head.entries)
    )


@torch.no_grad()
def mean_kl(head: LensHead, texts: Sequence[Tensor], translate: Translate) -> list[float]:
    """Mean KL(last entry || entry) over all tokens of the texts, nats, entry by entry.

    Args:
        texts: (N + 1, tokens, hidden) each.
    """
    hidden = torch.cat(list(texts), 1)
    sums = torch.zeros(head.entries, dtype=torch.float64, device=hidden.device)
    for part in hidden.split(_TOKENS, 1):
        final = log_probabilities(head.logits(part[-1]))
        for entry in range(head.entries):
            logits = head.logits(translate(entry, part[entry].to(head.dtype)))
            sums[entry] += kl_divergence(final, log_probabilities(logits)).sum()
    return (sums / hidden.shape[1]).tolist()
