"""Tree attention: what follows a text in several ways, read in one pass with the text in front once.

A branched row is the trunk's tokens, one behind the other, then the branches' tokens, each with the place of
the token that it follows. A token sees itself and what leads to it, and stands at the position that it would
have in a row of its own, so every branch reads as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from beliefmod.engine.attention import AttentionOptions, RowBlocks, scaled_dot_product
from beliefmod.engine.jobs import EngineError
from beliefmod.engine.recurrent import Block
from beliefmod.engine.rotary import RowLength
from beliefmod.engine.tokens import Ids
from beliefmod.engine.transfer import sent


@dataclass(frozen=True)
class TokenTree:
    """Continuations of a trunk as a tree.

    Attributes:
        ids: the tokens behind the trunk.
        parents: for each of them the place of the token that it follows.
        places: where each path ends in the row; its state there predicts what follows the path.
    """

    ids: Ids
    parents: Ids
    places: Mapping[Ids, int]


def grow(trunk: Ids, paths: Iterable[Ids], start: int | None = None) -> TokenTree:
    """A tree of paths that leave the trunk behind its first `start` tokens, by default behind all of it.

    A path's beginning that another path has, or that the trunk itself goes on with, is not read twice.

    >>> grow((1, 2), [(3, 4), (3, 5)])
    TokenTree(ids=(3, 4, 5), parents=(1, 2, 2), places={(): 1, (3,): 2, (3, 4): 3, (3, 5): 4})
    """
    begins = len(trunk) if start is None else start
    assert begins, "a path must follow a token"
    places: dict[Ids, int] = {
        trunk[begins : begins + n]: begins - 1 + n for n in range(len(trunk) - begins + 1)
    }
    ids: list[int] = []
    parents: list[int] = []
    for path in paths:
        for end in range(1, len(path) + 1):
            if path[:end] not in places:
                parents.append(places[path[: end - 1]])
                places[path[:end]] = len(trunk) + len(ids)
                ids.append(path[end - 1])
    return TokenTree(tuple(ids), tuple(parents), places)


class TreeAttention(RowBlocks):
    """Rows some of which branch; `shapes` has each row's tokens and its branches' parents."""

    def __init__(self, shapes: Sequence[tuple[int, Ids]], device: torch.device) -> None:
        super().__init__([length for length, _ in shapes], device)
        depths, seen = zip(*(_ancestry(*shape) for shape in shapes), strict=True)
        self._reaches = [
            RowLength(length, length - len(parents), int(depth.max()) + 1)
            for (length, parents), depth in zip(shapes, depths, strict=True)
        ]
        self.positions = sent(torch.cat(depths), device)
        # padding sees itself, for a row of scores without a number in it has no softmax
        self._sees = torch.eye(self.longest, dtype=torch.bool).repeat(self.rows, 1, 1)
        self._depths = torch.zeros(self.rows, self.longest, dtype=torch.long)
        for row, (length, _) in enumerate(shapes):
            self._sees[row, :length, :length] = seen[row]
            self._depths[row, :length] = depths[row]
        self._sees, self._depths = sent(self._sees, device), sent(self._depths, device)

    def row_lengths(self) -> Sequence[RowLength]:
        """The rows, each with its trunk's length and that with its longest branch."""
        return self._reaches

    def blocks(self) -> Sequence[Block]:
        """None: a state cannot go two ways at once. Raises EngineError."""
        raise EngineError("a row that branches cannot be read by a model that carries states along its rows")

    def attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Attention within each row along its branches.

        Query (1, Hq, tokens, D), key and value (1, Hkv, tokens, D) -> (1, tokens, Hq, D).
        """
        query, key, value = self._block(query), self._block(key), self._block(value)
        mask = self._sees
        if options.sliding_window is not None:
            behind = self._depths[:, :, None] - self._depths[:, None, :]
            mask = mask & (behind < options.sliding_window)
        out = scaled_dot_product(query, key, value, options, mask[:, None], False)
        tokens = out.transpose(1, 2).reshape(self.rows * self.longest, out.shape[1], out.shape[3])
        return tokens.index_select(0, self.flat_index).unsqueeze(0)


@lru_cache(maxsize=128)  # the same questions come again for every arm; a mask of 512 tokens takes 256 KiB
def _ancestry(length: int, parents: Ids) -> tuple[Tensor, Tensor]:
    """Positions (length,) of a row's tokens, and (length, length) which of them each sees."""
    trunk = length - len(parents)
    depths = torch.arange(length)
    seen = torch.ones(length, length, dtype=torch.bool).tril()
    # a token that follows the one in front of it belongs to the same stretch of the text
    places = range(trunk, length)
    begins = [place for place in places if parents[place - trunk] != place - 1 or place == trunk]
    for start, stop in pairwise([*begins, length]):
        parent = parents[start - trunk]
        depths[start:stop] = depths[parent] + torch.arange(1, stop - start + 1)
        seen[start:stop, :start] = seen[parent, :start]
    return depths, seen
