"""Attention over flat tokens: the rows of a pack lie behind each other without padding.

Everything in a transformer but attention works token by token, so a pack is one sequence (1, N, hidden).
Only here the rows are laid beside each other, (rows, heads, longest, head_dim), and taken apart again.
Padding comes after a row's own tokens, so causality alone hides it. transformers hands its attention
modules to the function below under the name FLAT_ATTENTION; the rows reach it as the keyword `flat_rows`
of the model call.
"""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.key_value_cache import KeyValueCache
from beliefmod.engine.recurrent import Block, StateCache, ToBlock
from beliefmod.engine.rotary import RowLength
from beliefmod.engine.transfer import sent

FLAT_ATTENTION = "beliefmod_flat"


class FlatRows(Protocol):
    """How the tokens of one pass attend to each other."""

    def attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, options: "AttentionOptions"
    ) -> Tensor:
        """query (1, Hq, N, D), key and value (1, Hkv, N, D) -> (1, N, Hq, D)."""
        ...

    def row_lengths(self) -> Sequence[RowLength]:
        """The rows of the pass, in the order of their tokens."""
        ...

    @property
    def cache(self) -> StateCache | None:
        """The cache of a decoding batch."""
        ...

    def starts(self) -> Sequence[int]:
        """The flat place of each row's first token."""
        ...

    def blocks(self) -> Sequence[Block]:
        """The rows as recurrent layers read them."""
        ...


class AttentionOptions:
    """What one attention module does to its scores; None means nothing.

    scaling: their factor. sliding_window: tokens. sinks (Hq,): a score per query head that takes part in the
    softmax and has no value (gpt-oss).
    """

    def __init__(
        self,
        scaling: float | None,
        sliding_window: int | None,
        softcap: float | None,
        sinks: Tensor | None = None,
    ) -> None:
        self.scaling, self.sliding_window, self.softcap, self.sinks = scaling, sliding_window, softcap, sinks
        # torch's own attention knows neither soft caps nor sinks
        self.written_out = softcap is not None or sinks is not None


def flat_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    flat_rows: FlatRows,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function in transformers' calling convention; `flat_rows` does the work."""
    options = AttentionOptions(scaling, sliding_window, softcap, s_aux)
    return flat_rows.attend(module, query, key, value, options), None


