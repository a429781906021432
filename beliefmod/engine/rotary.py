"""Rotary embeddings whose frequencies depend on how long the row is: LongRoPE and dynamic NTK.

transformers takes the longest position of a whole pass for it, so in a pack of unequal rows a short row's
numbers would change with its neighbours. Here each row is rotated as transformers rotates it alone, by the
module's own forward; every other kind (linear, llama3, yarn, ...) has fixed frequencies and is left as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from beliefmod.engine.jobs import EngineError
from beliefmod.engine.transfer import sent


@dataclass(frozen=True)
class RowLength:
    """One row of a pass: how many of its tokens the pass has, and how long the row is, in tokens.

    Where a row branches, `shortest` is its length without any branch and `longest` that with the longest.
    """

    tokens: int
    shortest: int
    longest: int


class RowLengths(Protocol):
    """Rows that know how long they are."""

    def row_lengths(self) -> Sequence[RowLength]:
        """The rows of a pass, in the order of their tokens."""
        ...


class RowRotary(nn.Module):
    """Takes the place of a rotary embedding; inside `of` each row has the frequencies of its own length."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.rows: RowLengths | None = None

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> Any:
        """Rotary factors of positions (..., N); each row has the frequencies of its own length."""
        more = {} if layer_type is None else {"layer_type": layer_type}
        kind = self._kind(layer_type)
        if self.rows is None or kind not in ("longrope", "dynamic"):
            return self.inner(x, position_ids, **more)
        limit = self._original_length(kind, layer_type)
        groups: dict[int, list[Tensor]] = {}
        start = 0
        for row in self.rows.row_lengths():
            length = _effective_length(kind, row, limit)
            groups.setdefault(length, []).append(torch.arange(start, start + row.tokens))
            start += row.tokens
        if set(groups) == {limit}:
            self._forget(layer_type)
            return self.inner(x, position_ids, **more)
        factors: list[Tensor] = []
        places = {length: sent(torch.cat(parts), position_ids.device) for length, parts in groups.items()}
        for length, tokens in places.items():
            # the row's last position, which a pass may lack, tells transformers how long the row is
            last = position_ids.new_full((*position_ids.shape[:-1], 1), length - 1)
            self._forget(layer_type)
            found = self.inner(x, torch.cat((position_ids[..., tokens], last), -1), **more)
            for index, each in enumerate(found):
                if len(factors) <= index:
                    factors.append(each.new_empty(*each.shape[:-2], start, each.shape[-1]))
                factors[index][..., tokens, :] = each[..., :-1, :]
        self._forget(layer_type)
        return tuple(factors)

    def limits(self, kind: str) -> set[int]:
        """The original lengths, in tokens, of the layer types whose embedding is of this kind."""
        types = self.inner.rope_type
        names: list[str | None] = list(types) if isinstance(types, dict) else [None]
        return {self._original_length(kind, name) for name in names if self._kind(name) == kind}

    def _kind(self, layer_type: str | None) -> str:
        types = self.inner.rope_type
        return types[layer_type] if layer_type is not None else types

    def _original_length(self, kind: str, layer_type: str | None) -> int:
        """Tokens up to which a row has the frequencies that short rows have."""
        if kind == "dynamic":
            return int(self.inner.original_max_seq_len)
        settings = self.inner.config.rope_parameters
        return int((settings[layer_type] if layer_type else settings)["original_max_position_embeddings"])

    def _forget(self, layer_type: str | None) -> None:
        """Undo what a longer row left behind: dynamic frequencies stay in the module until a short pass."""
        inner, prefix = self.inner, f"{layer_type}_" if layer_type else ""
        if self._kind(layer_type) != "dynamic":
            return
        inner.register_buffer(
            f"{prefix}inv_freq", getattr(inner, f"{prefix}original_inv_freq"), persistent=False
        )
        setattr(inner, f"{prefix}max_seq_len_cached", inner.original_max_seq_len)


def _effective_length(kind: str, row: RowLength, limit: int) -> int:
    """A length that gives the row's frequencies: the limit for all rows up to it."""

    def effective(length: int) -> int:
        return max(limit, length if kind == "dynamic" else min(length, limit + 1))

    if effective(row.shortest) != effective(row.longest):
        raise EngineError(
            f"a row of {row.shortest} tokens that branches to {row.longest} cannot be read at once by this "
            f"model, whose rotary embedding changes beyond {limit} tokens"
        )
    return effective(row.longest)


class RotarySwitch:
    """Lets the rotary embeddings of a model that depend on a row's length see the rows inside a block.

    rewritten_beyond: LongRoPE's original lengths. A row that grows past one is read anew with the factors for
    long rows, for keys of both kinds do not belong together.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules: list[RowRotary] = []
        for name, module in list(model.named_modules()):
            if isinstance(module, RowRotary):
                self.modules.append(module)
            elif _depends_on_length(module) and not name.endswith(".inner"):
                parent, _, leaf = name.rpartition(".")
                self.modules.append(RowRotary(module))
                setattr(model.get_submodule(parent), leaf, self.modules[-1])
        self.rewritten_beyond = sorted({limit for each in self.modules for limit in each.limits("longrope")})

    @contextlib.contextmanager
    def of(self, rows: RowLengths) -> Iterator[None]:
        """Rotate by these rows inside the block."""
        for module in self.modules:
            module.rows = rows
        try:
            yield
        finally:
            for module in self.modules:
                module.rows = None


def _depends_on_length(module: nn.Module) -> bool:
    types: Any = getattr(module, "rope_type", None)
    kinds = set(types.values()) if isinstance(types, dict) else {types}
    return bool(kinds & {"longrope", "dynamic"})
