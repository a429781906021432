"""New tokens of rows whose earlier ones lie in caches: decode steps, drafts to verify, rests of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from beliefmod.engine.attention import AttentionOptions, scaled_dot_product
from beliefmod.engine.key_value_cache import KeyValueCache
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
        # a place behind a row's last new token holds that token once more; what is computed there is dropped
        self.block = [
            start + min(n, count - 1)
            for start, count in zip(starts, counts, strict=True)
            for n in range(self.longest)
        ]
        self.real = [row * self.longest + n for row, count in enumerate(counts) for n in range(count)]
        self.owners = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
        self.within = [n for count in counts for n in range(count)]
        self._indices: tuple[Tensor, ...] | None = None

    def indices(self, device: torch.device) -> tuple[Tensor, ...]:
        """`flat`, `block`, `real`, `owners`, `within` and `rows` on the device."""
        if self._indices is None:
            lists = (self.flat, self.block, self.real, self.owners, self.within, self.rows)
            together = numbers([n for each in lists for n in each], device, torch.long)
            self._indices = together.split([len(each) for each in lists])  # copied at once
        return self._indices


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
        self._masks: dict[tuple[int, int | None, bool], Tensor] = {}
        positions = None
        for number, part in enumerate(layout.parts):
            flat, _, _, _, within, _ = part.indices(device)
            lengths = [part.cache.lengths[row] for row in part.rows]
            before = numbers(lengths, device) if held is None else held[number]
            if part.longest == 1:
                places = before
            else:
                counts = part.longest if part.even else numbers(part.counts, device)
                places = before.repeat_interleave(counts, output_size=len(part.flat)) + within
            longest = max(length + count for length, count in zip(lengths, part.counts, strict=True))
            longest = part.cache.capacity if whole else longest
            last = before[:, None] + torch.arange(part.longest, device=device)
            behind = last[:, :, None] - torch.arange(longest, device=device)
            self._work[number] = (places, behind[:, None], longest)
            if part.whole:
                positions = places
            else:
                positions = places.new_empty(sum(layout.counts)) if positions is None else positions
                positions.index_copy_(0, flat, places)
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
            out.index_copy_(0, part.indices(query.device)[0], found)
        assert out is not None
        return out[None]

    def _visible(self, number: int, options: AttentionOptions, dtype: torch.dtype) -> Tensor:
        """What the tokens of a cache see of it, once for all layers of the pass that see alike: the mask as
        `scaled_dot_product` wants it."""
        _, behind, longest = self._work[number]
        window = options.sliding_window
        window = window if window is not None and window < longest else None
        key = (number, window, options.written_out)
        if key not in self._masks:
            visible = behind >= 0 if window is None else (behind >= 0) & (behind < window)
            if not options.written_out:  # torch would make it of the other at every layer
                added = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
                visible = added.masked_fill_(~visible, -torch.inf)
            self._masks[key] = visible
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
        flat, block, real, owners, _, rows = part.indices(query.device)
        places, _, longest = self._work[number]
        if not part.whole:
            key, value = key.index_select(0, flat), value.index_select(0, flat)
        part.cache.write(layer, owners, places, key, value)
        keys, values = (each[:, :, :longest] for each in part.cache.layers[layer])
        if not part.in_order:
            keys, values = keys.index_select(0, rows), values.index_select(0, rows)
        if not (part.whole and part.even):
            query = query.index_select(0, block)
        visible = self._visible(number, options, query.dtype)
        heads, size = query.shape[1:]
        if part.longest == 1:
            # query heads that share a key head become queries of that head, so keys are not repeated
            grouped = query.reshape(len(part.rows), keys.shape[1], heads // keys.shape[1], size)
            return scaled_dot_product(grouped, keys, values, options, visible, False).reshape(-1, heads, size)
        query = query.reshape(len(part.rows), part.longest, heads, size).transpose(1, 2)
        out = scaled_dot_product(query, keys, values, options, visible, False)
        out = out.transpose(1, 2).reshape(-1, heads, size)
        return out if part.even else out.index_select(0, real)