class FlatAttentionSwitch:
    """Lets every attention module of a model use `flat_attention` inside a block, and its own one after it.

    Outside the engine's own passes the model thus stays an ordinary transformers model.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        from transformers import AttentionInterface

        # transformers makes no mask at all for a function that it knows from this registry alone
        AttentionInterface.register(FLAT_ATTENTION, flat_attention)
        self.configs: list[Any] = list(
            {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}.values()
        )

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        # the public setter also writes sub-configs, which are in the list themselves
        before = [config._attn_implementation_internal for config in self.configs]
        for config in self.configs:
            config._attn_implementation_internal = FLAT_ATTENTION
        try:
            yield
        finally:
            for config, name in zip(self.configs, before, strict=True):
                config._attn_implementation_internal = name


def scaled_dot_product(
    query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions, mask: Tensor | None, causal: bool
) -> Tensor:
    """query (B, Hq, Lq, D), key and value (B, Hkv, Lk, D), mask broadcastable to (B, 1, Lq, Lk) ->
    like query.

    Give a mask or `causal`, not both: bool, or where nothing is written out also what is added to scores.
    Soft-capped scores (Gemma 2) and sinks (gpt-oss) take the written-out form. In decoding the queries of a
    key head are those of its query heads, one head's behind the other's, in their order, as sinks are.
    """
    grouped = query.shape[1] != key.shape[1]
    if not options.written_out:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal, scale=options.scaling, enable_gqa=grouped
        )
    if grouped:
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    if causal:
        mask = causal_mask(query.shape[2], None, query.device)
    scaling = query.shape[-1] ** -0.5 if options.scaling is None else options.scaling
    scores = query @ key.transpose(2, 3) * scaling
    if options.softcap is not None:
        scores = options.softcap * torch.tanh(scores / options.softcap)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    if options.sinks is not None:
        sinks = options.sinks.to(scores.dtype).reshape(query.shape[1], -1)
        sinks = sinks.repeat_interleave(query.shape[2] // sinks.shape[1], 1)[:, :, None]
        scores = torch.cat((scores, sinks.expand(*scores.shape[:3], 1)), -1)
    weights = F.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return weights[..., : key.shape[2]].to(query.dtype) @ value


def causal_mask(length: int, window: int | None, device: torch.device) -> Tensor:
    """(length, length) bool: query i sees key j when j <= i and, with a window, i - j < window."""
    place = torch.arange(length, device=device)
    behind = place[:, None] - place[None, :]
    return behind >= 0 if window is None else (behind >= 0) & (behind < window)


class RowBlocks:
    """Rows of given lengths, causal within each row; with a cache, keys and values are kept for decoding.

    unread: tokens that every row goes on with and that this pass lacks, being predicted only.
    """

    def __init__(
        self,
        lengths: list[int],
        device: torch.device,
        cache: KeyValueCache | None = None,
        unread: int = 0,
    ) -> None:
        sizes = torch.tensor(lengths)
        self.lengths, self.unread = lengths, unread
        starts = sizes.cumsum(0) - sizes
        place = torch.arange(int(sizes.max()))
        self.rows, self.longest, self.cache = len(lengths), int(sizes.max()), cache
        self.even = bool((sizes == self.longest).all())
        inside = torch.minimum(place[None, :], sizes[:, None] - 1)
        self.block_index = sent((starts[:, None] + inside).flatten(), device)
        real = place[None, :] < sizes[:, None]
        self.flat_index = sent(real.flatten().nonzero().flatten(), device)
        self.positions = sent(place.expand(self.rows, -1)[real], device)
        self.last_tokens = sent(starts + sizes - 1, device)

    def row_lengths(self) -> Sequence[RowLength]:
        """The rows, in the order of their tokens."""
        return [RowLength(n, n + self.unread, n + self.unread) for n in self.lengths]

    def starts(self) -> Sequence[int]:
        """The flat place of each row's first token."""
        return list(accumulate(self.lengths[:-1], initial=0))

    def blocks(self) -> Sequence[Block]:
        """All rows in one block, padded behind. Where states are kept padding would enter into them, so the
        rows of each length are a block of their own."""
        everyone, device = range(self.rows), self.flat_index.device
        if self.even:
            return [Block(everyone, self.longest)]
        if self.cache is None:
            return [Block(everyone, self.longest, self.block_index, self.flat_index)]
        starts, blocks = self.starts(), []
        for length in sorted(set(self.lengths)):
            rows = [row for row in everyone if self.lengths[row] == length]
            tokens = torch.tensor([starts[row] + place for row in rows for place in range(length)])
            there = sent(tokens, device)
            blocks.append(Block(rows, length, there, flat=there))
        return blocks

    def _block(self, flat: Tensor) -> Tensor:
        """(1, H, N, D) -> (B, H, L, D)."""
        tokens = flat[0].transpose(0, 1)
        if not self.even:
            tokens = ToBlock.apply(tokens, self.block_index, self.flat_index)
        return tokens.reshape(self.rows, self.longest, *tokens.shape[1:]).transpose(1, 2)

    def attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions
    ) -> Tensor:
        query, key, value = self._block(query), self._block(key), self._block(value)
        if self.cache is not None:
            self.cache.fill(module.layer_idx, key, value)
        window = options.sliding_window
        if window is not None and window < self.longest:
            out = scaled_dot_product(
                query, key, value, options, causal_mask(self.longest, window, key.device), False
            )
        else:
            out = scaled_dot_product(query, key, value, options, None, True)
        tokens = out.transpose(1, 2).reshape(self.rows * self.longest, out.shape[1], out.shape[3])
        return (tokens if self.even else tokens.index_select(0, self.flat_index)).unsqueeze(0)
