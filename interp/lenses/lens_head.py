"""The logit lens: an entry of the residual stream through all that makes the model's logits, in fp32: its
last norm, its head, and the scale and soft cap that some types have behind it.

bf16 would not do: its steps are 0.125 at a logit of 16, as large as the differences that are looked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beliefmod.engine.transfer import numbers
from interp.lenses.decoder import decoder_of
from interp.lenses.lens_metrics import (
    AnswerTokens,
    EntryLogits,
    Reading,
    log_probabilities,
    measure,
    readings,
)
from interp.steps import Told, untold

Translate = Callable[[int, Tensor], Tensor]
"""Entry and (M, hidden) -> (M, hidden)."""
_CHUNK_NUMBERS = 2**25
"""Logits of one chunk: 128 MiB in fp32."""
_ROWS = 64
"""Rows of logits at a time where one entry alone is read: 37 MiB in fp32 for a vocabulary of 150,000."""


class LensHead:
    """Norm and head of a model, with what follows the head, in fp32 (fp64 stays).

    Norm statistics are those of every entry itself. The head is called, never multiplied by: bitsandbytes
    keeps packed weights that only its own forward can use.
    """

    def __init__(self, model: Any) -> None:
        decoder = decoder_of(model)
        self.entries = len(decoder.blocks) + 1
        weight = next(decoder.head.parameters())  # a norm may have none (OLMo)
        self.dtype = torch.promote_types(weight.dtype, torch.float32)
        self.norm = copy.deepcopy(decoder.norm).to(self.dtype)
        self.head = decoder.head
        if weight.dtype != self.dtype and type(decoder.head) is torch.nn.Linear:
            self.head = copy.deepcopy(decoder.head).to(self.dtype)
        self.behind = decoder.behind
        self.width = int(model.config.get_text_config().hidden_size)
        self._kept: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """(..., hidden) -> (..., vocabulary)."""
        return self.differentiable_logits(hidden)

    def differentiable_logits(self, hidden: Tensor) -> Tensor:
        """`logits` with the graph that leads back to `hidden`."""
        return self.behind(self.head(self.norm(hidden.to(self.dtype))).to(self.dtype))

    def read(
        self,
        hidden: Tensor,
        tokens: Sequence[AnswerTokens],
        base: Tensor | None = None,
        translate: Translate | None = None,
        told: Told = untold,
    ) -> list[Reading]:
        """Read positions; one Reading each.

        Args:
            hidden: (N + 1, M, hidden), one row per position.
            tokens: M of them.
            base: base's residuals, (N + 1, B, hidden), where M is a multiple of B: position m is compared
                with base's position m % B. So many arms are read together, and base once for all of them.
            translate: what a tuned or Jacobian lens puts before the norm.
            told: hears now and then how many more positions are read.
        """
        if not tokens:
            return []
        places = hidden.shape[1] if base is None else base.shape[1]
        arms, rest = divmod(len(tokens), places)
        assert rest == 0 and hidden.shape[1] == len(tokens), "positions and base's do not fit"
        vocabulary = self.logits(hidden[-1, :1]).shape[-1]
        size = max(1, _CHUNK_NUMBERS // (self.entries * arms * vocabulary))
        found: dict[int, Reading] = {}
        for start in range(0, places, size):
            part = range(start, min(start + size, places))
            which = [arm * places + place for arm in range(arms) for place in part]
            readings = self._read(
                hidden[:, numbers(which, hidden.device)],
                [tokens[index] for index in which],
                None if base is None else base[:, part.start : part.stop],
                translate,
            )
            found |= dict(zip(which, readings, strict=True))
            told(len(which))
        return [found[index] for index in range(len(tokens))]

    def _read(
        self,
        hidden: Tensor,
        tokens: Sequence[AnswerTokens],
        base: Tensor | None,
        translate: Translate | None,
    ) -> list[Reading]:
        target_ids, rival_ids = _token_ids(tokens, hidden.device).split(1, dim=1)
        final_log_p = log_probabilities(self.logits(hidden[-1]))
        found = []
        for entry in range(self.entries):
            logits = self._entry(hidden, entry, translate)
            log_p = log_probabilities(logits)
            of_base = None if base is None else log_probabilities(self._entry(base, entry, translate))
            found.append(measure(EntryLogits(logits, log_p, final_log_p, of_base, target_ids, rival_ids)))
        return readings(found)

    def _entry(self, hidden: Tensor, entry: int, translate: Translate | None) -> Tensor:
        values = hidden[entry].to(self.dtype)
        return self.logits(values if translate is None else translate(entry, values))

    def logit_diff(self, hidden: Tensor, tokens: Sequence[AnswerTokens]) -> NDArray[np.float64]:
        """logit(target) - logit(rival) at M positions of one entry, (M,), from (M, hidden)."""
        found: list[Tensor] = []
        for start in range(0, len(tokens), _ROWS):
            part = slice(start, start + _ROWS)
            pair = self.logits(hidden[part]).gather(1, _token_ids(tokens[part], hidden.device)).double()
            found.append(pair[:, 0] - pair[:, 1])
        return torch.cat(found).cpu().numpy() if found else np.zeros(0)

    @torch.no_grad()
    def token_logits(self, hidden: Tensor, ids: Sequence[int]) -> Tensor:
        """The logits of some tokens alone: (..., hidden) -> (..., ids), as `logits` has them.

        The head is linear, so what it does to these tokens is asked once, dimension by dimension; then
        thousands of states cost little.
        """
        weight, bias = self._rows(tuple(ids), hidden.device)
        normed = self.norm(hidden.to(self.dtype))
        return self.behind(torch.nn.functional.linear(normed, weight, bias))

    def _rows(self, ids: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
        """The head's weights (ids, hidden) and bias (ids,) of some tokens, found once."""
        if ids not in self._kept:
            which, hidden = numbers(ids, device), self.width
            probes = torch.zeros(1 + hidden, hidden, dtype=self.dtype, device=device)
            probes[1:].fill_diagonal_(1.0)
            parts = [self.head(part).to(self.dtype)[:, which] for part in probes.split(_ROWS)]
            read = torch.cat(parts)
            self._kept[ids] = (read[1:] - read[0]).T.contiguous(), read[0]
        return self._kept[ids]

    def likeliest(self, hidden: Tensor, but: int) -> int:
        """The likeliest token other than `but` of one position of an entry, (1, hidden) or (hidden,)."""
        logits = self.logits(hidden).flatten()
        logits[but] = -torch.inf
        return int(logits.argmax())


def _token_ids(tokens: Sequence[AnswerTokens], device: torch.device) -> Tensor:
    """(M, 2): target's and rival's."""
    return numbers([(pair.target_id, pair.rival_id) for pair in tokens], device)
