"""The decode loop: prompts join as answers end, and every row takes the memory that it uses, and no more."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import torch

from beliefmod.engine.batching import derived_seed
from beliefmod.engine.decode_pass import DecodePass, Part, Row, first_tokens
from beliefmod.engine.drafts import Draft, Drafts, Text
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.jobs import Completion, GenerateRequest, OnWritten, Sampling
from beliefmod.engine.key_value_cache import paged, rearranged
from beliefmod.engine.prompt_pieces import read_prompts
from beliefmod.engine.usage import AnswerWork

# More rows decode faster (measured on a small model: 64 rows 2.2 s, 256 rows 1.5 s, 512 a tenth less than
# 256) until memory runs out; one trial's probes of the library's beliefs fit one batch.
MAX_ROWS = 384
KEEP_ABOVE, JOIN_BELOW = 0.75, 0.75
"""Rows that have ended are dropped when fewer than this share of the rows still run; others join when so few
run of those that ran after the last ones joined."""
_READ_EVERY = {"cpu": 1, "cuda": 8}
"""Steps after which what was written is read, which waits for the device. A row that has ended meanwhile is
decoded in vain until then."""
_MOST_PARTS = 4
_MOST_WASTED = 0.1  # of the memory of two caches, for which they are joined
MOST_LOGITS = {"cpu": 2**24, "cuda": 2**27}
"""Numbers that the logits of a pass with drafts may have; in fp32 64 and 512 MiB."""
_GUESSED_ENDS = 4  # answers of half the longest length: the first guess at how long answers are


class Decoding:
    """Answers to requests, with at most `model.cache_tokens` tokens of keys and values at a time.

    Whoever runs it again after an error goes on with what has not ended.

    Args:
        drafts: what was written to the same prompts before, to which these are added; None: nothing is
            drafted.
        on_end: called between passes as answers end, with them by the index of their request. It may add
            requests.
        on_written: called between passes as tokens are written; None: nobody looks on.

    Attributes:
        ended, works: completions, and what each took, by the index of their request.
    """

    def __init__(
        self,
        model: FlatModel,
        max_new_tokens: int,
        sampling: Sampling,
        drafts: Drafts | None,
        on_end: Callable[[Mapping[int, Completion]], None],
        on_written: OnWritten | None = None,
    ) -> None:
        self.model, self.max_new, self.sampling, self.on_end = model, max_new_tokens, sampling, on_end
        self.on_written = on_written
        self.requests: list[GenerateRequest] = []
        self.slots: list[int | None] = []
        self.ended: dict[int, Completion] = {}
        self.works: dict[int, AnswerWork] = {}
        self._drafts = drafts if model.reads_branches else None
        self._read_every = 1 if model.rotary.modules else _READ_EVERY[model.device.type]
        self._parts: list[Part] = []
        self._passes: list[DecodePass] = []
        self._waiting: deque[int] = deque()
        self._former: dict[int, tuple[int, ...]] = {}  # what rows had written that had to leave
        self._tokens_ended = 0
        self._full = self._steps = 0
        self._started = 0.0

    def add(self, requests: Sequence[GenerateRequest], slots: Sequence[int | None]) -> None:
        """Requests that join, each with the slot of its adapter (None: base), before those that have not
        begun: whoever asks on has an end in sight, and is done the sooner."""
        first = len(self.requests)
        self.requests += requests
        self.slots += slots
        self._waiting.extendleft(reversed(range(first, len(self.requests))))

    @torch.inference_mode()
    def run(self) -> None:
        """Answer every request that has not ended."""
        for row in self._alive():
            self._former[row.index] = tuple(row.written)
        self._parts, self._passes, self._full, self._steps = [], [], 0, 0
        self._waiting = deque(i for i in range(len(self.requests)) if i not in self.ended)
        while self._waiting or self._parts:
            if not self._steps:  # rows come and go only when all that was written has been read
                self._admit()
                self._make_room()
            self._step()

    # Who decodes

    def _alive(self) -> list[Row]:
        return [row for part in self._parts for row in part.rows if not row.ended]

    def _admit(self) -> None:
        """Let requests in, in their order, as far as memory is likely to last, once enough rows are free."""
        alive = len(self._alive())
        if not self._waiting or (alive and alive > JOIN_BELOW * self._full):
            return
        self._drop_ended()
        mean, states = self._mean_answer(), self.model.state_tokens
        taken = sum(
            max(part.cache.capacity, self._likely(row.index, mean)) + states
            for part in self._parts
            for row in part.rows
        )
        rows: list[int] = []
        for index in self._waiting:
            taken += self._likely(index, mean) + states
            full = alive + len(rows) >= MAX_ROWS or taken > self.model.cache_tokens
            if full and alive + len(rows):
                break
            rows.append(index)
        if len(rows) < min(len(self._waiting), (1 - JOIN_BELOW) * (alive + len(rows))):
            return
        for _ in rows:
            self._waiting.popleft()
        if rows:
            self._full = alive + len(rows)
            self._read([self._row(index) for index in rows])

    def _mean_answer(self) -> float:
        """Tokens of an answer, from those so far; those that are being written count by what they have."""
        written = self._tokens_ended + sum(len(row.written) for row in self._alive())
        return (written + _GUESSED_ENDS * self.max_new / 2) / (len(self.ended) + _GUESSED_ENDS)

    def _likely(self, index: int, mean: float) -> int:
        """Tokens that a request's row is likely to hold in the end."""
        return paged(len(self.requests[index].input_ids) + math.ceil(min(self._most(index), mean)))

    def _most(self, index: int) -> int:
        return min(self.max_new, self.model.max_positions - len(self.requests[index].input_ids))

    def _row(self, index: int) -> Row:
        request, draft, numbers = self.requests[index], None, None
        if self._drafts is not None:
            former = self._former.get(index)
            sources = [Text(former)] if former else self._drafts.answers.to(request.input_ids)
            draft = Draft(sources, Text(request.input_ids))
        if not self.sampling.greedy:
            # every random number that it may need, from its own seed: a text does not depend on the others
            generator = torch.Generator().manual_seed(derived_seed(request.seed, "sample"))
            numbers = torch.rand(self.max_new, generator=generator, dtype=torch.float64)
        return Row(index, request.input_ids, self.slots[index], self._most(index), numbers, draft)

    def _read(self, rows: list[Row]) -> None:
        """Read the prompts of rows that join, and write their first tokens."""
        rows.sort(key=lambda row: self.model.routing.order(row.slot))
        self._started = time.perf_counter()
        read = read_prompts(self.model, [row.prompt for row in rows], [row.slot for row in rows])
        tokens = first_tokens(read.logits, self.sampling, rows).tolist()
        self._timed(sum(took.prompt_tokens for took in read.work), 1)
        for row, took in zip(rows, read.work, strict=True):
            row.work = took
        self._write([(row, [token]) for row, token in zip(rows, tokens, strict=True)])
        by_room: dict[int, list[int]] = {}
        for place, (cache, row) in enumerate(read.rows):
            by_room.setdefault(paged(cache.lengths[row]), []).append(place)
        groups = list(by_room.values()) if self.model.reads_branches else [list(range(len(rows)))]
        caches = rearranged([[read.rows[place] for place in places] for places in groups])
        self._parts += [Part(c, [rows[n] for n in p]) for c, p in zip(caches, groups, strict=True)]
        self._passes = []
        self._drop_ended()
        self._join()

    def _drop_ended(self) -> None:
        for part in list(self._parts):
            alive = [place for place, row in enumerate(part.rows) if not row.ended]
            if len(alive) == len(part.rows):
                continue
            self._passes = []
            if alive:
                [part.cache] = rearranged([[(part.cache, place) for place in alive]])
                part.rows = [part.rows[place] for place in alive]
            else:
                self._parts.remove(part)

    def _join(self) -> None:
        """Join caches that take little more together than apart, and the likest two where there are many."""
        while len(self._parts) > 1:
            self._parts.sort(key=lambda part: part.cache.capacity)
            pairs = zip(self._parts, self._parts[1:], strict=False)
            short, long = min(pairs, key=lambda pair: _wasted(*pair))
            apart = len(short.rows) * short.cache.capacity + len(long.rows) * long.cache.capacity
            cheap = _wasted(short, long) <= min(_MOST_WASTED * apart, -self._short_of_room())
            if not cheap and len(self._parts) <= _MOST_PARTS:
                return
            rows = [
                (row, (part.cache, place)) for part in (long, short) for place, row in enumerate(part.rows)
            ]
            rows.sort(key=lambda each: self.model.routing.order(each[0].slot))
            [long.cache] = rearranged([[place for _, place in rows]])
            long.rows = [row for row, _ in rows]
            self._parts.remove(short)
            self._passes = []

    def _make_room(self) -> None:
        """Give every row room for the steps until the next look at what was written. Where memory is short,
        the rows that have written least go back to the queue, to be computed again later."""
        rows = [(part, row) for part in self._parts for row in part.rows]
        alive = [(part, row) for part, row in rows if not row.ended]
        if len(alive) < KEEP_ABOVE * len(rows) or self._short_of_room() > 0:
            self._drop_ended()
            self._join()
        short = self._short_of_room()
        for part, row in sorted(alive, key=lambda each: len(each[1].written))[:-1]:
            if short <= 0:
                break
            short -= part.cache.capacity + self.model.state_tokens
            row.ended = True
            self._former[row.index] = tuple(row.written)
            self._waiting.appendleft(row.index)
        if self._short_of_room() > 0:
            self._drop_ended()
        for part in self._parts:
            if (needed := max(part.cache.lengths) + self._read_every) > part.cache.capacity:
                part.cache.grow(needed)

    def _short_of_room(self) -> int:
        """Tokens that are missing until the next look at what was written; below 0: that are to spare."""
        tokens = -self.model.cache_tokens
        for part in self._parts:
            capacity = max(part.cache.capacity, paged(max(part.cache.lengths) + self._read_every))
            tokens += len(part.rows) * (capacity + self.model.state_tokens)
        return tokens

    # What they write

    def _step(self) -> None:
        """Write the next tokens of every row."""
        if not self._parts:
            return
        if not self._passes:
            groups = [self._parts] if self.model.reads_branches else [[part] for part in self._parts]
            self._passes = [DecodePass(self.model, group, self.sampling) for group in groups]
        if not self._steps:  # of what was written nothing lies on the device
            self._started = time.perf_counter()
            if (guesses := self._guesses()) is not None:
                written = self._passes[0].verify(guesses)
                self._timed(sum(1 + len(guess) for guess in guesses), 1)
                self._write(written)
                return
        for each in self._passes:
            each.step()
        self._steps += 1
        if self._steps >= self._read_every or any(row.left < 1 for row in self._alive()):
            written = [found for each in self._passes for found in each.read()]
            self._timed(len(written), self._steps)
            self._steps = 0
            self._write(written)

    def _timed(self, tokens: int, passes: int) -> None:
        if self._drafts is not None:
            self._drafts.pace.timed(tokens, (time.perf_counter() - self._started) / passes)

    def _guesses(self) -> list[tuple[int, ...]] | None:
        """What is drafted for each row, in the order of the pass; None where nothing is."""
        if self._drafts is None:
            return None
        [decoding] = self._passes
        rows = decoding.rows
        most = [max(0, min(row.left, room) - 1) for row, room in zip(rows, decoding.room(), strict=True)]
        guesses = self._drafts.guesses([row.draft for row in rows if row.draft], most)
        tokens = len(rows) + sum(map(len, guesses))
        if tokens == len(rows) or tokens * self.model.vocabulary > MOST_LOGITS[self.model.device.type]:
            return None
        return guesses

    def _write(self, written: Sequence[tuple[Row, list[int]]]) -> None:
        """Add tokens to their rows, and end those that are at their end."""
        ended: dict[int, Completion] = {}
        grown = [row for row, _ in written if not row.ended] if self.on_written is not None else []
        for row, tokens in written:
            if row.ended:
                continue
            stop = next((n for n, token in enumerate(tokens) if token in self.model.eos_ids), None)
            tokens = tokens if stop is None else tokens[: stop + 1]
            row.written += tokens
            if row.draft is not None:
                row.draft.wrote(tokens)
            if stop is not None or len(row.written) >= row.most:
                row.ended = True
                self._tokens_ended += len(row.written)
                self.works[row.index] = row.work
                ended[row.index] = Completion(tuple(row.written), "length" if stop is None else "eos")
                if self._drafts is not None:
                    self._drafts.answers.add(row.prompt, tuple(row.written))
        self.ended.update(ended)
        if self.on_written is not None:
            self.on_written({row.index: tuple(row.written) for row in grown})
        if ended:
            with torch.inference_mode(False):  # who is told may do anything, such as empty a slot
                self.on_end(ended)


def _wasted(short: Part, long: Part) -> int:
    """Tokens that the rows of two caches take more together than apart."""
    return len(short.rows) * (long.cache.capacity - short.cache.capacity)
