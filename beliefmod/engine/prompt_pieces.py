"""Reading prompts into a cache, what several of one adapter begin with once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.cached_rows import CachedRows, RowOrder
from beliefmod.engine.forward import FlatModel, flat_ids, sorted_by_slot
from beliefmod.engine.key_value_cache import KeyValueCache, RowOf
from beliefmod.engine.memory import LONGEST_PASS
from beliefmod.engine.routing import segments_of
from beliefmod.engine.tokens import Ids, agreeing
from beliefmod.engine.transfer import numbers
from beliefmod.engine.usage import AnswerWork

LEAST_SHARED = 8
"""Tokens. A shorter common beginning is read for each prompt: a pass of its own costs more."""
MOST_LEVELS = 3
"""Beginnings within beginnings: the system turn, a statement behind it, a question asked several times."""


@dataclass(frozen=True)
class Piece:
    """A stretch of tokens of one slot that is read once.

    Attributes:
        parent: the piece that it goes on from, by its place in the list of pieces; None: it is a beginning.
        level: how many pieces lead to it.
    """

    slot: int | None
    ids: Ids
    parent: int | None = None
    level: int = 0


def pieces_of(
    prompts: Sequence[Ids], slots: Sequence[int | None], share: bool = True
) -> tuple[list[Piece], list[int]]:
    """Cut prompts into pieces, so that no long beginning is read twice for one slot.

    Args:
        prompts: token ids, none empty.
        share: whether beginnings may be shared; otherwise every prompt is one piece.

    Returns:
        The pieces, parents before their children, and the piece that each prompt ends with.

    >>> pieces, ends = pieces_of([(*range(9), 20), (*range(9), 30)], [0, 0])
    >>> [(p.ids, p.parent) for p in pieces], ends
    ([((0, 1, 2, 3, 4, 5, 6, 7, 8), None), ((20,), 0), ((30,), 0)], [1, 2])
    """
    if not share:
        return [Piece(slot, tuple(ids)) for ids, slot in zip(prompts, slots, strict=True)], [
            *range(len(prompts))
        ]
    pieces: list[Piece] = []
    ends = [-1] * len(prompts)

    def add(group: Sequence[int], slot: int | None, start: int, stop: int, parent: int | None) -> int:
        """Read tokens start..stop-1 of the group's first prompt; prompts that end there are done."""
        level = 0 if parent is None else pieces[parent].level + 1
        pieces.append(Piece(slot, tuple(prompts[group[0]][start:stop]), parent, level))
        for index in group:
            if len(prompts[index]) == stop:
                ends[index] = len(pieces) - 1
        return len(pieces) - 1

    by_slot = sorted(range(len(prompts)), key=lambda i: (slots[i] is not None, slots[i] or 0, prompts[i]))
    todo: list[tuple[list[int], int, int | None]] = [
        (list(group), 0, None) for _, group in groupby(by_slot, lambda index: slots[index])
    ]
    while todo:
        group, start, parent = todo.pop()  # sorted, alike in their first `start` tokens, ending behind them
        slot, first, last = slots[group[0]], prompts[group[0]], prompts[group[-1]]
        common = agreeing(first, last)
        if common == len(last):
            add(group, slot, start, common, parent)
            continue
        if common - start >= LEAST_SHARED:
            if parent is not None and pieces[parent].level + 2 >= MOST_LEVELS:
                for _, same in groupby(group, lambda index: prompts[index]):
                    same = list(same)
                    add(same, slot, start, len(prompts[same[0]]), parent)
                continue
            parent, start = add(group, slot, start, common, parent), common
            group = [index for index in group if len(prompts[index]) > common]
        next_tokens = [prompts[index][common : common + 1] for index in group]
        for _, part in groupby(zip(next_tokens, group, strict=True), lambda pair: pair[0]):
            todo.append(([index for _, index in part], start, parent))
    return pieces, ends


@dataclass
class Read:
    """Prompts that have been read.

    Attributes:
        rows: where the keys, values and states of each lie.
        logits: (prompts, vocabulary) of the token that follows each.
        work: what reading each took; a beginning that several have is counted for the first of them.
    """

    rows: list[RowOf]
    logits: Tensor
    work: list[AnswerWork]


