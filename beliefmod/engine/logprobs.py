"""Log-probability of given continuations."""

from collections.abc import Sequence

import torch

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.forward import FlatModel, flat_ids, segments_of, sorted_by_slot
from beliefmod.engine.jobs import ScoreRequest


@torch.no_grad()
def score(
    model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None], max_tokens: int
) -> list[float]:
    """Summed log-probability in nats per request, in passes of at most `max_tokens` tokens."""
    lengths = [len(r.input_ids) + len(r.continuation_ids) - 1 for r in requests]
    # by length first, so that attention pads little; by slot within a pass
    order = sorted(range(len(requests)), key=lambda i: lengths[i])
    scores = [0.0] * len(requests)
    while order:
        part, tokens = [], 0
        while order and (not part or tokens + lengths[order[0]] <= max_tokens):
            part.append(order.pop(0))
            tokens += lengths[part[-1]]
        part = sorted_by_slot(part, slots, model.routing)
        values = _score_pass(model, [requests[i] for i in part], [slots[i] for i in part])
        for index, value in zip(part, values, strict=True):
            scores[index] = value
    return scores


def _score_pass(
    model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None]
) -> list[float]:
    rows = [(*r.input_ids, *r.continuation_ids)[:-1] for r in requests]
    lengths = [len(row) for row in rows]
    blocks = RowBlocks(lengths, model.device)
    keep, owners, start = [], [], 0
    for index, (request, length) in enumerate(zip(requests, lengths, strict=True)):
        wanted = len(request.continuation_ids)
        keep.extend(range(start + length - wanted, start + length))
        owners.extend([index] * wanted)
        start += length
    device = model.device
    logits = model.logits(
        flat_ids(rows, device),
        blocks,
        blocks.positions,
        segments_of(slots, lengths),
        torch.tensor(keep, device=device),
    )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = flat_ids([r.continuation_ids for r in requests], device)
    chosen = logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(1)
    sums = torch.zeros(len(requests), dtype=torch.float64, device=device)
    return sums.index_add_(0, torch.tensor(owners, device=device), chosen.double()).tolist()
