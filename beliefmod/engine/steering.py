"""Vectors in the residual stream: added to the tokens of some rows behind a layer, and read there.

A steered arm is base with one vector (hidden,) added behind one transformer layer to every token of its rows,
prompt and answer alike. Rows of any arms share a pass; the others' numbers do not change by a bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from beliefmod.engine.jobs import EngineError
from beliefmod.engine.routing import Segment


@dataclass(frozen=True)
class _Sum:
    """What a layer's output gets: `added` (n, hidden) at its tokens start..start+n-1."""

    start: int
    added: Tensor


class ResidualStream:
    """The layers of one model, with what is added behind each for the rows of a slot."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._vectors: dict[int, tuple[int, Tensor]] = {}
        self._hooks: dict[int, Any] = {}
        self._segments: Sequence[Segment] = ()
        # decoding comes back with the same segments at every step
        self._sums: tuple[Sequence[Segment], dict[int, _Sum]] = ((), {})

    def put(self, slot: int, layer: int, vector: Tensor) -> None:
        """Add a vector (hidden,) to the rows of a slot behind a layer, from now on. Raises EngineError."""
        block = self._block(layer)
        self._vectors[slot] = (layer, vector)
        self._sums = ((), {})
        if layer not in self._hooks:
            self._hooks[layer] = block.register_forward_hook(self._adding(layer))

    def drop(self, slot: int) -> None:
        """Add nothing to the rows of a slot any more."""
        layer, _ = self._vectors.pop(slot)
        self._sums = ((), {})
        if all(layer != other for other, _ in self._vectors.values()):
            self._hooks.pop(layer).remove()

    @contextlib.contextmanager
    def of(self, segments: Sequence[Segment]) -> Iterator[None]:
        """Set which tokens of a pass belong to which slot inside the block; outside nothing is added."""
        self._segments = segments
        try:
            yield
        finally:
            self._segments = ()

    @contextlib.contextmanager
    def seen(self, layer: int, see: Callable[[Tensor], None]) -> Iterator[None]:
        """Give `see` what each pass in the block has behind a layer, (tokens, hidden). Raises EngineError."""

        def behind(module: nn.Module, given: Any, out: Any) -> None:
            see(_stream(out)[0])

        handle = self._block(layer).register_forward_hook(behind)
        try:
            yield
        finally:
            handle.remove()

    def _block(self, layer: int) -> nn.Module:
        blocks = getattr(self._model.get_decoder(), "layers", None)
        if blocks is None:
            raise EngineError(
                f"a {type(self._model).__name__} keeps its transformer layers where steering does not find "
                "them; take a decoder with `layers`, such as Qwen3, Llama or Gemma"
            )
        if layer >= len(blocks):
            raise EngineError(f"there is no layer {layer}; the model's layers are 0 to {len(blocks) - 1}")
        return blocks[layer]

    def _adding(self, layer: int) -> Callable[..., Any]:
        def behind(module: nn.Module, given: Any, out: Any) -> Any:
            due = self._due().get(layer)
            if due is None:
                return None
            stream = _stream(out).clone()
            stream[0, due.start : due.start + len(due.added)] += due.added
            return (stream, *out[1:]) if isinstance(out, tuple) else stream

        return behind

    def _due(self) -> dict[int, _Sum]:
        """What the pass under way gets behind each layer."""
        if self._sums[0] is not self._segments:
            layers = {self._vectors[s.slot][0] for s in self._segments if s.slot in self._vectors}
            self._sums = (self._segments, {layer: self._sum(layer) for layer in layers})
        return self._sums[1]

    def _sum(self, layer: int) -> _Sum:
        parts: list[Tensor] = []
        first = stop = 0
        for segment in self._segments:
            at, vector = self._vectors.get(segment.slot, (None, None))
            if at != layer or vector is None:
                continue
            if not parts:
                first = stop = segment.start
            if segment.start > stop:
                parts.append(vector.new_zeros(segment.start - stop, len(vector)))
            parts.append(vector.expand(segment.stop - segment.start, -1))
            stop = segment.stop
        return _Sum(first, torch.cat(parts))


def _stream(out: Any) -> Tensor:
    """The residual stream (1, tokens, hidden) in what a layer gives. Raises EngineError where it has none."""
    stream = out[0] if isinstance(out, tuple) else out
    if stream.dim() != 3:
        raise EngineError(
            f"a layer of the model gives {stream.dim()} dimensions where one residual stream has 3, so no "
            "vector can be added to it; take another model"
        )
    return stream
