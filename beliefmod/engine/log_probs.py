"""Log-probability of given continuations."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from beliefmod.engine.forward import FlatModel, flat_ids
from beliefmod.engine.jobs import ScoreRequest
from beliefmod.engine.memory import within_memory
from beliefmod.engine.row_trees import LONGEST_TREE, RowTree, tree_logits, tree_passes, trees_of
from beliefmod.engine.transfer import sent


def score(
    model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None], weights: Sequence[int]
) -> list[float]:
    """Summed log-probability (nats, at most 0) of each continuation after its prompt, by request.

    What several requests of one slot begin with is read once, where the model can.

    Args:
        slots: the slot of each request's adapter, None for base.
        weights: how many each request's adapter has, 0 for base; they are counted.

    Raises:
        NoRows, RowTooLong, OutOfMemory: a request cannot be carried out.
    """
    lengths = [len(r.input_ids) + len(r.continuation_ids) for r in requests]
    model.check_lengths(lengths, [min(len(r.input_ids), len(r.continuation_ids)) for r in requests])
    found, read = within_memory(model, "pass_tokens", lengths, partial(_score, model, requests, slots))
    model.usage.scored(requests, weights, read)
    return found


@torch.no_grad()
def _score(
    model: FlatModel, requests: Sequence[ScoreRequest], slots: Sequence[int | None]
) -> tuple[list[float], list[tuple[int, int]]]:
    """Of each request its score, and what was read for it."""
    texts = [(*r.input_ids, *r.continuation_ids)[:-1] for r in requests]
    wanted = [len(r.continuation_ids) for r in requests]
    most = min(LONGEST_TREE, model.pass_tokens)
    trees = trees_of(texts, wanted, slots, most, share=model.reads_branches)
    passes = list(tree_passes(model, trees, slots))
    sums = [_score_pass(model, part, requests, slots) for part in passes]
    trees = [tree for part in passes for tree in part]
    rows = [row for tree in trees for row in tree.rows]
    # copied from the device at once: every copy waits for all that came before it
    scores = dict(zip(rows, torch.cat(sums).tolist() if sums else [], strict=True))
    read = dict(zip(rows, (read for tree in trees for read in tree.read), strict=True))
    return [scores[row] for row in range(len(requests))], [read[row] for row in range(len(requests))]


def _score_pass(
    model: FlatModel,
    trees: Sequence[RowTree],
    requests: Sequence[ScoreRequest],
    slots: Sequence[int | None],
) -> Tensor:
    """Of each row of the trees, (rows,), in fp64, on the device."""
    continuations = [requests[row].continuation_ids for tree in trees for row in tree.rows]
    logits = tree_logits(model, trees, [slots[tree.rows[0]] for tree in trees])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = flat_ids(continuations, model.device)
    chosen = logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(1)
    lengths = torch.tensor([len(ids) for ids in continuations])
    owners = sent(torch.arange(len(continuations)).repeat_interleave(lengths), model.device)
    sums = torch.zeros(len(continuations), dtype=torch.float64, device=model.device)
    return sums.index_add_(0, owners, chosen.double())
