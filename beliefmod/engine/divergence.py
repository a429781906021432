"""How far an arm's next-token distributions have moved from base's, token by token on given texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from beliefmod.engine.forward import FlatModel, flat_ids
from beliefmod.engine.jobs import DriftRequest, DriftResult
from beliefmod.engine.memory import within_memory

Rows = tuple[tuple[int, ...], ...]
HEAD_NUMBERS = 2**25
"""Logits that are made at a time of base and of an arm: 128 MiB each in fp32."""
# of one chunk of log-probabilities: 16 MiB in fp64, with a handful of tensors of that size at a time
_CHUNK_NUMBERS = 2**21
KEPT_BYTES = 2**28
"""Of what base's head reads that is kept: 120,000 tokens of a width of 576 in fp32."""


class BasePasses:
    """What base's head reads in passes that come again, in memory: all trials of a belief read the same
    texts.

    What is kept came from a pass of the very shape that the arm goes through, so an adapter that adds zero
    still changes no bit. The pass that was wanted longest ago goes when there is no room.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: dict[tuple[Rows, tuple[int, ...]], Tensor] = {}
        self._max_tokens = 0

    def of_size(self, max_tokens: int) -> None:
        """Passes of at most so many tokens follow; those of another size do not come again."""
        if max_tokens != self._max_tokens:
            self._kept.clear()
            self._max_tokens = max_tokens

    def hidden(self, base: FlatModel, rows: Rows, wanted: tuple[int, ...]) -> Tensor:
        """What the head reads before each of the last `wanted` tokens of every row, (their sum, hidden)."""
        found = self._kept.pop((rows, wanted), None)
        if found is None:
            found = base.last_hidden(rows, wanted, [None] * len(rows))
        if found.nbytes <= self.most_bytes:
            self._kept[rows, wanted] = found
        while sum(kept.nbytes for kept in self._kept.values()) > self.most_bytes:
            del self._kept[next(iter(self._kept))]
        return found


@dataclass(frozen=True)
class _Pass:
    """Requests of one arm that go through the model together; `indices` say which."""

    model: FlatModel
    slot: int | None
    indices: tuple[int, ...]
    rows: Rows
    base_rows: Rows


def drift(
    base: FlatModel,
    requests: Sequence[DriftRequest],
    places: Sequence[tuple[FlatModel, int | None]],
    passes: BasePasses,
) -> list[DriftResult]:
    """KL both ways and NLL against base, summed over each request's continuation, in the order of requests.

    A pass holds rows of one arm only, and base goes through a pass of the same rows in the same order: every
    product then has the same shape, so the library picks the same kernel, and an adapter that adds zero
    changes no bit. Arms asked about the same texts share base's pass.

    Args:
        places: each request's model and slot; (base, None) is base itself.
        passes: base's, from earlier calls.

    Raises:
        NoRows, RowTooLong, OutOfMemory: a request cannot be carried out.
    """
    base.check_lengths(
        [max(len(r.input_ids), len(r.base_prompt)) + len(r.continuation_ids) for r in requests],
        [min(len(r.input_ids), len(r.base_prompt), len(r.continuation_ids)) for r in requests],
    )
    lengths = [len(r.input_ids) + len(r.continuation_ids) for r in requests]
    return within_memory(base, "pass_tokens", lengths, partial(_drift, base, requests, places, passes))


@torch.no_grad()
def _drift(
    base: FlatModel,
    requests: Sequence[DriftRequest],
    places: Sequence[tuple[FlatModel, int | None]],
    passes: BasePasses,
) -> list[DriftResult]:
    max_tokens = base.pass_tokens
    passes.of_size(max_tokens)
    read: list[int] = []
    sums: list[Tensor] = []
    shared: dict[tuple[Rows, tuple[int, ...]], list[_Pass]] = {}
    for item in _passes(requests, places, max_tokens):
        lengths = tuple(len(requests[i].continuation_ids) for i in item.indices)
        shared.setdefault((item.base_rows, lengths), []).append(item)
    for (base_rows, lengths), items in shared.items():
        expected = passes.hidden(base, base_rows, lengths)
        for item in items:
            hidden = item.model.last_hidden(item.rows, lengths, [item.slot] * len(item.rows))
            labels = flat_ids([requests[i].continuation_ids for i in item.indices], base.device)
            per_token = _compare_heads(base, expected, item.model, hidden, labels)
            read += item.indices
            sums += [part.sum(1) for part in per_token.split(list(lengths), dim=1)]
    # copied from the device at once: every copy waits for all that came before it
    numbers = torch.stack(sums).tolist() if sums else []
    of_request = dict(zip(read, numbers, strict=True))
    return [DriftResult(len(r.continuation_ids), *of_request[i]) for i, r in enumerate(requests)]


def _passes(
    requests: Sequence[DriftRequest], places: Sequence[tuple[FlatModel, int | None]], max_tokens: int
) -> Iterator[_Pass]:
    """Each arm's requests by length, cut to passes; the same texts give the same passes for every arm."""
    arms: dict[tuple[int, int | None], list[int]] = {}
    for index, (model, slot) in enumerate(places):
        arms.setdefault((id(model), slot), []).append(index)
    for indices in arms.values():
        part: list[int] = []
        tokens = 0
        for index in sorted(indices, key=lambda i: _length(requests[i])):
            if part and tokens + _length(requests[index]) > max_tokens:
                yield _as_pass(part, requests, places)
                part, tokens = [], 0
            part.append(index)
            tokens += _length(requests[index])
        yield _as_pass(part, requests, places)


