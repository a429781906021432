"""How the new tokens of rows are laid beside each other for attention, with little padding.

Most rows of a pass that verifies drafts have a token or two, some have fifteen. In one block every row would
be as wide as the widest. Two blocks instead: the first tokens of all rows, and the further ones of those that
have more, whose keys and values are copied for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COPY_COSTS = 8
"""What copying a row's keys and values and reading them again costs, in queries of padding. On a CPU, 300
rows of 120 tokens: 2.4 ms for one query of each row, 0.6 ms for each further one."""


@dataclass(frozen=True)
class QueryBlock:
    """Tokens of some rows, as many of each.

    Attributes:
        rows: which rows of the pass these are; None: all, in their order.
        start: how many of a row's tokens lie in the block before.
        width: how many of each row's tokens from there lie in this one, padding included.
        tokens: of each place of the block the token that stands there, among all rows' tokens; a place behind
            a row's last token holds that token once more.
    """

    rows: Sequence[int] | None
    start: int
    width: int
    tokens: Sequence[int]


def query_blocks(counts: Sequence[int], split: bool) -> tuple[list[QueryBlock], list[int]]:
    """Lay out rows with so many tokens each, whose tokens lie behind each other.

    Args:
        counts: tokens of each row, one or more.
        split: whether two blocks may be made.

    Returns:
        One or two blocks, and of each token its place among those of all blocks.

    >>> blocks, places = query_blocks([1, 3], split=False)
    >>> blocks[0].tokens, places
    ([0, 0, 0, 1, 2, 3], [0, 3, 4, 5])
    """
    starts = [0] * len(counts)
    for row in range(1, len(counts)):
        starts[row] = starts[row - 1] + counts[row - 1]
    first = _width(counts) if split else max(counts)
    blocks = [_block(None, 0, first, range(len(counts)), starts, counts)]
    further = [row for row, count in enumerate(counts) if count > first]
    if further:
        blocks.append(_block(further, first, max(counts) - first, further, starts, counts))
    at = dict(zip(further, range(len(further)), strict=True))
    places: list[int] = []
    for row, count in enumerate(counts):
        places += range(row * first, row * first + min(count, first))
        if count > first:
            begin = len(counts) * first + at[row] * blocks[1].width
            places += range(begin, begin + count - first)
    return blocks, places


def _width(counts: Sequence[int]) -> int:
    """The width of the first block that costs least."""
    longest = max(counts)

    def cost(width: int) -> int:
        return len(counts) * width + sum(COPY_COSTS + longest - width for n in counts if n > width)

    return min(sorted(set(counts), reverse=True), key=cost)


def _block(
    rows: Sequence[int] | None,
    start: int,
    width: int,
    every: Sequence[int],
    starts: Sequence[int],
    counts: Sequence[int],
) -> QueryBlock:
    tokens = [starts[row] + min(start + n, counts[row] - 1) for row in every for n in range(width)]
    return QueryBlock(rows, start, width, tokens)
