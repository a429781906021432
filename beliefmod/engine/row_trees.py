"""Rows that begin alike as one row that branches, so that one pass reads their common beginnings once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.forward import FlatModel, flat_ids, sorted_by_slot
from beliefmod.engine.routing import segments_of
from beliefmod.engine.tokens import Ids, agreeing
from beliefmod.engine.transfer import numbers
from beliefmod.engine.tree_attention import TreeAttention

LEAST_SHARED = 8
"""Tokens. Rows that have less in common stay apart: a tree pads attention to its own length."""
LONGEST_TREE = 512
"""Tokens. In attention a token of a tree meets all others, those that it does not see included; trees of this
size hold the variants of a question, and several questions (docs/log.md)."""


@dataclass
class RowTree:
    """Rows of one slot laid into one row, the first as it is and the others behind it where they part.

    Attributes:
        rows: their indices, in the order of their tokens.
        ids: the tokens.
        parents: the place of the token that each one behind the first row follows.
        ends: of each row the places of its last tokens, those whose logits are wanted.
        read: of each row how many tokens it adds, and their share of the squared length.
    """

    rows: list[int]
    ids: list[int]
    parents: list[int]
    ends: list[list[int]]
    read: list[tuple[int, int]]

    def add(self, row: int, text: Ids, wanted: int, path: Sequence[int]) -> list[int]:
        """Lay a row that begins with the tokens at the places of `path`; the places of its tokens."""
        places = [*path, *range(len(self.ids), len(self.ids) + len(text) - len(path))]
        if self.rows:
            self.parents += [places[n - 1] for n in range(len(path), len(text))]
        self.rows.append(row)
        self.ids += text[len(path) :]
        self.ends.append(places[len(text) - wanted :])
        self.read.append((len(text) - len(path), len(text) ** 2 - len(path) ** 2))
        return places


def trees_of(
    texts: Sequence[Ids],
    wanted: Sequence[int],
    slots: Sequence[int | None],
    most: int,
    share: bool = True,
) -> list[RowTree]:
    """Lay rows into trees of at most `most` tokens, or of one row that has more.

    Args:
        texts: of each row its tokens, none empty.
        wanted: for how many of its last tokens logits are wanted.
        share: whether rows may branch; otherwise each is a tree of its own.

    >>> [tree] = trees_of([(*range(9), 20), (*range(9), 30)], [1, 2], [0, 0], 100)
    >>> tree.ids[8:], tree.parents, tree.ends, tree.read
    ([8, 20, 30], [8], [[9], [8, 10]], [(10, 100), (1, 19)])
    """
    trees: list[RowTree] = []
    order = sorted(range(len(texts)), key=lambda row: (slots[row] is not None, slots[row] or 0, texts[row]))
    for _, rows in groupby(order, key=lambda row: slots[row]):
        before: Ids = ()
        path: list[int] = []
        for row in rows:
            text = texts[row]
            common = agreeing(before, text) if share else 0
            if common < min(LEAST_SHARED, len(text)) or len(trees[-1].ids) + len(text) - common > most:
                trees.append(RowTree([], [], [], [], []))
                common = 0
            path = trees[-1].add(row, text, wanted[row], path[:common])
            before = text
    return trees


def tree_passes(
    model: FlatModel, trees: Sequence[RowTree], slots: Sequence[int | None]
) -> Iterator[list[RowTree]]:
    """Trees in passes of at most `model.pass_tokens` tokens: by length, so that attention pads little, and
    within a pass by slot.

    Args:
        slots: of each row.
    """
    lengths = [len(tree.ids) for tree in trees]
    owners = [slots[tree.rows[0]] for tree in trees]
    order = sorted(range(len(trees)), key=lambda place: lengths[place])
    while order:
        part, tokens = [], 0
        while order and (not part or tokens + lengths[order[0]] <= model.pass_tokens):
            part.append(order.pop(0))
            tokens += lengths[part[-1]]
        yield [trees[place] for place in sorted_by_slot(part, owners, model.routing)]


def tree_logits(model: FlatModel, trees: Sequence[RowTree], slots: Sequence[int | None]) -> Tensor:
    """Logits at the wanted tokens of all rows of some trees, in that order, (sum of wanted, vocabulary).

    Args:
        slots: of each tree; trees of one slot lie beside each other.
    """
    lengths = [len(tree.ids) for tree in trees]
    if any(tree.parents for tree in trees):
        rows = TreeAttention([(len(t.ids), tuple(t.parents)) for t in trees], model.device)
    else:
        rows = RowBlocks(lengths, model.device, unread=1)
    keep, start = [], 0
    for tree, length in zip(trees, lengths, strict=True):
        keep += [start + place for places in tree.ends for place in places]
        start += length
    return model.logits(
        flat_ids([tree.ids for tree in trees], model.device),
        rows,
        rows.positions,
        segments_of(slots, lengths),
        numbers(keep, model.device),
    )
