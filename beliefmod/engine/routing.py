"""Which tokens of a pass belong to which slot, and which slots go through one product together."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from beliefmod.engine.grouped import Products, products
from beliefmod.engine.transfer import sent

MOST_COPIED = 2**26
"""Bytes of adapters of several kinds that are copied to be multiplied together: 64 MiB hold those of small
models, whose steps are bound by calls."""
THIN = 512
"""Tokens. In a pass that has more, calls are few for what they compute."""


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

    scale: alpha / rank, one number or one per token (n, 1). members: of segments of several kinds the slot of
    each and its scale, which is not in `scale` then; `rank` is the largest.
    """

    first: int
    last: int
    start: int
    stop: int
    rank: int
    scale: float | Tensor
    products: Products
    members: tuple[tuple[int, float], ...] = ()


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
    """The groups of one forward pass and its backward pass; slots are known by `open` until `close`.

    unit: numbers of an adapter of rank 1. version: counts the changes of adapters. writing: whether
    the pass under way writes answers.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, unit: int = 0) -> None:
        self.dtype, self.device, self.unit, self.version = dtype, device, unit, 0
        self.groups: Sequence[Group] = ()
        self.writing = False
        self._kinds: dict[int, tuple[Kind, float]] = {}
        self._planned: tuple[Sequence[Segment], bool, list[Group]] = ((), False, [])

    def open(self, slot: int, kind: Kind, scale: float) -> None:
        """A slot has got an adapter of this kind."""
        self._kinds[slot] = (kind, scale)
        self._planned = ((), False, [])

    def close(self, slot: int) -> None:
        """A slot is empty."""
        self._kinds.pop(slot, None)
        self._planned = ((), False, [])

    def order(self, slot: int | None) -> tuple[int, tuple[str, ...], int]:
        """Key that brings slots of one kind beside each other; the base (None) comes first."""
        if slot is None or slot not in self._kinds:
            return (0, (), -1 if slot is None else slot)
        kind, _ = self._kinds[slot]
        return (kind.rank, kind.layers, slot)

    @contextlib.contextmanager
    def of(self, segments: Sequence[Segment], writing: bool = False) -> Iterator[None]:
        """Set the segments inside the block; outside of it every adapter is off.

        Args:
            writing: whether answers are written in the block, so that `prepacked` weights serve.
        """
        together = self.device.type == "cpu" and not torch.is_grad_enabled()
        planned, so, _ = self._planned
        # decoding comes back with the same ones at every step
        if planned is not segments or so != together:
            self._planned = (segments, together, self.plan(segments, together))
        self.groups, self.writing = self._planned[2], writing
        try:
            yield
        finally:
            self.groups, self.writing = (), False

    @contextlib.contextmanager
    def using(self, groups: Sequence[Group] | None) -> Iterator[None]:
        """Set other groups inside the block, for tokens that are laid out anew there; None leaves them."""
        before = self.groups
        self.groups = before if groups is None else groups
        try:
            yield
        finally:
            self.groups = before

    def plan(self, segments: Sequence[Segment], together: bool = False) -> list[Group]:
        """The groups of neighbouring segments of one kind; `together`: of any, where tokens are few."""
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
        if together and len(runs) > 1 and (mixed := self._mixed([each for run in runs for each in run])):
            return [mixed]
        return [self._group(run) for run in runs]

    def _mixed(self, segments: Sequence[Segment]) -> Group | None:
        """Segments of several kinds as one group, where that can be."""
        rank = max(self._kinds[segment.slot][0].rank for segment in segments)
        copied = len(segments) * rank * self.unit * self.dtype.itemsize
        apart = any(one.stop != next_one.start for one, next_one in pairwise(segments))
        if apart or segments[-1].stop > THIN or copied > MOST_COPIED:
            return None
        counts = [segment.stop - segment.start for segment in segments]
        return Group(
            segments[0].slot,
            segments[-1].slot,
            segments[0].start,
            segments[-1].stop,
            rank,
            1.0,
            products(counts, rank, self.dtype, self.device),
            tuple((segment.slot, self._kinds[segment.slot][1]) for segment in segments),
        )

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