def read_prompts(model: FlatModel, prompts: Sequence[Ids], slots: Sequence[int | None]) -> Read:
    """Read prompts, each with the adapter in its slot (None: base), in their order."""
    pieces, ends = pieces_of(prompts, slots, share=model.reads_branches)
    done: list[tuple[KeyValueCache, list[Tensor], list[int]]] = []  # of each level: cache, logits, pieces
    for level in range(1 + max(piece.level for piece in pieces)):
        before = done[-1] if done else None
        done.append(_read_level(model, pieces, level, before, set(ends)))
    rows, logits = _ends(done, ends)
    return Read(rows, logits, _work(pieces, ends))


def _work(pieces: Sequence[Piece], ends: Sequence[int]) -> list[AnswerWork]:
    stops: list[int] = []  # of each piece: how many tokens lead to its end
    for piece in pieces:
        stops.append(len(piece.ids) + (0 if piece.parent is None else stops[piece.parent]))
    counted: set[int] = set()
    works = []
    for end in ends:
        took, piece = AnswerWork(0, 0), end
        while piece is not None and piece not in counted:
            counted.add(piece)
            start = stops[piece] - len(pieces[piece].ids)
            took.prompt_tokens += stops[piece] - start
            took.prompt_squares += stops[piece] ** 2 - start**2
            piece = pieces[piece].parent
        works.append(took)
    return works


def _read_level(
    model: FlatModel,
    pieces: Sequence[Piece],
    level: int,
    before: tuple[KeyValueCache, list[Tensor], list[int]] | None,
    wanted: set[int],
) -> tuple[KeyValueCache, list[Tensor], list[int]]:
    """Read the pieces of one level, those of the level before being read, pass by pass."""
    slots = [piece.slot for piece in pieces]
    todo = sorted_by_slot([n for n, piece in enumerate(pieces) if piece.level == level], slots, model.routing)
    tokens = [len(pieces[n].ids) for n in todo]
    if before is None:
        whole = KeyValueCache(tokens)
    else:
        row_of: dict[int | None, int] = {n: row for row, n in enumerate(before[2])}
        whole = before[0].part([row_of[pieces[n].parent] for n in todo], more=tokens)
    logits: list[Tensor] = []
    for part in _passes(tokens, LONGEST_PASS[model.device.type]):
        chosen = [todo[place] for place in part]
        ids = [pieces[n].ids for n in chosen]
        lengths = [len(each) for each in ids]
        fresh = None
        if before is None:
            fresh = whole if len(part) == len(todo) else KeyValueCache(lengths)
            rows = RowBlocks(lengths, model.device, fresh)
        else:
            rows = CachedRows(RowOrder([whole], [(0, row) for row in part], lengths), model.device)
        last = [sum(lengths[: place + 1]) - 1 for place in range(len(lengths))]
        keep = [end for n, end in zip(chosen, last, strict=True) if n in wanted]
        found = model.logits(
            flat_ids(ids, model.device),
            rows,
            rows.positions,
            segments_of([slots[n] for n in chosen], lengths),
            numbers(keep or last[-1:], model.device),
            writing=True,
        )
        logits.append(found[: len(keep)])
        if fresh is None:
            for row, length in zip(part, lengths, strict=True):
                whole.lengths[row] += length
        elif fresh is not whole:
            whole.take(part[0], fresh)
    return whole, logits, todo


def _passes(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Places of rows, in order, as many at a time as have `most` tokens together; one at least."""
    part: list[int] = []
    tokens = 0
    for place, length in enumerate(lengths):
        if part and tokens + length > most:
            yield part
            part, tokens = [], 0
        part.append(place)
        tokens += length
    if part:
        yield part


def _ends(
    done: Iterable[tuple[KeyValueCache, list[Tensor], list[int]]], ends: Sequence[int]
) -> tuple[list[RowOf], Tensor]:
    """Where each prompt's row lies, and the logits behind its end, (prompts, vocabulary), from what was read
    level by level."""
    logits: list[Tensor] = []
    wanted = set(ends)
    rows: dict[int, RowOf] = {}  # of each piece that a prompt ends with
    for cache, found, order in done:
        rows |= {piece: (cache, row) for row, piece in enumerate(order) if piece in wanted}
        logits += found
    place = {piece: number for number, piece in enumerate(rows)}
    together = logits[0] if len(logits) == 1 else torch.cat(logits)
    return [rows[end] for end in ends], together[numbers([place[end] for end in ends], together.device)]
