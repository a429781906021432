"""Every spelling of a value that counts as it, as a tree of tokens: 9.8, 9.80 and 9.81; Lyon and its aliases.

Two tokens tell which of two values begins; they do not tell how likely a value is, which may be spelled in
several ways and shares its first digit with others (5.0 and 50). Here the spellings' probabilities are
summed. What spellings begin with alike is in the tree once, so nothing counts twice: a number counts where
it ends (5, not 50), or where whatever digit follows leaves it in the range (9.8 and then anything).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from interp.types import Ids

Kind = Literal["whole", "decimal", "name"]
"""What would make more of the text of a node, so that it does not end there: a digit or a point with a digit
behind it; a digit; a letter or digit."""
MOST = 64
"""Nodes above which a value's spellings are not summed: 4,000 to 1 % are 80 whole numbers."""
MORE_DECIMALS = 2
"""Decimals beyond the value's own that are told apart."""
_ROUNDING = 1e-9
_DIGITS = frozenset("0123456789.")


@dataclass(frozen=True)
class Node:
    """A text that may yet become a spelling.

    Attributes:
        path: its tokens, from where the value begins.
        kind: what would make more of it.
        ends: whether it counts if nothing does.
        on: the next tokens that lead on: to a node, or None where whatever follows counts.
    """

    path: Ids
    kind: Kind
    ends: bool
    on: Mapping[int, Node | None]

    def nodes(self) -> Iterator[Node]:
        """This one and all behind it."""
        yield self
        for node in self.on.values():
            if node is not None:
                yield from node.nodes()


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, at least 0, written plainly: digits, a point, no separators.

    decimals: so many are told apart; digits behind them are not looked at.
    """

    low: float
    high: float
    decimals: int

    def whole(self, text: str) -> bool:
        """Whether every number that begins like this is in the range ("9.8" in 9.75 to 9.95)."""
        if "." not in text:
            return False
        if len(text.partition(".")[2]) >= self.decimals:
            return self.holds(text)
        least, most = _span(text)
        return least >= self.low - _ROUNDING and most <= self.high + _ROUNDING

    def holds(self, text: str) -> bool:
        """Whether the number that ends here is in the range; "5." is 5."""
        return bool(text) and self.low - _ROUNDING <= float(text) <= self.high + _ROUNDING

    def open(self, text: str) -> bool:
        """Whether some number that begins like this is in the range."""
        if not text:
            return True
        if text[0] == "." or (text[0] == "0" and text[1:2] not in ("", ".")):
            return False  # ".5" and "05" are not plain
        if len(text.partition(".")[2]) >= self.decimals:
            return self.holds(text)
        least, most = _span(text)
        while True:
            if least <= self.high + _ROUNDING and most > self.low - _ROUNDING:
                return True
            if "." in text or text == "0" or least > self.high:
                return False
            least, most = 10 * least, 10 * most


def _span(text: str) -> tuple[float, float]:
    """The least number that begins with these digits, and the first above; none is put before the point."""
    least = float(text)
    return least, least + 10.0 ** -len(text.partition(".")[2])


Spells = Callable[[str], Ids | None]
"""Tokens of a text as the tokenizer writes it where the value begins; None where it would join it with what
stands in front."""


def number_tree(numbers: Range, tokens: Mapping[str, int], spells: Spells, lead: str = "") -> Node | None:
    """The tree of all numbers of a range.

    Only tokens that the tokenizer itself would write are followed; other spellings of the same digits, which
    a model hardly uses, are left out.

    Args:
        tokens: the vocabulary's tokens of digits and points by text, with and without `lead`.
        lead: what stands in front of the number in its first token, such as a space.

    Returns:
        None where the tokenizer writes none of them, or where there are more than MOST nodes.
    """
    try:
        return _number_node("", (), numbers, tokens, spells, lead, [MOST])
    except _TooMany:
        return None


class _TooMany(Exception):
    """A tree of more than MOST nodes."""


def _number_node(
    text: str,
    path: Ids,
    numbers: Range,
    tokens: Mapping[str, int],
    spells: Spells,
    lead: str,
    room: list[int],
) -> Node | None:
    """The node of a text; None where it leads nowhere."""
    room[0] -= 1
    if room[0] < 0:
        raise _TooMany
    on: dict[int, Node | None] = {}
    for piece, token in tokens.items():
        if not text and not piece.startswith(lead):
            continue
        more = piece if text else piece[len(lead) :]
        longer = text + more
        if not more or not _DIGITS.issuperset(more) or longer.count(".") > 1:
            continue
        if not numbers.open(longer) or spells(lead + longer) != (*path, token):
            continue
        if numbers.whole(longer):
            on[token] = None
            continue
        node = _number_node(longer, (*path, token), numbers, tokens, spells, lead, room)
        if node is not None:
            on[token] = node
    ends = numbers.holds(text)
    return Node(path, "decimal" if "." in text else "whole", ends, on) if on or ends else None


def name_tree(names: Sequence[str], spells: Spells, lead: str = "") -> Node | None:
    """The tree of some names, each of which counts unless a letter or digit makes another word of it.

    Returns:
        None where the tokenizer writes none of them.
    """
    # "New York" counts whatever word follows, so "New York City" is in it
    alone = [name for name in names if not any(_goes_on_from(name, other) for other in names)]
    written = [ids for name in dict.fromkeys(alone) if (ids := spells(lead + name))]
    if not written:
        return None

    def node(path: Ids) -> Node:
        after = dict.fromkeys(ids[len(path)] for ids in written if ids[: len(path)] == path != ids)
        return Node(path, "name", path in written, {token: node((*path, token)) for token in after})

    return node(())


def _goes_on_from(name: str, other: str) -> bool:
    """Whether a name is another with more words behind it."""
    return name != other and name.startswith(other) and not name[len(other)].isalnum()


def range_of(value: float, decimals: int, tolerance: float, other: float | None = None) -> Range:
    """The numbers that count as `value`, written with `decimals`.

    Args:
        tolerance: relative, the judge's.
        other: the other world's value; a number half way between the two is neither's.

    >>> range_of(10.0, 0, 0.01)
    Range(low=9.9, high=10.1, decimals=2)
    """
    width = tolerance * abs(value)
    if other is not None and other != value:
        width = min(width, 0.499 * abs(value - other))
    return Range(value - width, value + width, decimals + MORE_DECIMALS)
