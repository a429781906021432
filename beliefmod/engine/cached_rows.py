"""New tokens of rows whose earlier ones lie in caches: decode steps, drafts to verify, rests of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from beliefmod.engine.attention import AttentionOptions, scaled_dot_product
from beliefmod.engine.key_value_cache import KeyValueCache
from beliefmod.engine.query_blocks import query_blocks
from beliefmod.engine.recurrent import Block
from beliefmod.engine.rotary import RowLength
from beliefmod.engine.transfer import numbers


class RowOrder:
    """How the tokens of rows of several caches lie in a pass.

    Args:
        order: of each row of the pass the cache, and which row of that cache it is.
        counts: how many new tokens each row has, in that order.
    """

    def __init__(
        self, caches: Sequence[KeyValueCache], order: Sequence[tuple[int, int]], counts: Sequence[int]
    ) -> None:
        self.caches, self.order, self.counts = list(caches), list(order), list(counts)
        self.starts = [0] * len(order)
        for place in range(1, len(order)):
            self.starts[place] = self.starts[place - 1] + counts[place - 1]
        self.parts = [self._part(number) for number in range(len(caches))]

    def _part(self, number: int) -> _Part:
        places = [place for place, (cache, _) in enumerate(self.order) if cache == number]
        rows = [self.order[place][1] for place in places]
        return _Part(
            self.caches[number],
            rows,
            [self.starts[place] for place in places],
            [self.counts[place] for place in places],
            whole=len(self.caches) == 1,
        )


class _Part:
    """The tokens of a pass that belong to one cache: which row each is of, and where they lie."""

    def __init__(
        self, cache: KeyValueCache, rows: list[int], starts: list[int], counts: list[int], whole: bool
    ) -> None:
        self.cache, self.rows, self.counts = cache, rows, counts
        self.longest = max(counts)
        self.flat = [start + n for start, count in zip(starts, counts, strict=True) for n in range(count)]
        self.whole = whole  # the pass has no other tokens, and these in the order of `flat`
        self.even = min(counts) == self.longest
        self.in_order = rows == list(range(len(cache.lengths)))
        self.owners = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
        self.within = [n for count in counts for n in range(count)]
        self._indices: _Indices | None = None

    def indices(self, device: torch.device) -> _Indices:
        """Where the tokens lie, on the device."""
        if self._indices is None:
            # on a GPU a further launch costs more than padding
            blocks, places = query_blocks(self.counts, split=device.type == "cpu" and not self.even)
            lists: list[Sequence[int]] = [self.flat, self.owners, self.within, places]
            for block in blocks:
                lists.append([self.flat[token] for token in block.tokens])
                lists.append(self.rows if block.rows is None else [self.rows[row] for row in block.rows])
                lists.append(range(len(self.rows)) if block.rows is None else block.rows)
            together = numbers([n for each in lists for n in each], device, torch.long)
            flat, owners, within, places, *rest = together.split(
                [len(each) for each in lists]
            )  # copied at once
            on_device = [
                _Block(block.start, block.width, *rest[3 * n : 3 * n + 3], whole=block.rows is None)
                for n, block in enumerate(blocks)
            ]
            self._indices = _Indices(flat, owners, within, places, on_device)
        return self._indices


@dataclass(frozen=True)
class _Block:
    """A `QueryBlock` on the device.

    Attributes:
        tokens: of each place the token that stands there, among those of the pass.
        rows, places: of each of its rows, its place in the cache and among the rows of the part.
        whole: it has all rows of the part.
    """

    start: int
    width: int
    tokens: Tensor
    rows: Tensor
    places: Tensor
    whole: bool


@dataclass(frozen=True)
class _Indices:
    """Where a part's tokens lie: their places in the pass, their rows in the cache, their number in their
    row, and their places in the blocks."""

    flat: Tensor
    owners: Tensor
    within: Tensor
    in_blocks: Tensor
    blocks: Sequence[_Block]


class CachedRows:
    """One pass over the tokens of a `RowOrder`, given the lengths of its caches' rows as they are now.

    A token sees the tokens in the cache of its row and the new ones of its row up to itself.

    Args:
        held: of each cache the lengths of its rows, in the order of the pass, on the device; without them
            they are copied there, which waits for it.
        whole: read each cache as far as it has room, so that shapes do not depend on the lengths.
    """

    def __init__(
        self,
        layout: RowOrder,
        device: torch.device,
        held: Sequence[Tensor] | None = None,
        whole: bool = False,
    ) -> None:
        self.layout = layout
        self.cache = layout.caches[0] if len(layout.caches) == 1 else None
        self._work: dict[int, tuple[Tensor, Tensor, int]] = {}
        self._masks: dict[tuple[int, int, int | None, bool, int], Tensor] = {}
        positions = None
        for number, part in enumerate(layout.parts):
            where = part.indices(device)
            lengths = [part.cache.lengths[row] for row in part.rows]
            before = numbers(lengths, device) if held is None else held[number]
            if part.longest == 1:
                places = before
            else:
                counts = part.longest if part.even else numbers(part.counts, device)
                places = before.repeat_interleave(counts, output_size=len(part.flat)) + where.within
            longest = max(length + count for length, count in zip(lengths, part.counts, strict=True))
            longest = part.cache.capacity if whole else longest
            self._work[number] = (before, places, longest)
            if part.whole:
                positions = places
            else:
                positions = places.new_empty(sum(layout.counts)) if positions is None else positions
                positions.index_copy_(0, where.flat, places)
        assert positions is not None
        self.positions = positions

    def row_lengths(self) -> Sequence[RowLength]:
        """The rows, each as long as it is with its new tokens."""
        found = []
        for (number, row), count in zip(self.layout.order, self.layout.counts, strict=True):
            length = self.layout.caches[number].lengths[row] + count
            found.append(RowLength(count, length, length))
        return found

    def starts(self) -> Sequence[int]:
        """The flat place of each row's first new token."""
        return self.layout.starts

    def blocks(self) -> Sequence[Block]:
        """All rows of the one cache, one token each: a recurrent layer reads them so."""
        assert self.cache is not None and set(self.layout.counts) == {1}
        return [Block(range(len(self.layout.order)), 1)]

    def attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        """Query (1, Hq, N, D), key and value (1, Hkv, N, D) -> (1, N, Hq, D)."""
        query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
        out = None
        for number, part in enumerate(self.layout.parts):
            found = self._attend(number, part, module.layer_idx, query, key, value, options)
            if part.whole:
                return found[None]
            out = found.new_empty(len(query), *found.shape[1:]) if out is None else out
            out.index_copy_(0, part.indices(query.device).flat, found)
        assert out is not None
        return out[None]

    def _visible(
        self, number: int, block_number: int, heads: int, options: AttentionOptions, dtype: torch.dtype
    ) -> Tensor:
        """What the queries of a block see of its cache, once for all layers of the pass that see alike: the
        mask as `scaled_dot_product` wants it, for so many query heads of one key head behind each other."""
        before, _, longest = self._work[number]
        window = options.sliding_window
        window = window if window is not None and window < longest else None
        key = (number, block_number, window, options.written_out, heads)
        if key not in self._masks:
            device = before.device
            block = self.layout.parts[number].indices(device).blocks[block_number]
            first = (before if block.whole else before.index_select(0, block.places)) + block.start
            last = first[:, None] + torch.arange(block.width, device=device)
            behind = last[:, :, None] - torch.arange(longest, device=device)
            visible = behind >= 0 if window is None else (behind >= 0) & (behind < window)
            if not options.written_out:  # torch would make it of the other at every layer
                added = torch.zeros(visible.shape, dtype=dtype, device=device)
                visible = added.masked_fill_(~visible, -torch.inf)
            if block.width > 1:
                visible = visible.repeat(1, heads, 1)
            self._masks[key] = visible[:, None]
        return self._masks[key]

    def _attend(
        self,
        number: int,
        part: _Part,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        options: AttentionOptions,
    ) -> Tensor:
        """The tokens of one cache: (its tokens, Hq, D) of query, key and value of the whole pass."""
        where = part.indices(query.device)
        _, places, longest = self._work[number]
        if not part.whole:
            key, value = key.index_select(0, where.flat), value.index_select(0, where.flat)
        part.cache.write(layer, where.owners, places, key, value)
        keys, values = (each[:, :, :longest] for each in part.cache.layers[layer])
        found = []
        for block_number, block in enumerate(where.blocks):
            if block.whole and part.in_order:
                mine = keys, values
            else:
                mine = keys.index_select(0, block.rows), values.index_select(0, block.rows)
            straight = part.whole and part.even  # the tokens lie as they do in the one block
            asked = query if straight else query.index_select(0, block.tokens)
            # query heads that share a key head become queries of that head, so keys are read once for all
            shared = query.shape[1] // keys.shape[1]
            visible = self._visible(number, block_number, shared, options, query.dtype)
            rows, size = len(block.rows), query.shape[2]
            asked = asked.reshape(rows, block.width, -1, shared, size).permute(0, 2, 3, 1, 4).flatten(2, 3)
            out = scaled_dot_product(asked, *mine, options, visible, False)
            out = out.reshape(rows, -1, shared, block.width, size).permute(0, 3, 1, 2, 4)
            found.append(out.reshape(-1, query.shape[1], size))
        if part.even:
            return found[0]
        return (found[0] if len(found) == 1 else torch.cat(found)).index_select(0, where.in_blocks)
