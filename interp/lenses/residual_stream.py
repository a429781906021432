"""The residual stream of many rows under many adapters in one pass, and values put in its place.

Entry 0 is what block 0 reads, entry k what block k reads and block k-1 wrote, entry N (after N blocks) what
the last norm reads. transformers' own `hidden_states` are not used: their last entry is already normed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.forward import flat_ids, sorted_by_slot
from beliefmod.engine.routing import segments_of
from beliefmod.engine.transfer import numbers
from beliefmod.engine.tree_attention import TreeAttention
from interp.lenses.decoder import Decoder, decoder_of, hooked
from interp.steps import Told, untold

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine


T = TypeVar("T")


@dataclass(frozen=True)
class Patch:
    """`value` (hidden,) takes the place of the residual at `entry` (0..N) and `position` of a row."""

    entry: int
    position: int
    value: Tensor


@dataclass(frozen=True)
class ProbedRow:
    """Token ids under an adapter of the engine (None: base), and the positions that are to be looked at.

    parents: for each of the last tokens the place in the row of the token it follows, where these branch
        off as a tree; the others stand in a line.
    """

    input_ids: tuple[int, ...]
    positions: tuple[int, ...]
    adapter: str | None = None
    patches: tuple[Patch, ...] = ()
    parents: tuple[int, ...] = ()


def token_passes(items: Iterable[T], length: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Items in their order, in passes of at most `most` tokens, or of one item that has more."""
    part: list[T] = []
    tokens = 0
    for item in items:
        if part and tokens + length(item) > most:
            yield part
            part, tokens = [], 0
        part.append(item)
        tokens += length(item)
    if part:
        yield part


@torch.no_grad()
def residuals(
    engine: Engine, rows: Sequence[ProbedRow], last: bool = False, told: Told = untold
) -> list[Tensor]:
    """Residuals of every row in the order of the rows: (N + 1, positions of the row, hidden).

    With `last` only the last entry is kept, (1, positions, hidden), so that many rows may be given at once:
    passes are fullest then. They are in the model's dtype, on its device. Rows go through in passes of at
    most `engine.model.pass_tokens` tokens, whatever their adapters; a row alone gives the same to rounding.
    After every pass `told` hears how many rows it had.

    Raises:
        EngineError: an adapter is not in the engine.
        UserError: the model is no decoder that the lens knows, or has no single residual stream.
    """
    decoder = decoder_of(engine.model.model)
    if not engine.model.reads_branches and any(row.parents for row in rows):
        return _unfolded(engine, rows, last, told)
    slots = [engine.slot_of(row.adapter) for row in rows]
    found: list[Tensor | None] = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    for part in token_passes(order, lambda index: len(rows[index].input_ids), engine.model.pass_tokens):
        part = sorted_by_slot(part, slots, engine.model.routing)
        values = _pass(engine, decoder, [rows[i] for i in part], [slots[i] for i in part], last)
        for index, value in zip(part, values, strict=True):
            found[index] = value
        told(len(part))
    return [value for value in found if value is not None]


def _unfolded(engine: Engine, rows: Sequence[ProbedRow], last: bool, told: Told) -> list[Tensor]:
    """The residuals of rows some of which branch, every branch read as a row of its own."""
    straight: list[ProbedRow] = []
    parts: list[
        list[tuple[int, list[int]]]
    ] = []  # of each row: which straight rows, and which positions of it
    for row in rows:
        parts.append([])
        missing = dict.fromkeys(row.positions)
        for path in _paths(row):
            wanted = [place for place in path if place in missing]
            if not wanted and row.positions:
                continue
            missing = {place: None for place in missing if place not in wanted}
            at = {place: index for index, place in enumerate(path)}
            patches = tuple(replace(p, position=at[p.position]) for p in row.patches if p.position in at)
            ids = tuple(row.input_ids[place] for place in path)
            positions = tuple(at[place] for place in wanted)
            parts[-1].append((len(straight), wanted))
            straight.append(ProbedRow(ids, positions, row.adapter, patches))
    share = len(rows) / max(1, len(straight))
    values = residuals(engine, straight, last, lambda done: told(done * share))
    found = []
    for row, pieces in zip(rows, parts, strict=True):
        places = [place for _, wanted in pieces for place in wanted]
        together = torch.cat([values[index] for index, _ in pieces], 1)
        order = [places.index(place) for place in row.positions]
        found.append(together[:, numbers(order, together.device, torch.long)])
    return found


def _paths(row: ProbedRow) -> list[list[int]]:
    """The places of the trunk, and of each branch with what leads to it, in the order of the text."""
    trunk = len(row.input_ids) - len(row.parents)
    paths = [list(range(trunk))]
    for leaf in range(trunk, len(row.input_ids)):
        if leaf in row.parents:
            continue
        path = [leaf]
        while path[-1] >= trunk:
            path.append(row.parents[path[-1] - trunk])
        paths.append([*range(path.pop() + 1), *reversed(path)])
    return paths


def _pass(
    engine: Engine, decoder: Decoder, rows: Sequence[ProbedRow], slots: Sequence[int | None], last: bool
) -> list[Tensor]:
    lengths = [len(row.input_ids) for row in rows]
    starts = [sum(lengths[:index]) for index in range(len(rows))]
    device = engine.model.device
    keep = numbers(
        [start + position for row, start in zip(rows, starts, strict=True) for position in row.positions],
        device,
        torch.long,  # of an empty list too
    )
    patches: dict[int, list[tuple[int, Tensor]]] = {}
    for row, start in zip(rows, starts, strict=True):
        for patch in row.patches:
            patches.setdefault(patch.entry, []).append((start + patch.position, patch.value))
    branched = any(row.parents for row in rows)
    shapes = [(len(row.input_ids), row.parents) for row in rows]
    blocks = TreeAttention(shapes, device) if branched else RowBlocks(lengths, device)
    entries: list[Tensor] = []

    def see(hidden: Tensor) -> Tensor:
        if wanted := patches.get(len(entries)):
            hidden = hidden.clone()
            places = numbers([place for place, _ in wanted], device)
            hidden[0, places] = torch.stack([value for _, value in wanted]).to(hidden)
        entries.append(hidden[0, keep])
        return hidden

    with hooked(decoder, see):
        engine.model.logits(
            flat_ids([row.input_ids for row in rows], device),
            blocks,
            blocks.positions,
            segments_of(slots, lengths),
            keep[:1],  # logits are made from the residuals, in fp32
        )
    kept = torch.stack(entries[-1:] if last else entries)
    return list(kept.split([len(row.positions) for row in rows], dim=1))
