"""Log-probability of given continuations."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from beliefmod.engine.forward import FlatModel, flat_ids, sorted_by_slot
from beliefmod.engine.jobs import ScoreRequest
from beliefmod.engine.memory import within_memory
from beliefmod.engine.transfer import sent


def score(model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None]) -> list[float]:
    """Summed log-probability (nats, at most 0) of each continuation after its prompt, by request.

    Args:
        slots: the slot of each request's adapter, None for base.

    Raises:
        NoRows, RowTooLong, OutOfMemory: a request cannot be carried out.
    """
    lengths = [len(r.input_ids) + len(r.continuation_ids) for r in requests]
    model.check_lengths(lengths, [min(len(r.input_ids), len(r.continuation_ids)) for r in requests])
    return within_memory(model, "pass_tokens", lengths, partial(_score, model, requests, slots))


@torch.no_grad()
def _score(model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None]) -> list[float]:
    lengths = [len(r.input_ids) + len(r.continuation_ids) - 1 for r in requests]
    # by length first, so that attention pads little; by slot within a pass
    order = sorted(range(len(requests)), key=lambda i: lengths[i])
    read: list[int] = []
    sums: list[Tensor] = []
    while order:
        part, tokens = [], 0
        while order and (not part or tokens + lengths[order[0]] <= model.pass_tokens):
            part.append(order.pop(0))
            tokens += lengths[part[-1]]
        part = sorted_by_slot(part, slots, model.routing)
        read += part
        sums.append(_score_pass(model, [requests[i] for i in part], [slots[i] for i in part]))
    # copied from the device at once: every copy waits for all that came before it
    scores = dict(zip(read, torch.cat(sums).tolist() if sums else [], strict=True))
    return [scores[index] for index in range(len(requests))]


def _score_pass(model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None]) -> Tensor:
    """(requests,), in fp64, on the device."""
    wanted = [len(r.continuation_ids) for r in requests]
    logits = model.last_logits([(*r.input_ids, *r.continuation_ids)[:-1] for r in requests], wanted, slots)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = flat_ids([r.continuation_ids for r in requests], model.device)
    chosen = logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(1)
    owners = sent(torch.arange(len(requests)).repeat_interleave(torch.tensor(wanted)), model.device)
    sums = torch.zeros(len(requests), dtype=torch.float64, device=model.device)
    return sums.index_add_(0, owners, chosen.double())
