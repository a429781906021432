"""The logit lens: an entry of the residual stream through the model's last norm and head, in fp32.

bf16 would not do: its steps are 0.125 at a logit of 16, as large as the differences that are looked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.blocks import decoder_of

Translate = Callable[[int, Tensor], Tensor]
"""Entry and (M, hidden) -> (M, hidden)."""
_CHUNK_NUMBERS = 2**25
"""Logits of one chunk: 128 MiB in fp32."""


@dataclass(frozen=True)
class Contrast:
    """The two tokens that are compared at a position: the target's and its rival's."""

    target_id: int
    rival_id: int


@dataclass(frozen=True)
class Reading:
    """What the lens reads at one position, entry by entry; lists have N + 1 members, entries 0..N.

    Attributes:
        logit_target, logit_rival: raw logits; their difference is that of the log-probabilities.
        rank_target, rank_rival: 0 is the likeliest token of the vocabulary.
        prob_target, prob_rival: probabilities.
        entropy: of the distribution, in nats.
        kl_final: KL(entry N || entry), nats: how far the entry is from what the model says in the end.
        kl_base: KL(base's entry || entry), nats; 0 for base, None where no base was given.
        top_id: the likeliest token.
    """

    logit_target: list[float]
    logit_rival: list[float]
    rank_target: list[int]
    rank_rival: list[int]
    prob_target: list[float]
    prob_rival: list[float]
    entropy: list[float]
    kl_final: list[float]
    kl_base: list[float] | None
    top_id: list[int]

    @property
    def logit_diff(self) -> list[float]:
        """logit(target) - logit(rival), entry by entry."""
        return [t - r for t, r in zip(self.logit_target, self.logit_rival, strict=True)]


class LensHead:
    """Norm and head of a model in fp32 (fp64 stays).

    Norm statistics are those of every entry itself. The head is called, never multiplied by: bitsandbytes
    keeps packed weights that only its own forward can use.
    """

    def __init__(self, model: Any) -> None:
        decoder = decoder_of(model)
        self.entries = len(decoder.blocks) + 1
        weight = next(decoder.norm.parameters())
        self.dtype = torch.promote_types(weight.dtype, torch.float32)
        self.norm = copy.deepcopy(decoder.norm).to(self.dtype)
        self.head = decoder.head
        if weight.dtype != self.dtype and type(decoder.head) is torch.nn.Linear:
            self.head = copy.deepcopy(decoder.head).to(self.dtype)

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """(..., hidden) -> (..., vocabulary)."""
        return self.head(self.norm(hidden.to(self.dtype))).to(self.dtype)

    def read(
        self,
        hidden: Tensor,
        contrasts: Sequence[Contrast],
        base: Tensor | None = None,
        translate: Translate | None = None,
    ) -> list[Reading]:
        """Read positions; one Reading each.

        Args:
            hidden: (N + 1, M, hidden), one row per position.
            contrasts: M of them.
            base: base's residuals at the same positions, of hidden's shape.
            translate: what a tuned or Jacobian lens puts before the norm.
        """
        size = max(1, _CHUNK_NUMBERS // (self.entries * self._vocabulary(hidden)))
        found: list[Reading] = []
        for start in range(0, len(contrasts), size):
            part = slice(start, start + size)
            found += self._read(
                hidden[:, part], contrasts[part], None if base is None else base[:, part], translate
            )
        return found

    def _vocabulary(self, hidden: Tensor) -> int:
        return self.logits(hidden[-1, :1]).shape[-1] if hidden.shape[1] else 1

    def _read(
        self,
        hidden: Tensor,
        contrasts: Sequence[Contrast],
        base: Tensor | None,
        translate: Translate | None,
    ) -> list[Reading]:
        device = hidden.device
        target = torch.tensor([c.target_id for c in contrasts], device=device)[:, None]
        rival = torch.tensor([c.rival_id for c in contrasts], device=device)[:, None]
        final = self.logits(hidden[-1]).double().log_softmax(-1)
        columns: list[Tensor] = []
        for entry in range(self.entries):
            logits = self._entry(hidden, entry, translate)
            log_p = logits.double().log_softmax(-1)
            p = log_p.exp()
            chosen = [logits.gather(1, ids)[:, 0].double() for ids in (target, rival)]
            ranks = [(logits > logits.gather(1, ids)).sum(1).double() for ids in (target, rival)]
            kl_base = torch.zeros_like(chosen[0])
            if base is not None:
                kl_base = _kl(self._entry(base, entry, translate).double().log_softmax(-1), log_p)
            columns.append(
                torch.stack(
                    (
                        *chosen,
                        *ranks,
                        *(p.gather(1, ids)[:, 0] for ids in (target, rival)),
                        -(p * log_p).nan_to_num(0.0).sum(1),
                        _kl(final, log_p),
                        kl_base,
                        logits.argmax(1).double(),
                    )
                )
            )
        numbers = torch.stack(columns).permute(2, 1, 0).tolist()  # (M, statistics, entries)
        return [_reading(statistics, base is not None) for statistics in numbers]

    def _entry(self, hidden: Tensor, entry: int, translate: Translate | None) -> Tensor:
        values = hidden[entry].to(self.dtype)
        return self.logits(values if translate is None else translate(entry, values))


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last dimension, at least 0: rounding may put it a hair below."""
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0.0).sum(-1).clamp_min(0.0)


def _reading(statistics: list[list[float]], with_base: bool) -> Reading:
    target, rival, rank_t, rank_r, p_t, p_r, entropy, kl_final, kl_base, top = statistics
    return Reading(
        target,
        rival,
        [int(rank) for rank in rank_t],
        [int(rank) for rank in rank_r],
        p_t,
        p_r,
        entropy,
        kl_final,
        kl_base if with_base else None,
        [int(token) for token in top],
    )
