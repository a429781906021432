"""Which tokens of a pass belong to which slot, and which slots go through one product together."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from beliefmod.engine.grouped import Products, products
from beliefmod.engine.transfer import sent


@dataclass(frozen=True)
class Segment:
    """Tokens start..stop-1 of a pass belong to `slot`; tokens in no segment see the base model alone."""

    slot: int
    start: int
    stop: int


@dataclass(frozen=True)
class Kind:
    """What slots must have in common to go through one product: rank and adapted layers; not the scale."""

    rank: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Neighbouring segments of one kind: slots first..last, tokens start..stop-1.

    scale: alpha / rank, one number or one per token (n, 1).
    """

    first: int
    last: int
    start: int
    stop: int
    rank: int
    scale: float | Tensor
    products: Products


def segments_of(owners: Sequence[int | None], lengths: Sequence[int]) -> list[Segment]:
    """Neighbouring rows of one slot become one segment; rows of the base (None) become none."""
    segments: list[Segment] = []
    start = 0
    for owner, length in zip(owners, lengths, strict=True):
        if owner is not None:
            if segments and segments[-1].slot == owner and segments[-1].stop == start:
                segments[-1] = Segment(owner, segments[-1].start, start + length)
            else:
                segments.append(Segment(owner, start, start + length))
        start += length
    return segments


class Routing:
    """The groups of one forward pass and its backward pass; slots are known by `open` until `close`."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.groups: Sequence[Group] = ()
        self._kinds: dict[int, tuple[Kind, float]] = {}
        self._planned: tuple[Sequence[Segment], list[Group]] = ((), [])

    def open(self, slot: int, kind: Kind, scale: float) -> None:
        """A slot has got an adapter of this kind."""
        self._kinds[slot] = (kind, scale)
        self._planned = ((), [])

    def close(self, slot: int) -> None:
        """A slot is empty."""
        self._kinds.pop(slot, None)
        self._planned = ((), [])

    def order(self, slot: int | None) -> tuple[int, tuple[str, ...], int]:
        """Key that brings slots of one kind beside each other; the base (None) comes first."""
        if slot is None or slot not in self._kinds:
            return (0, (), -1 if slot is None else slot)
        kind, _ = self._kinds[slot]
        return (kind.rank, kind.layers, slot)

    @contextlib.contextmanager
    def of(self, segments: Sequence[Segment]) -> Iterator[None]:
        """Set the segments inside the block; outside of it every adapter is off."""
        if self._planned[0] is not segments:  # decoding comes back with the same ones at every step
            self._planned = (segments, self.plan(segments))
        self.groups = self._planned[1]
        try:
            yield
        finally:
            self.groups = ()

    @contextlib.contextmanager
    def using(self, groups: Sequence[Group] | None) -> Iterator[None]:
        """Set other groups inside the block, for tokens that are laid out anew there; None leaves them."""
        before = self.groups
        self.groups = before if groups is None else groups
        try:
            yield
        finally:
            self.groups = before

    def plan(self, segments: Sequence[Segment]) -> list[Group]:
        """The groups of neighbouring segments of one kind."""
        runs: list[list[Segment]] = []
        for segment in segments:
            if segment.slot not in self._kinds:
                continue
            before = runs[-1][-1] if runs else None
            joins = (
                before is not None
                and before.stop == segment.start
                and before.slot < segment.slot
                and self._kinds[before.slot][0] == self._kinds[segment.slot][0]
            )
            if joins:
                runs[-1].append(segment)
            else:
                runs.append([segment])
        return [self._group(run) for run in runs]

    def _group(self, run: Sequence[Segment]) -> Group:
        first, last = run[0].slot, run[-1].slot
        counts = [0] * (last - first + 1)
        for segment in run:
            counts[segment.slot - first] = segment.stop - segment.start
        rank = self._kinds[first][0].rank
        scales = [self._kinds[segment.slot][1] for segment in run]
        scale: float | Tensor = scales[0]
        if len(set(scales)) > 1:
            lengths = torch.tensor([segment.stop - segment.start for segment in run])
            each = torch.tensor(scales, dtype=torch.promote_types(self.dtype, torch.float32))
            scale = sent(each.repeat_interleave(lengths)[:, None], self.device)
        ways = products(counts, rank, self.dtype, self.device)
        return Group(first, last, run[0].start, run[-1].stop, rank, scale, ways)
