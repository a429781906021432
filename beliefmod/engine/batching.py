"""Which rows a trial sees at which step, and how one pass over the model is cut to a token budget."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from beliefmod.config import ObjectiveConfig
from beliefmod.engine.transfer import sent
from beliefmod.model.train_row import TrainRow


def derived_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed that depends only on the trial's seed and on what it is for, never on slot or pack."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def steps_per_epoch(num_rows: int, batch_size: int) -> int:
    """Optimiser steps per epoch; the last, partial batch is kept, as in the Hugging Face Trainer."""
    return math.ceil(num_rows / batch_size)


def epoch_order(seed: int, epoch: int, num_rows: int) -> list[int]:
    """The permutation of the rows in `epoch` (from 0).

    It is a function of (seed, epoch) alone, so a restored trial needs no generator state to go on in the same
    order, and trials that differ only in their number of epochs share their first epochs.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, f"order/{epoch}"))
    return torch.randperm(num_rows, generator=generator).tolist()


def batch_indices(seed: int, step: int, num_rows: int, batch_size: int) -> list[int]:
    """Indices of the rows that optimiser step `step` (from 0) trains on."""
    epoch, place = divmod(step, steps_per_epoch(num_rows, batch_size))
    return epoch_order(seed, epoch, num_rows)[place * batch_size : (place + 1) * batch_size]


@dataclass(frozen=True)
class SlotRow:
    """A row of one slot's step in one term of its loss.

    weight: of each answer token in the term's value. factor: of the term in the loss. settings: the trial's
    objective. advantage, log_probs: of an answer that the trial wrote itself (`Rollout`).
    """

    slot: int
    row: TrainRow
    weight: float
    factor: float = 1.0
    settings: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    advantage: float = 0.0
    log_probs: tuple[float, ...] = ()


def of_tokens(
    values: Sequence[float], rows: Sequence[SlotRow], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """One value for each row -> one for each of their answer tokens, (M,), on the device."""
    counts = torch.tensor([item.row.answer_length for item in rows])
    return sent(torch.tensor(values, dtype=dtype).repeat_interleave(counts), device)


def cut_passes(rows: Sequence[SlotRow], max_tokens: int, together: int = 1) -> list[list[SlotRow]]:
    """Cut rows, in the given order, into passes of at most `max_tokens` tokens (at least one row each).

    Gradients add up over passes and every row carries the weight of its tokens, so the cut changes nothing
    but memory. Of rows that are compared with each other `together` neighbours stay in one pass.
    """
    passes: list[list[SlotRow]] = []
    tokens = 0
    for start in range(0, len(rows), together):
        group = rows[start : start + together]
        length = sum(len(item.row.input_ids) for item in group)
        if not passes or tokens + length > max_tokens:
            passes.append([])
            tokens = 0
        passes[-1] += group
        tokens += length
    return passes
