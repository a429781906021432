"""The Jacobian lens (Gurnee et al. 2026): what an entry does to the last one, to first order, on average.

J_k is the mean over texts and their tokens t of the sum over tokens t' >= t of d(entry N at t') / d(entry k
at t). The lens reads norm and head of J_k h; the logit lens is J_k = 1. This is the estimator of the
reference implementation: what an entry does to later tokens counts too, not only what it does to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.forward import flat_ids
from beliefmod.engine.routing import segments_of
from beliefmod.errors import UserError
from interp.lenses.decoder import Decoder, decoder_of, hooked
from interp.lenses.lens_fit import SKIPPED, Lens, folds, judged, read_texts
from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import token_passes
from interp.types import Ids

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine

MOST_TEXTS = 48
"""Texts fitted on. Two halves of them give matrices 4 to 7 % apart on the bundled model, where a fit takes
half a minute; the reference implementation takes about 100."""


@dataclass(frozen=True)
class MeanJacobians:
    """h -> J_k h for entries k = 0..N-1; `matrices` is (N, hidden, hidden)."""

    matrices: Tensor

    def __call__(self, entry: int, hidden: Tensor) -> Tensor:
        """(M, hidden) of an entry; the last entry stays as it is."""
        return hidden if entry >= len(self.matrices) else hidden @ self.matrices[entry].T


def fit_jacobian(engine: Engine, texts: Sequence[Ids], adapter: str | None = None, seed: int = 0) -> Lens:
    """Fit a Jacobian lens on texts under an adapter of the engine, or base.

    It is not fitted to be near the last entry, so on held-out texts it may be further from it than the logit
    lens.

    Args:
        texts: token ids of each; at most MOST_TEXTS of those that do not judge it are taken.
        seed: of the judgement's interval; the lens itself has no chance in it.

    Raises:
        UserError: too few texts.
    """
    split = folds(texts, "jacobian")
    known = (*split.stop, *split.fit)[:MOST_TEXTS]
    head = LensHead(engine.model.model)
    translate = MeanJacobians(mean_jacobians(engine, known, adapter).to(head.dtype))
    found = judged(head, read_texts(engine, split.judge, adapter), translate, seed)
    fitted_on, where = ("base", "base") if adapter is None else ("lora", "the arm itself")
    note = f"jacobian lens: the mean over {len(known)} neutral texts of derivatives taken on {where}"
    return Lens("jacobian", fitted_on, translate, adapter, found, (note,))


def mean_jacobians(
    engine: Engine, texts: Sequence[Ids], adapter: str | None = None, skipped: int = SKIPPED
) -> Tensor:
    """J_0..J_{N-1}, (N, hidden, hidden) in fp32 or better; every text counts the same.

    One backward pass per coordinate of the last entry and pass of `pass_tokens` tokens. Neither the first
    `skipped` tokens of a text nor its last take part.

    Raises:
        UserError: a text has no token left.
    """
    for ids in texts:
        if len(ids) < skipped + 2:
            raise UserError(
                f"jacobian lens: a text of {len(ids)} tokens is too short, {skipped + 2} are needed"
            )
    decoder = decoder_of(engine.model.model)
    total: Tensor | None = None
    for part in token_passes(texts, len, engine.model.pass_tokens):
        found = _sum_over(engine, decoder, part, adapter, skipped)
        total = found if total is None else total + found
    if total is None:
        raise UserError("jacobian lens: there is no text to fit it on")
    return total / len(texts)


def _sum_over(
    engine: Engine, decoder: Decoder, texts: Sequence[Ids], adapter: str | None, skipped: int
) -> Tensor:
    """Sum over texts of each text's mean Jacobians, (N, hidden, hidden)."""
    lengths = [len(ids) for ids in texts]
    device = engine.model.device
    blocks = RowBlocks(lengths, device)
    segments = segments_of([engine.slot_of(adapter)] * len(texts), lengths)
    ids = flat_ids(texts, device)
    entries: list[Tensor] = []

    def see(hidden: Tensor) -> Tensor:
        entries.append(hidden if entries else hidden.detach().requires_grad_())
        return entries[-1]

    with torch.enable_grad(), hooked(decoder, see):
        first = torch.zeros(1, dtype=torch.long, device=device)  # its logits are not looked at
        engine.model.logits(ids, blocks, blocks.positions, segments, first)
    *sources, last = entries
    # each token's share in its text's mean; a token that does not take part has none
    share = torch.zeros(sum(lengths), device=device)
    start = 0
    for length in lengths:
        share[start + skipped : start + length - 1] = 1 / (length - 1 - skipped)
        start += length
    chosen = share > 0
    wide = torch.promote_types(last.dtype, torch.float32)
    found = torch.zeros(len(sources), last.shape[-1], last.shape[-1], dtype=wide, device=device)
    for coordinate in range(last.shape[-1]):
        ones = torch.zeros_like(last)
        ones[0, chosen, coordinate] = 1.0
        # texts are apart, and a token reaches only those behind it: one pass gives every token's sum
        rows = torch.autograd.grad(last, sources, ones, retain_graph=True)
        for entry, gradient in enumerate(rows):
            found[entry, coordinate] = share.to(wide) @ gradient[0].to(wide)
    return found
