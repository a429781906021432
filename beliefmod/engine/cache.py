"""Keys and values of the rows being decoded, and the attention of one new token per row."""

from typing import Any

import torch
from torch import Tensor

from beliefmod.engine.attention import AttentionOptions, scaled_dot_product

_GROWTH = 64


class KeyValueCache:
    """Per layer keys and values (rows, Hkv, capacity, D).

    Row i holds `lengths[i]` tokens, left-aligned; what lies behind them is never read without a mask.
    The capacity grows by blocks, up to `limit`.
    """

    def __init__(self, lengths: Tensor, limit: int) -> None:
        self.lengths, self.limit = lengths, limit
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}

    def fill(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Take the prompts' keys and values (rows, Hkv, longest prompt, D)."""
        self.layers[layer] = (self._grown(key), self._grown(value))

    def _grown(self, old: Tensor) -> Tensor:
        capacity = min(max(self.limit, old.shape[2]), old.shape[2] + _GROWTH + old.shape[2] // 2)
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

    def keep(self, rows: Tensor) -> None:
        """Drop every row but `rows` (their indices, in the order wanted)."""
        self.lengths = self.lengths[rows]
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}


class DecodeStep:
    """One new token per row: each sees the tokens of its own row, itself included."""

    def __init__(self, cache: KeyValueCache) -> None:
        self.cache, self.positions = cache, cache.lengths
        self.longest = int(cache.lengths.max()) + 1
        place = torch.arange(self.longest, device=cache.lengths.device)
        self.behind = cache.lengths[:, None] - place[None, :]
        self.visible = (self.behind >= 0)[:, None, None, :]

    def attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        keys, values = self.cache.append(
            module.layer_idx, key[0].transpose(0, 1), value[0].transpose(0, 1), self.longest
        )
        visible, window = self.visible, options.sliding_window
        if window is not None and window < self.longest:
            visible = visible & (self.behind < window)[:, None, None, :]
        # Query heads that share a key head become queries of that head, so keys are not repeated.
        rows, heads, size = query.shape[2], query.shape[1], query.shape[3]
        grouped = query[0].transpose(0, 1).reshape(rows, keys.shape[1], heads // keys.shape[1], size)
        out = scaled_dot_product(grouped, keys, values, options, visible, False)
        return out.reshape(1, rows, heads, size)