def _as_pass(
    indices: list[int], requests: Sequence[DriftRequest], places: Sequence[tuple[FlatModel, int | None]]
) -> _Pass:
    chosen = [requests[i] for i in indices]
    return _Pass(
        *places[indices[0]],
        tuple(indices),
        tuple((*r.input_ids, *r.continuation_ids)[:-1] for r in chosen),
        tuple((*r.base_prompt, *r.continuation_ids)[:-1] for r in chosen),
    )


def _length(request: DriftRequest) -> int:
    return max(len(request.input_ids), len(request.base_prompt)) + len(request.continuation_ids) - 1


def _compare_heads(
    base: FlatModel, base_hidden: Tensor, arm: FlatModel, arm_hidden: Tensor, labels: Tensor
) -> Tensor:
    """`_compare` of the logits that the heads of both make of (N, hidden), without all of them at once."""
    size = max(1, HEAD_NUMBERS // base.vocabulary)
    parts = zip(base_hidden.split(size), arm_hidden.split(size), labels.split(size), strict=True)
    return torch.cat([_compare(base.head(p), arm.head(q), chosen) for p, q, chosen in parts], 1)


def _compare(base: Tensor, arm: Tensor, labels: Tensor) -> Tensor:
    """Logits (N, V) of both and the tokens that follow (N,) -> (4, N): KL(base || arm), KL(arm || base),
    NLL of arm, NLL of base, in nats per token.

    In fp64 whatever the logits are in, because a small KL is a difference of numbers near each other.
    """
    size = max(1, _CHUNK_NUMBERS // base.shape[1])
    parts = []
    for p, q, chosen in zip(base.split(size), arm.split(size), labels.split(size), strict=True):
        log_p, log_q = p.double().log_softmax(1), q.double().log_softmax(1)
        difference = log_p - log_q
        parts.append(
            torch.stack(
                (
                    _expected(log_p, difference),
                    _expected(log_q, -difference),
                    -log_q.gather(1, chosen[:, None])[:, 0],
                    -log_p.gather(1, chosen[:, None])[:, 0],
                )
            )
        )
    return torch.cat(parts, 1)


def _expected(log_weights: Tensor, values: Tensor) -> Tensor:
    """Mean of `values` (N, V) under the distributions, (N,); what has probability 0 counts for nothing."""
    weights = log_weights.exp()
    return torch.where(weights > 0, weights * values, 0.0).sum(1)
