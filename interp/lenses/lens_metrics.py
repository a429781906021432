"""What is measured of the distribution that an entry of the residual stream reads as.

A metric is one function here, under the name of its column, and one `Column` of READINGS in
`beliefmod.run.tables.lens_tables`; every lens, position and arm then has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AnswerTokens:
    """The two tokens that are compared at a position, by id: the target's and its rival's."""

    target_id: int
    rival_id: int


@dataclass(frozen=True)
class EntryLogits:
    """One entry through norm and head at M positions; log-probabilities are in fp64.

    Attributes:
        logits, log_p: (M, vocabulary).
        final_log_p: (M, vocabulary), the last entry's at the same positions.
        base_log_p: (B, vocabulary), base's at this entry, where M is a multiple of B and position m is
            compared with base's position m % B; None where base was not read.
        target_ids, rival_ids: (M, 1).
    """

    logits: Tensor
    log_p: Tensor
    final_log_p: Tensor
    base_log_p: Tensor | None
    target_ids: Tensor
    rival_ids: Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probabilities over the last dimension in fp64. Tokens that a head rules out (some give padding of
    the vocabulary minus infinity) get the least number instead, so that 0 times it is 0."""
    log_p = logits.double().log_softmax(-1)
    return log_p.clamp_min_(torch.finfo(log_p.dtype).min)


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last dimension, nats, at least 0. Leading dimensions broadcast, and no product of
    the size of both is in memory."""
    p = log_p.exp()
    kept = torch.linalg.vecdot(p, log_p)
    return (kept - torch.linalg.vecdot(p, log_q)).clamp_min(0.0)  # rounding may put it a hair below


def _logit(ids: Tensor, entry: EntryLogits) -> Tensor:
    return entry.logits.gather(1, ids)[:, 0].double()


def _rank(ids: Tensor, entry: EntryLogits) -> Tensor:
    return (entry.logits > entry.logits.gather(1, ids)).sum(1)


def _probability(ids: Tensor, entry: EntryLogits) -> Tensor:
    return entry.log_p.gather(1, ids)[:, 0].exp()


def _kl_base(entry: EntryLogits) -> Tensor | None:
    if entry.base_log_p is None:
        return None
    by_arm = entry.log_p.unflatten(0, (-1, len(entry.base_log_p)))  # (arms, B, vocabulary)
    return kl_divergence(entry.base_log_p, by_arm).flatten()


METRICS: dict[str, Callable[[EntryLogits], Tensor | None]] = {
    "logit_target": lambda entry: _logit(entry.target_ids, entry),
    "logit_rival": lambda entry: _logit(entry.rival_ids, entry),
    "logit_diff": lambda entry: _logit(entry.target_ids, entry) - _logit(entry.rival_ids, entry),
    "rank_target": lambda entry: _rank(entry.target_ids, entry),
    "rank_rival": lambda entry: _rank(entry.rival_ids, entry),
    "prob_target": lambda entry: _probability(entry.target_ids, entry),
    "prob_rival": lambda entry: _probability(entry.rival_ids, entry),
    "entropy": lambda entry: -torch.linalg.vecdot(entry.log_p.exp(), entry.log_p),
    "kl_final": lambda entry: kl_divergence(entry.final_log_p, entry.log_p),
    "kl_base": _kl_base,
    "top_id": lambda entry: entry.logits.argmax(1),
}
"""(M,) by name; None where it cannot be told. The table `readings` has the text of `top_id` as top_token, and
explains the others under their names."""
Reading = dict[str, list[float]]
"""METRICS at one position by name, each entry by entry: N + 1 numbers for entries 0..N. Without the metrics
that cannot be told."""


def measure(entry: EntryLogits) -> dict[str, Tensor]:
    """METRICS of one entry, (M,) each, without those that cannot be told."""
    return {name: found for name, metric in METRICS.items() if (found := metric(entry)) is not None}


def readings(entries: Sequence[dict[str, Tensor]]) -> list[Reading]:
    """One Reading per position from `measure` of entries 0..N."""
    columns = {name: torch.stack([found[name] for found in entries], 1) for name in entries[0]}
    # copied from the device at once, in fp64, which holds ids and ranks exactly
    together = torch.stack([column.double() for column in columns.values()]).cpu()
    lists = [here.to(column.dtype).tolist() for here, column in zip(together, columns.values(), strict=True)]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]
