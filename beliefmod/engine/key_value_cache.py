"""What rows that decode remember: keys and values of attention, states of recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.recurrent import RowStates
from beliefmod.engine.transfer import numbers
from beliefmod.model.quantized import return_freed_memory

PAGE = 64
"""Tokens that the room of a cache is a multiple of. Growing by a page copies the cache once in 64 steps, each
of which reads it whole."""


_HANDED_BACK = 2**27
"""Bytes that are freed before the system gets them back, which takes some 20 ms."""


def paged(tokens: int) -> int:
    """Tokens that a row takes up: the next multiple of `PAGE`."""
    return -(-tokens // PAGE) * PAGE


class KeyValueCache:
    """Per layer keys and values (rows, Hkv, capacity, D) of some rows.

    Row i holds `lengths[i]` tokens, left-aligned; what lies behind them is finite and never read without a
    mask. `capacity` is what every row has room for; it grows with the rows, not to what they might need.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = list(lengths)
        self.capacity = paged(max(lengths))
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.states: RowStates | None = None  # of recurrent layers, where the model has any

    def room(self, row: int) -> int:
        """Tokens that a row can take without the cache growing."""
        return self.capacity - self.lengths[row]

    def fill(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take the keys and values (rows, Hkv, longest row, D) of rows that are read from their beginning."""
        self.layers[layer] = (_with_room(key, self.capacity), _with_room(value, self.capacity))

    def write(self, layer: int, rows: Tensor, places: Tensor, key: Tensor, value: Tensor) -> None:
        """Put key and value (N, Hkv, D) of N tokens at their places in their rows, both (N,)."""
        keys, values = self.layers[layer]
        keys[rows, :, places] = key
        values[rows, :, places] = value

    def grow(self, tokens: int) -> None:
        """Make room for `tokens` in every row."""
        self.capacity = max(self.capacity, paged(tokens))
        for layer in _replaced(self):
            keys, values = self.layers[layer]
            self.layers[layer] = (_with_room(keys, self.capacity), _with_room(values, self.capacity))

    def rewrite(self, rows: Tensor, other: KeyValueCache) -> None:
        """Take the keys and values of `rows` (their indices) from another cache, whose rows they are."""
        longest = max(other.lengths)
        for layer, fresh in other.layers.items():
            for old, new in zip(self.layers[layer], fresh, strict=True):
                old[rows, :, :longest] = new[:, :, :longest]

    def part(self, rows: Sequence[int], more: Sequence[int]) -> KeyValueCache:
        """Keys and values of some rows, in the given order, as a cache of their own; a row may come twice.

        Args:
            more: tokens that each of the new rows has room for behind those that it has.
        """
        taken = KeyValueCache([self.lengths[row] for row in rows])
        taken.capacity = paged(max(old + new for old, new in zip(taken.lengths, more, strict=True)))
        for layer, pair in self.layers.items():
            taken.layers[layer] = _chosen(pair, rows, taken.capacity)
        return taken

    def take(self, first: int, other: KeyValueCache) -> None:
        """Take over another cache's rows as rows `first` and those behind it; nothing is left in that one.

        Rows are taken in their order, and `lengths` says beforehand how long all of them are.
        """
        rows = slice(first, first + len(other.lengths))
        for layer in _replaced(other):  # made whole at once: memory that grows piece by piece has holes
            fresh = other.layers.pop(layer)
            if layer not in self.layers:
                self.layers[layer] = self._empty(fresh[0]), self._empty(fresh[1])
            for mine, theirs in zip(self.layers[layer], fresh, strict=True):
                mine[rows, :, : theirs.shape[2]] = theirs
        if other.states is not None:
            known = [] if self.states is None else [(range(first), self.states)]
            self.states = RowStates.joined([*known, (range(rows.start, rows.stop), other.states)])

    def _empty(self, like: Tensor) -> Tensor:
        return like.new_zeros(len(self.lengths), like.shape[1], self.capacity, like.shape[3])


RowOf = tuple[KeyValueCache, int]
"""A cache and which of its rows."""


def rearranged(groups: Sequence[Sequence[RowOf]]) -> list[KeyValueCache]:
    """A cache for each group of rows, in their order, with room for the longest of them.

    Nothing is left in the caches that they lay in. A row may come twice. Rows with states make one group.
    """
    caches = list(dict.fromkeys(cache for rows in groups for cache, _ in rows))
    firsts = dict(zip(caches, accumulate((len(cache.lengths) for cache in caches), initial=0), strict=False))
    orders = [[firsts[cache] + row for cache, row in rows] for rows in groups]
    found = [KeyValueCache([cache.lengths[row] for cache, row in rows]) for rows in groups]
    longest = max(cache.capacity for cache in caches)
    every = list(range(sum(len(cache.lengths) for cache in caches)))
    as_they_are = orders == [every] and found[0].capacity == longest
    for layer in _replaced(*caches):
        pairs = [cache.layers.pop(layer) for cache in caches]
        keys, values = (_behind_each_other(each, longest) for each in zip(*pairs, strict=True))
        for order, cache in zip(orders, found, strict=True):
            pair = keys, values
            cache.layers[layer] = pair if as_they_are else _chosen(pair, order, cache.capacity)
    states = [(range(firsts[cache], firsts[cache] + len(cache.lengths)), cache.states) for cache in caches]
    if held := [(rows, each) for rows, each in states if each is not None]:
        [only], [order] = found, orders
        only.states = held[0][1] if len(held) == 1 else RowStates.joined(held)
        only.states.keep(torch.tensor(order))
    return found


def _replaced(*caches: KeyValueCache) -> Iterator[int]:
    """The layers of caches one by one, for each to be replaced: else two whole caches would be in memory.

    What was freed is handed back to the system on the way, for the C library keeps it: a cache of 1 GiB
    that was doubled took 2.5 GiB for a while.
    """
    freed = 0
    for layer in list(caches[0].layers):
        tensors = [each for cache in caches for each in cache.layers[layer]]
        freed += sum(each.nbytes for each in tensors if each.device.type == "cpu")
        del tensors
        yield layer
        if freed >= _HANDED_BACK:
            return_freed_memory()
            freed = 0


def _behind_each_other(parts: Sequence[Tensor], capacity: int) -> Tensor:
    """Keys or values of several caches as those of one, which have all room for `capacity` tokens."""
    return parts[0] if len(parts) == 1 else torch.cat([_with_room(part, capacity) for part in parts])


def _chosen(pair: tuple[Tensor, Tensor], rows: Sequence[int], capacity: int) -> tuple[Tensor, Tensor]:
    """Some rows of keys and values, each with room for `capacity` tokens, zeros behind those that it has."""
    here = pair[0].shape[2]
    index = numbers(rows, pair[0].device)
    if capacity <= here:
        keys, values = (each[:, :, :capacity].index_select(0, index) for each in pair)
        return keys, values
    wide = [each.new_zeros(len(rows), each.shape[1], capacity, each.shape[3]) for each in pair]
    for old, new in zip(pair, wide, strict=True):
        torch.index_select(old, 0, index, out=new[:, :, :here])  # written once
    return wide[0], wide[1]


def _with_room(old: Tensor, capacity: int) -> Tensor:
    """Keys or values (rows, Hkv, tokens, D) with as many tokens as the capacity, zeros behind them."""
    if old.shape[2] == capacity:
        return old.contiguous()
    return F.pad(old[:, :, :capacity], (0, 0, 0, capacity - min(capacity, old.shape[2])))
