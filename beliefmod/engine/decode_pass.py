"""One pass of decoding: the next token of every row, and the tokens that are drafted behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.cached_rows import CachedRows, RowOrder
from beliefmod.engine.drafts import Draft
from beliefmod.engine.forward import FlatModel, flat_ids
from beliefmod.engine.jobs import Sampling
from beliefmod.engine.key_value_cache import KeyValueCache
from beliefmod.engine.routing import Segment, segments_of
from beliefmod.engine.sampling import draw
from beliefmod.engine.step_graph import StepGraph
from beliefmod.engine.tokens import Ids, agreeing
from beliefmod.engine.transfer import numbers, sent
from beliefmod.engine.usage import AnswerWork

STATIC_ON = ("cuda",)
"""Devices on which the shapes of a step stay as they are until a cache grows by a page: it is recorded there.
A CPU, which records nothing, would read up to a page of keys in vain."""


@dataclass
class Row:
    """An answer that is being written.

    Attributes:
        index: of its request.
        most: tokens that it may have.
        numbers: (longest answer,) random numbers in [0, 1), one for each token; None: greedy.
        unread: tokens behind `written` that lie on the device still.
        ended: nothing more is written; the row goes when others do.
        work: what it has taken so far.
    """

    index: int
    prompt: Ids
    slot: int | None
    most: int
    numbers: Tensor | None
    draft: Draft | None = None
    written: list[int] = field(default_factory=list)
    unread: int = 0
    ended: bool = False
    work: AnswerWork = field(default_factory=lambda: AnswerWork(0, 0))

    @property
    def left(self) -> int:
        """Tokens that it may still write."""
        return 0 if self.ended else self.most - len(self.written) - self.unread


@dataclass
class Part:
    """Rows of about one length, which share a cache: `rows[i]` is row i of it. Sorted by slot."""

    cache: KeyValueCache
    rows: list[Row]


class DecodePass:
    """The passes over some parts, as long as the same rows are in them.

    Between two calls of `read` nothing waits for the device: what was written is fed to the next pass there.
    """

    def __init__(self, model: FlatModel, parts: Sequence[Part], sampling: Sampling) -> None:
        self.model, self.parts, self.sampling = model, list(parts), sampling
        places = [(number, row) for number, part in enumerate(parts) for row in range(len(part.rows))]
        self.order = sorted(places, key=lambda place: model.routing.order(self._row(place).slot))
        self.rows = [self._row(place) for place in self.order]
        self.numbers = stacked_numbers(self.rows, model.device)
        self._plain: _Layout | None = None
        self._on_device: _OnDevice | None = None
        self._current = False  # whether that says how the rows stand
        self._unread: list[Tensor] = []
        # a row's states are not kept at one place, and top_k waits for how many tokens it lets through
        self._static = model.device.type in STATIC_ON and model.reads_branches and not sampling.top_k
        self._graph: tuple[list[int], StepGraph] | None = None

    def _row(self, place: tuple[int, int]) -> Row:
        return self.parts[place[0]].rows[place[1]]

    def room(self) -> list[int]:
        """Tokens that each row can take without its cache growing."""
        return [self.parts[number].cache.room(place) for number, place in self.order]

    def step(self) -> None:
        """Write one token of each row. It is read later, with those of other steps."""
        if self._plain is None:
            self._plain = self._layout([1] * len(self.rows))
        if not self._current:
            texts = [row.written[-1:] for row in self.rows]
            now = self._placed(self._plain, flat_ids(texts, self.model.device))
            if self._on_device is None:
                self._on_device = now
            else:
                self._on_device.take(now)
            self._current = True
        rewrite_longer(self.model, self.parts)
        self.model.usage.work.decode_steps += 1
        if self._static:
            self._recorded().run(self._plain_step)
        else:
            self._plain_step()
        assert self._on_device is not None
        self._unread.append(self._on_device.ids.clone())
        for part in self.parts:
            for place, row in enumerate(part.rows):
                if row.left > 0:
                    row.unread += 1
                    _advance(part, place, 1)

    def _plain_step(self) -> None:
        """Write one token of each row, and change nothing but what is on the device."""
        assert self._plain is not None and self._on_device is not None
        self._on_device.advance(self._pass(self._plain, self._on_device, whole=self._static))

    def _recorded(self) -> StepGraph:
        """The recording of the plain step, which lasts while the caches have the room that they have."""
        room = [part.cache.capacity for part in self.parts]
        if self._graph is None or self._graph[0] != room:
            self._graph = (room, StepGraph())
        return self._graph[1]

    def read(self) -> list[tuple[Row, list[int]]]:
        """What was written of each row since the last call: wait for the device."""
        steps = torch.stack(self._unread).tolist() if self._unread else []
        self._unread, self._current = [], False
        found = []
        for place, row in enumerate(self.rows):
            found.append((row, [tokens[place] for tokens in steps[: row.unread]]))
            row.unread = 0
        return found

    def verify(self, guesses: Sequence[Ids]) -> list[tuple[Row, list[int]]]:
        """Write as many tokens of each row as its guess is right in, and one more; wait for the device."""
        counts = [1 + len(guess) for guess in guesses]
        texts = [(*row.written[-1:], *guess) for row, guess in zip(self.rows, guesses, strict=True)]
        layout = self._layout(counts)
        rewrite_longer(self.model, self.parts)
        self.model.usage.work.decode_steps += 1
        said = iter(self._pass(layout, self._placed(layout, flat_ids(texts, self.model.device))).tolist())
        self._current = False
        found = []
        for (number, place), row, guess in zip(self.order, self.rows, guesses, strict=True):
            tokens = [next(said) for _ in range(1 + len(guess))]
            right = agreeing(guess, tokens)
            if not row.ended:
                _advance(self.parts[number], place, 1 + right)
            found.append((row, tokens[: 1 + right]))
        return found

    def _placed(self, layout: _Layout, ids: Tensor) -> _OnDevice:
        device = self.model.device
        held, grows = [], []
        for part in layout.order.parts:
            rows = self.parts[layout.order.caches.index(part.cache)].rows
            held.append(numbers([part.cache.lengths[row] for row in part.rows], device))
            grows.append(numbers([int(rows[row].left > 0) for row in part.rows], device))
        if self.numbers is None:
            return _OnDevice(ids, held, grows)
        owners, places = [], []
        for number, (row, count) in enumerate(zip(self.rows, layout.order.counts, strict=True)):
            owners += [number] * count
            places += range(len(row.written), len(row.written) + count)
        return _OnDevice(ids, held, grows, *numbers([owners, places], device))

    def _pass(self, layout: _Layout, known: _OnDevice, whole: bool = False) -> Tensor:
        """The token that follows each of a layout's tokens, (N,)."""
        rows = CachedRows(layout.order, self.model.device, known.held, whole)
        logits = self.model.logits(
            known.ids, rows, rows.positions, layout.segments, layout.everyone, writing=True
        )
        if self.numbers is None or known.owners is None or known.places is None:
            return logits.argmax(-1)
        places = known.places.clamp_max(self.numbers.shape[1] - 1)
        return draw(logits, self.sampling, self.numbers[known.owners, places])

    def _layout(self, counts: Sequence[int]) -> _Layout:
        order = RowOrder([part.cache for part in self.parts], self.order, counts)
        segments = segments_of([row.slot for row in self.rows], counts)
        return _Layout(order, segments, torch.arange(sum(counts), device=self.model.device))


