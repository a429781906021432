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

from interp.lenses.decoder import decoder_of

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
            base: base's residuals, (N + 1, B, hidden), where M is a multiple of B: position m is compared
                with base's position m % B. So many arms are read together, and base once for all of them.
            translate: what a tuned or Jacobian lens puts before the norm.
        """
        if not contrasts:
            return []
        places = hidden.shape[1] if base is None else base.shape[1]
        arms, rest = divmod(len(contrasts), places)
        assert rest == 0 and hidden.shape[1] == len(contrasts), "positions and base's do not fit"
        vocabulary = self.logits(hidden[-1, :1]).shape[-1]
        size = max(1, _CHUNK_NUMBERS // (self.entries * arms * vocabulary))
        found: dict[int, Reading] = {}
        for start in range(0, places, size):
            part = range(start, min(start + size, places))
            which = [arm * places + place for arm in range(arms) for place in part]
            readings = self._read(
                hidden[:, which],
                [contrasts[index] for index in which],
                None if base is None else base[:, part.start : part.stop],
                translate,
            )
            found |= dict(zip(which, readings, strict=True))
        return [found[index] for index in range(len(contrasts))]

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
        final = _log_p(self.logits(hidden[-1]))
        final_p = final.exp()
        final_self = _dot(final_p, final)
        columns: list[Tensor] = []
        for entry in range(self.entries):
            logits = self._entry(hidden, entry, translate)
            log_p = _log_p(logits)
            p = log_p.exp()
            chosen = [logits.gather(1, ids)[:, 0].double() for ids in (target, rival)]
            ranks = [(logits > logits.gather(1, ids)).sum(1).double() for ids in (target, rival)]
            kl_base = torch.zeros_like(chosen[0])
            if base is not None:
                of_base = _log_p(self._entry(base, entry, translate))
                base_p = of_base.exp()
                # (arms, base's positions, vocabulary)
                cross = _dot(base_p, log_p.unflatten(0, (-1, len(base_p))))
                kl_base = (_dot(base_p, of_base) - cross).flatten().clamp_min(0.0)
            columns.append(
                torch.stack(
                    (
                        *chosen,
                        *ranks,
                        *(p.gather(1, ids)[:, 0] for ids in (target, rival)),
                        -_dot(p, log_p),
                        (final_self - _dot(final_p, log_p)).clamp_min(0.0),
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


def _log_p(logits: Tensor) -> Tensor:
    """Log-probabilities in fp64. Tokens that a head rules out (some give padding of the vocabulary minus
    infinity) get the least number instead, so that 0 times it is 0."""
    log_p = logits.double().log_softmax(-1)
    return log_p.clamp_min_(torch.finfo(log_p.dtype).min)


def _dot(p: Tensor, log_q: Tensor) -> Tensor:
    """sum p log q over the last dimension, without a product of that size in memory. KL(p || q) is
    sum p log p - sum p log q, which rounding may put a hair below 0."""
    return torch.linalg.vecdot(p, log_q)


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
