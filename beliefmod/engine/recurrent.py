"""Layers that carry a state from token to token (short convolutions, gated delta nets) over flat rows.

A pack is one sequence, in which such a layer would carry one row's state into the next. Here the rows are
laid beside each other for it, as for attention, and transformers' own module runs on them, with
transformers' own cache for the state of each row. Adapters inside the module see the rows in that layout too.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from beliefmod.engine.routing import Group, Routing, Segment, segments_of
from beliefmod.engine.transfer import sent


@dataclass(frozen=True)
class Block:
    """Rows of a pass that go through a recurrent layer together, each `length` tokens, padding included.

    rows: their places among the rows of the pass. tokens (rows * length,): the flat token at each place; a
    place behind a row's end holds a real token of its row. real: the places of real tokens, None for all.
    flat: the flat places of those, None where the block is the whole pass in its own order.
    """

    rows: Sequence[int]
    length: int
    tokens: Tensor | None = None
    real: Tensor | None = None
    flat: Tensor | None = None


class StateCache(Protocol):
    """Where a decoding batch keeps states; None before its prompts have been read."""

    states: RowStates | None


class Rows(Protocol):
    """The rows of a pass as recurrent layers need them. cache: that of a decoding batch, None elsewhere."""

    @property
    def cache(self) -> StateCache | None:
        """The cache of a decoding batch."""
        ...

    def starts(self) -> Sequence[int]:
        """The flat place of each row's first token."""
        ...

    def blocks(self) -> Sequence[Block]:
        """The rows, in blocks: behind a block with padding the states are of no use."""
        ...


class RowStates:
    """What recurrent layers remember of each row of a decoding batch, in transformers' own cache."""

    def __init__(self, config: Any) -> None:
        from transformers import DynamicCache

        self.cache: Any = DynamicCache(config=config.get_text_config())

    def keep(self, rows: Tensor) -> None:
        """Drop every row but `rows` (their indices, in the order wanted)."""
        for layer in self._layers():
            layer.reorder_cache(rows)

    def _layers(self) -> list[Any]:
        return [layer for layer in self.cache.layers if hasattr(layer, "conv_states")]

    @classmethod
    def joined(cls, parts: Sequence[tuple[Sequence[int], RowStates]]) -> RowStates:
        """The states of all rows in their order, from parts with the rows that each has."""
        whole = parts[0][1]
        order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
        for layers in zip(*(part._layers() for _, part in parts), strict=True):
            for name in ("conv_states", "recurrent_states"):
                states = getattr(layers[0], name)
                for key, first in states.items():
                    if first is not None:
                        together = torch.cat([getattr(layer, name)[key] for layer in layers])
                        states[key] = together[sent(order, first.device)]
        return whole


class RowRecurrent(nn.Module):
    """Takes the place of a recurrent layer; inside `RecurrentSwitch.of` each row has a state of its own."""

    def __init__(self, inner: Any, cache_name: str, switch: RecurrentSwitch) -> None:
        super().__init__()
        self.inner, self.cache_name = inner, cache_name
        self._switch: list[RecurrentSwitch] = [
            switch
        ]  # in a list, so that copying the model leaves it to the copy's own switch

    def forward(self, hidden_states: Tensor, **options: Any) -> Tensor:
        """(1, N, hidden) -> (1, N, hidden)."""
        switch = self._switch[0]
        if not switch.work:
            return self.inner(hidden_states, **options)
        flat, out = hidden_states[0], None
        for block, groups, states in switch.work:
            tokens = flat
            if block.real is not None:
                tokens = ToBlock.apply(flat, block.tokens, block.real)
            elif block.tokens is not None:
                tokens = flat.index_select(0, block.tokens)
            given = {self.cache_name: states and states.cache}
            with switch.routing.using(groups):
                found = self.inner(tokens.reshape(len(block.rows), block.length, -1), **given)
            found = found.reshape(-1, found.shape[-1])
            if block.real is not None:
                found = found.index_select(0, block.real)
            if block.flat is None:
                return found[None]
            out = found.new_empty(len(flat), found.shape[-1]) if out is None else out
            out = out.index_copy(0, block.flat, found)
        assert out is not None
        return out[None]


class RecurrentSwitch:
    """Lets the recurrent layers of a model see the rows inside a block; it has none in most models."""

    def __init__(self, model: Any, routing: Routing) -> None:
        self.routing, self.config = routing, model.config
        self.layers: list[RowRecurrent] = []
        self.work: list[tuple[Block, Sequence[Group] | None, RowStates | None]] = []  # of the pass under way
        for name, module in list(model.named_modules()):
            if isinstance(module, RowRecurrent):
                module._switch = [self]
                self.layers.append(module)
            elif (cache_name := _cache_name(module)) and not name.endswith(".inner"):
                parent, _, leaf = name.rpartition(".")
                self.layers.append(RowRecurrent(module, cache_name, self))
                setattr(model.get_submodule(parent), leaf, self.layers[-1])

    def __deepcopy__(self, memo: Any) -> RecurrentSwitch:
        return self  # a copied model gets a switch of its own when it is prepared

    @contextlib.contextmanager
    def of(self, rows: Rows, segments: Sequence[Segment]) -> Iterator[None]:
        """Carry states along these rows, whose flat tokens belong to these slots, inside the block."""
        if not self.layers:
            yield
            return
        blocks, cache = rows.blocks(), rows.cache
        kept = cache.states if cache is not None else None
        states = [RowStates(self.config) if cache is not None and kept is None else kept for _ in blocks]
        groups = [self._groups(block, rows.starts(), segments) for block in blocks]
        self.work = list(zip(blocks, groups, states, strict=True))
        try:
            yield
            if cache is not None and kept is None:
                parts = zip(blocks, states, strict=True)
                cache.states = RowStates.joined([(block.rows, part) for block, part in parts if part])
        finally:
            self.work = []

    def _groups(
        self, block: Block, starts: Sequence[int], segments: Sequence[Segment]
    ) -> Sequence[Group] | None:
        """Which tokens of a block belong to which slot; None where it is laid out as the pass is."""
        if block.tokens is None:
            return None
        owners = [
            next((s.slot for s in segments if s.start <= starts[row] < s.stop), None) for row in block.rows
        ]
        return self.routing.plan(segments_of(owners, [block.length] * len(owners)))


def _cache_name(module: nn.Module) -> str | None:
    """Under what name a recurrent layer takes its state; None for any other module.

    They are known by a causal convolution of their own and by their place in the cache.
    """
    convolves = any(isinstance(child, nn.Conv1d) for child in module.children())
    if not convolves or not hasattr(module, "layer_idx"):
        return None
    names = inspect.signature(module.forward).parameters
    return next((name for name in ("cache_params", "past_key_values") if name in names), None)


class ToBlock(torch.autograd.Function):
    """(N, ...) flat -> (B * L, ...) padded. No real token is computed from padding, which comes behind the
    tokens of its row, so it gets no gradient, and the backward pass is the plain inverse gather.

    Args:
        tokens: (B * L,), which flat token stands at each place; at padding any.
        real: (N,), the place of each flat token.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, tokens: Tensor, real: Tensor) -> Tensor:
        ctx.save_for_backward(real)
        return flat.index_select(0, tokens)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (real,) = ctx.saved_tensors
        return grad.index_select(0, real), None, None