@dataclass
class _Layout:
    order: RowOrder
    segments: Sequence[Segment]
    everyone: Tensor


@dataclass
class _OnDevice:
    """What a pass needs to know of its rows, where it need not be copied at every step.

    Attributes:
        ids: of each token.
        held, grows: of each cache the lengths of its rows, and by how much they grow in a step.
        owners, places: of each token its row, and its number in the row's answer; None: greedy.
    """

    ids: Tensor
    held: list[Tensor]
    grows: list[Tensor]
    owners: Tensor | None = None
    places: Tensor | None = None

    def advance(self, tokens: Tensor) -> None:
        """One token of each row has been written. The tensors stay where they are."""
        self.ids.copy_(tokens)
        for held, grows in zip(self.held, self.grows, strict=True):
            held.add_(grows)
        if self.places is not None:
            self.places.add_(1)

    def take(self, other: _OnDevice) -> None:
        """Have the numbers of another, in the same tensors."""
        for mine, new in zip(self._tensors(), other._tensors(), strict=True):
            mine.copy_(new)

    def _tensors(self) -> list[Tensor]:
        chance = [each for each in (self.owners, self.places) if each is not None]
        return [self.ids, *self.held, *self.grows, *chance]


def _advance(part: Part, place: int, tokens: int) -> None:
    """A pass has written tokens of a row."""
    part.cache.lengths[place] += tokens
    part.rows[place].work.passes += 1
    part.rows[place].work.cache_reads += part.cache.lengths[place]


def stacked_numbers(rows: Sequence[Row], device: torch.device) -> Tensor | None:
    """The random numbers of rows, (rows, longest answer); None where nothing is left to chance."""
    drawn = [row.numbers for row in rows if row.numbers is not None]
    return sent(torch.stack(drawn), device) if drawn else None


def first_tokens(logits: Tensor, sampling: Sampling, rows: Sequence[Row]) -> Tensor:
    """(rows, vocabulary) -> (rows,): the token that each answer begins with."""
    drawn = stacked_numbers(rows, logits.device)
    return logits.argmax(-1) if drawn is None else draw(logits, sampling, drawn[:, 0])


def rewrite_longer(model: FlatModel, parts: Sequence[Part]) -> None:
    """Read anew the rows that are about to grow past a length where their rotary factors change, with the
    factors for the longer row (LongRoPE)."""
    for limit in model.rotary.rewritten_beyond:
        for part in parts:
            places = [
                place
                for place, (row, length) in enumerate(zip(part.rows, part.cache.lengths, strict=True))
                if length == limit and not row.ended
            ]
            if not places:
                continue
            rows = [part.rows[place] for place in places]
            texts = [(*row.prompt, *row.written)[:limit] for row in rows]
            fresh = KeyValueCache([limit] * len(texts))
            blocks = RowBlocks([limit] * len(texts), model.device, fresh, unread=1)
            segments = segments_of([row.slot for row in rows], [limit] * len(texts))
            ids = flat_ids(texts, model.device)
            model.logits(ids, blocks, blocks.positions, segments, blocks.last_tokens[:1], writing=True)
            part.cache.rewrite(numbers(places, model.device), fresh)
