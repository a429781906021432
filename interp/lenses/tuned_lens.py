"""The tuned lens (Belrose et al. 2023): an affine map before norm and head, one per entry.

It takes away what the logit lens gets wrong because early entries are written in another basis. It is fitted
to what the model says in the end, so one that was fitted on base pulls another arm's early entries towards
base: one lens for all arms is comparable, each arm's own is faithful. `fitted_on` says which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.lenses.lens_fit import Lens, folds, judged, mean_kl, read_texts
from interp.lenses.lens_head import LensHead
from interp.types import Ids

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine

_RATE = 3e-3
"""Adam's step. A third of it ends 0.03 nats nearer on the bundled model and takes four times as long."""
_BATCH = 256
_EPOCHS, _PATIENCE = 60, 3
"""Epochs at most, and epochs in which no entry got better before the fit stops."""
_MOST_TOKENS = 8192
"""Tokens fitted on: at 36 blocks of 2,560 in bf16 their residuals take 1.5 GB."""


@dataclass(frozen=True)
class Maps:
    """h -> h + A h + b for entries 0..N-1: A (N, hidden, hidden), b (N, hidden)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, entry: int, hidden: Tensor) -> Tensor:
        """(M, hidden) of an entry; the last entry stays as it is."""
        if entry >= len(self.weight):
            return hidden
        return hidden + hidden @ self.weight[entry].T + self.bias[entry]


def fit_tuned(engine: Engine, texts: Sequence[Ids], adapter: str | None = None, seed: int = 0) -> Lens:
    """Fit a tuned lens on texts under an adapter of the engine, or base.

    The maps begin as the identity, which is the logit lens. Loss is KL(last entry || entry), mean over
    tokens; each entry keeps what was best on texts set aside for that, and is judged on others again. An
    entry whose map is no better there than the logit lens gets a map of zeros, which is the logit lens.

    Args:
        texts: token ids of each.
        seed: of the order of the tokens and of the judgement's interval.

    Raises:
        UserError: too few texts.
    """
    split = folds(texts, "tuned")
    head = LensHead(engine.model.model)
    stop, judge = (read_texts(engine, part, adapter) for part in (split.stop, split.judge))
    known = torch.cat(read_texts(engine, split.fit, adapter), 1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(known.shape[1], generator=generator)[:_MOST_TOKENS].to(known.device)
    maps = _fit(head, known[:, order], stop, _identity(known, head), generator)
    found = judged(head, judge, maps, seed)
    refused = tuple(h.entry for h in found[:-1] if not h.kl < h.kl_logit)
    if refused:
        places = torch.tensor(refused, device=known.device)
        maps = Maps(
            maps.weight.index_fill(0, places, 0.0),
            maps.bias.index_fill(0, places, 0.0),
        )
        found = judged(head, judge, maps, seed)
    where = "base's" if adapter is None else "the arm's own"
    notes = [
        f"tuned lens: fitted on {where} residuals over neutral texts, judged on "
        f"{found[0].texts} others; how near it is at the belief's own tokens, kl_final says"
    ]
    if refused:
        entries = ", ".join(str(entry) for entry in refused)
        notes.append(
            f"tuned lens: at entry {entries} it was no nearer to the last entry than the logit lens on "
            "texts it was not fitted on, so the logit lens is read there"
        )
    fitted_on = "base" if adapter is None else "lora"
    return Lens("tuned", fitted_on, maps, adapter, found, tuple(notes))


def _identity(known: Tensor, head: LensHead) -> Maps:
    count, _, hidden = known.shape
    place = {"dtype": head.dtype, "device": known.device}
    return Maps(torch.zeros(count - 1, hidden, hidden, **place), torch.zeros(count - 1, hidden, **place))


def _fit(
    head: LensHead, known: Tensor, stop: Sequence[Tensor], begin: Maps, generator: torch.Generator
) -> Maps:
    """Adam on all entries at once (they do not touch one another); each keeps the maps of its best epoch."""
    # an entry's bias is as large as its residuals are, so Adam, whose steps know no scale, fits a share of it
    scale = known[:-1].to(head.dtype).square().mean((1, 2)).sqrt()[:, None]
    weight, share = begin.weight.clone(), begin.bias / scale
    adam = torch.optim.Adam((weight, share), lr=_RATE)
    best, best_kl = begin, torch.tensor(mean_kl(head, stop, begin)[:-1])
    since = 0
    for _ in range(_EPOCHS):
        order = torch.randperm(known.shape[1], generator=generator).to(known.device)
        for places in order.split(_BATCH):
            slope = _slope(head, known[:, places].to(head.dtype), Maps(weight, share * scale))
            weight.grad, share.grad = slope.weight, slope.bias * scale
            adam.step()
        maps = Maps(weight.clone(), share * scale)
        kl = torch.tensor(mean_kl(head, stop, maps)[:-1])
        better = kl < best_kl
        where = better.to(known.device)
        best = Maps(
            torch.where(where[:, None, None], maps.weight, best.weight),
            torch.where(where[:, None], maps.bias, best.bias),
        )
        best_kl = torch.where(better, kl, best_kl)
        since = 0 if bool(better.any()) else since + 1
        if since == _PATIENCE:
            break
    return best


def _slope(head: LensHead, hidden: Tensor, maps: Maps) -> Maps:
    """Derivatives of every entry's loss on (N + 1, M, hidden) by its own map; one entry's logits at a time,
    for all of them would not fit beside a large model."""
    target = head.logits(hidden[-1]).softmax(-1)
    slopes = []
    for entry, (weight, bias) in enumerate(zip(maps.weight, maps.bias, strict=True)):
        fitted = (weight.detach().requires_grad_(), bias.detach().requires_grad_())
        with torch.enable_grad():
            slopes.append(torch.autograd.grad(_loss(head, hidden[entry], target, *fitted), fitted))
    return Maps(*(torch.stack(part) for part in zip(*slopes, strict=True)))


def _loss(head: LensHead, hidden: Tensor, target: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Mean cross-entropy of target (M, vocabulary) and an entry (M, hidden): KL but for a constant."""
    moved = hidden + hidden @ weight.T + bias
    return -(target * head.differentiable_logits(moved).log_softmax(-1)).sum(-1).mean()
