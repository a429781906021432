"""Losses and gradients of one packed step."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.batching import SlotRow
from beliefmod.engine.forward import FlatModel, flat_ids, segments_of


def backward_pass(model: FlatModel, rows: Sequence[SlotRow], losses: Tensor) -> None:
    """Forward and backward over rows sorted by slot; adds to the pack's gradients and `losses` (slots,).

    The objective is the sum over slots of each slot's own token mean, so no slot's gradient sees
    another's rows. A row's last token is only ever predicted, so it is not fed in; the head runs at
    answer positions alone.
    """
    lengths = [len(item.row.input_ids) - 1 for item in rows]
    blocks = RowBlocks(lengths, model.device)
    keep, labels, weights, owners = [], [], [], []
    start = 0
    for item, length in zip(rows, lengths, strict=True):
        answer = item.row.answer_length
        keep.extend(range(start + length - answer, start + length))
        labels.extend(item.row.input_ids[item.row.prompt_length :])
        weights.extend([1.0 / item.batch_tokens] * answer)
        owners.extend([item.slot] * answer)
        start += length
    device = model.device
    logits = model.logits(
        flat_ids([item.row.input_ids[:-1] for item in rows], device),
        blocks,
        blocks.positions,
        segments_of([item.slot for item in rows], lengths),
        torch.tensor(keep, device=device),
    )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    per_token = F.cross_entropy(logits, torch.tensor(labels, device=device), reduction="none")
    weighted = per_token * torch.tensor(weights, dtype=per_token.dtype, device=device)
    weighted.sum().backward()
    losses.index_add_(0, torch.tensor(owners, device=device), weighted.detach().to(losses.dtype))
