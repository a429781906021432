"""The residual stream of many rows under many adapters in one pass, and values put in its place.

Entry 0 is what block 0 reads, entry k what block k reads and block k-1 wrote, entry N (after N blocks) what
the last norm reads. transformers' own `hidden_states` are not used: their last entry is already normed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.forward import flat_ids, segments_of, sorted_by_slot
from interp.lenses.decoder import Decoder, decoder_of
from interp.lenses.tree_attention import BranchedRows

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine


@dataclass(frozen=True)
class Patch:
    """`value` (hidden,) takes the place of the residual at `entry` (0..N) and `position` of a row."""

    entry: int
    position: int
    value: Tensor


@dataclass(frozen=True)
class ProbedRow:
    """Token ids under an adapter of the engine (None: base), and the positions that are to be looked at.

    parents: of the last tokens, where these branch off (see `branching_rows`); the others stand in a line.
    """

    input_ids: tuple[int, ...]
    positions: tuple[int, ...]
    adapter: str | None = None
    patches: tuple[Patch, ...] = ()
    parents: tuple[int, ...] = ()


@torch.no_grad()
def residuals(engine: Engine, rows: Sequence[ProbedRow], last: bool = False) -> list[Tensor]:
    """Residuals of every row in the order of the rows: (N + 1, positions of the row, hidden).

    With `last` only the last entry is kept, (1, positions, hidden), so that many rows may be given at once:
    passes are fullest then. They are in the model's dtype, on its device. Rows go through in passes of at
    most `engine.pass_tokens` tokens, whatever their adapters; a row alone gives the same to rounding.

    Raises:
        EngineError: an adapter is not in the engine.
        UserError: see `decoder_of`.
    """
    decoder = decoder_of(engine.model.model)
    slots = [engine.slot_of(row.adapter) for row in rows]
    found: list[Tensor | None] = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    while order:
        part, tokens = [], 0
        while order and (not part or tokens + len(rows[order[0]].input_ids) <= engine.pass_tokens):
            part.append(order.pop(0))
            tokens += len(rows[part[-1]].input_ids)
        part = sorted_by_slot(part, slots, engine.model.routing)
        values = _pass(engine, decoder, [rows[i] for i in part], [slots[i] for i in part], last)
        for index, value in zip(part, values, strict=True):
            found[index] = value
    return [value for value in found if value is not None]


def _pass(
    engine: Engine, decoder: Decoder, rows: Sequence[ProbedRow], slots: Sequence[int | None], last: bool
) -> list[Tensor]:
    lengths = [len(row.input_ids) for row in rows]
    starts = [sum(lengths[:index]) for index in range(len(rows))]
    device = engine.model.device
    keep = torch.tensor(
        [start + position for row, start in zip(rows, starts, strict=True) for position in row.positions],
        dtype=torch.long,  # of an empty list too
        device=device,
    )
    patches: dict[int, list[tuple[int, Tensor]]] = {}
    for row, start in zip(rows, starts, strict=True):
        for patch in row.patches:
            patches.setdefault(patch.entry, []).append((start + patch.position, patch.value))
    branched = any(row.parents for row in rows)
    shapes = [(len(row.input_ids), row.parents) for row in rows]
    blocks = BranchedRows(shapes, device) if branched else RowBlocks(lengths, device)
    with watched(decoder, keep, patches) as entries:
        engine.model.logits(
            flat_ids([row.input_ids for row in rows], device),
            blocks,
            blocks.positions,
            segments_of(slots, lengths),
            keep[:1],  # logits are made from the residuals, in fp32
        )
    kept = torch.stack(entries[-1:] if last else entries)
    return list(kept.split([len(row.positions) for row in rows], dim=1))


@contextlib.contextmanager
def watched(
    decoder: Decoder, keep: Tensor, patches: dict[int, list[tuple[int, Tensor]]]
) -> Iterator[list[Tensor]]:
    """Within the block a forward pass over (1, tokens, hidden) appends its entries at `keep`, (M, hidden)
    each, after the patches of that entry (token, value) have been made."""
    entries: list[Tensor] = []

    def see(hidden: Tensor) -> Tensor:
        if wanted := patches.get(len(entries)):
            hidden = hidden.clone()
            places = torch.tensor([place for place, _ in wanted], device=hidden.device)
            hidden[0, places] = torch.stack([value for _, value in wanted]).to(hidden)
        entries.append(hidden[0, keep])
        return hidden

    def before(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (see(given[0]), *given[1:])

    def behind(module: Any, given: Any, out: Any) -> Any:
        return (see(out[0]), *out[1:]) if isinstance(out, tuple) else see(out)

    handles = [block.register_forward_pre_hook(before) for block in decoder.blocks]
    handles.append(decoder.blocks[-1].register_forward_hook(behind))
    try:
        yield entries
    finally:
        for handle in handles:
            handle.remove()
