"""Sampling: which token comes next, by the definitions of transformers in the order of its `generate`.

A row's token depends on its own logits and on one random number of its own, never on the rows beside it.
"""

import torch
from torch import Tensor

from beliefmod.engine.jobs import Sampling

_AT_A_TIME = 2**24
"""Logits that are worked on together: 128 MiB a copy; 384 rows of 150,000 tokens at once would be 440."""


def draw(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """(rows, vocabulary), (rows,) in [0, 1) -> (rows,): the token that each row's number falls on.

    Tokens lie in the order of their ids, each as wide as its probability.
    """
    rows = max(1, _AT_A_TIME // logits.shape[-1])
    parts = zip(logits.split(rows), uniform.split(rows), strict=True)
    return torch.cat([_draw(part, sampling, numbers) for part, numbers in parts])


def _draw(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    scores, ids = _likeliest(logits.double() / sampling.temperature, sampling.top_k)
    weights = torch.softmax(filtered(scores, sampling.top_p, sampling.min_p), -1).cumsum(-1)
    target = uniform * weights[:, -1]
    place = torch.searchsorted(weights, target[:, None], right=True).clamp_max(weights.shape[1] - 1)
    return (place if ids is None else ids.gather(-1, place))[:, 0]


def _likeliest(scores: Tensor, top_k: int) -> tuple[Tensor, Tensor | None]:
    """The `top_k` highest scores with their token ids, in the order of the ids; ids None: all, as they were.

    As in `TopKLogitsWarper` all that equal the last of them stay too: common where logits have 8 bits of
    mantissa. Rows with fewer are filled up with scores of -inf.
    """
    if not 0 < top_k < scores.shape[-1]:
        return scores, None
    least = scores.topk(top_k).values[:, -1:]
    most = max(top_k, int((scores >= least).sum(-1).max()))
    values, ids = scores.topk(most)
    ids, order = ids.sort(-1)
    values = values.gather(-1, order)
    return values.masked_fill(values < least, -torch.inf), ids


def filtered(scores: Tensor, top_p: float, min_p: float) -> Tensor:
    """Scores, -inf where `TopPLogitsWarper` and then `MinPLogitsWarper` leave a token out."""
    if top_p < 1:
        # stable: among equals the lower ids go first, whatever stands in other rows
        values, order = scores.sort(dim=-1, stable=True)
        out = values.softmax(-1).cumsum(-1) <= 1 - top_p
        out[:, -1] = False
        scores = scores.masked_fill(torch.zeros_like(out).scatter(-1, order, out), -torch.inf)
    if min_p > 0:
        probabilities = scores.softmax(-1)
        scores = scores.masked_fill(probabilities < min_p * probabilities.amax(-1, keepdim=True), -torch.inf)
    return scores
