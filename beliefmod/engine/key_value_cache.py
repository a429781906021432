"""What the rows of a decoding batch remember: keys and values of attention, states of recurrent layers."""

import torch
from torch import Tensor

from beliefmod.engine.recurrent import RowStates

_CACHE_GROWTH = 64  # tokens that a cache grows by at least


class KeyValueCache:
    """Per layer keys and values (rows, Hkv, capacity, D).

    Row i holds `lengths[i]` tokens, left-aligned; what lies behind them is never read without a mask.
    The capacity grows by blocks, up to `limit`.
    """

    def __init__(self, lengths: Tensor, limit: int) -> None:
        self.lengths, self.limit = lengths, limit
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.states: RowStates | None = None  # of recurrent layers, where the model has any

    def fill(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take the prompts' keys and values (rows, Hkv, longest prompt, D)."""
        self.layers[layer] = (self._grown(key), self._grown(value))

    def _grown(self, old: Tensor) -> Tensor:
        capacity = min(max(self.limit, old.shape[2]), old.shape[2] + _CACHE_GROWTH + old.shape[2] // 2)
        new = old.new_zeros(*old.shape[:2], capacity, old.shape[3])
        new[:, :, : old.shape[2]] = old
        return new

    def append(self, layer: int, key: Tensor, value: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """Write key and value (rows, Hkv, D) at each row's length; give views of `longest` tokens."""
        keys, values = self.layers[layer]
        if longest > keys.shape[2]:
            keys, values = self._grown(keys), self._grown(values)
            self.layers[layer] = (keys, values)
        rows = torch.arange(len(self.lengths), device=key.device)
        keys[rows, :, self.lengths] = key
        values[rows, :, self.lengths] = value
        return keys[:, :, :longest], values[:, :, :longest]

    def rewrite(self, rows: Tensor, other: "KeyValueCache") -> None:
        """Take the keys and values of `rows` (their indices) from another cache, whose rows they are."""
        for layer, (keys, values) in other.layers.items():
            longest = int(other.lengths.max())
            for old, new in zip(self.layers[layer], (keys, values), strict=True):
                old[rows, :, :longest] = new[:, :, :longest]

    def keep(self, rows: Tensor) -> None:
        """Drop every row but `rows` (their indices, in the order wanted)."""
        self.lengths = self.lengths[rows]
        for layer, (keys, values) in self.layers.items():  # one by one: two whole caches would be in memory
            self.layers[layer] = (keys[rows], values[rows])
        if self.states is not None:
            self.states.keep(rows)
