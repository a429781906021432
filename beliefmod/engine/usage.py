"""What an engine has done so far, counted at one line per call. No torch here.

Counting follows the work that was asked for: a step or a batch that ran out of memory and was repeated counts
once. Seconds are those of the clock, so they hold the repetition.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from beliefmod.engine.batching import SlotRow
    from beliefmod.engine.jobs import Completion, DriftRequest, GenerateRequest, ScoreRequest
    from beliefmod.engine.objectives import Objective

    Passes = Iterable[tuple[Objective, Sequence[SlotRow]]]

Activity = Literal["train", "generate", "read", "question", "idle"]


@dataclass
class AnswerWork:
    """What one answer took.

    Attributes:
        prompt_tokens: of its prompt, less those that an earlier prompt has read for it too.
        prompt_squares: what attention to them costs, in squares of a row's length.
        passes: that wrote it, its first token apart; each wrote one token, or more where some were drafted.
        cache_reads: keys and values that these passes read, in tokens.
    """

    prompt_tokens: int
    prompt_squares: int
    passes: int = 0
    cache_reads: int = 0


@dataclass
class Work:
    """What engines did, as sums; `longest_*` are maxima. Counts of padding and time are for comparison.

    Attributes:
        tokens, label_tokens, squares: of all terms of the loss: training tokens fed, tokens with loss, sum of
            squared row lengths.
        adapter_tokens, adapter_steps: adapter weights times tokens, and times optimiser steps.
        full_tokens, full_label_tokens: of the above tokens those of full fine-tuning.
        trial_steps, engine_steps, slot_steps: optimiser steps of trials, of engines, and slots at each.
        occupied_seconds, slot_seconds: of slots with a trial that has steps left, and of all slots, from the
            first trial that was given a slot to the last that had to wait for one; the tail follows, in which
            none waits.
        answers, prompt_tokens, generated_tokens: completions, and tokens read and written for them; what
            several prompts of an adapter begin with is read once.
        cache_reads: keys and values read in decoding, in tokens.
        decode_steps: passes that wrote tokens of several answers. answer_steps: these passes, summed over the
            answers. longest_answer: of one answer.
        answer_squares, adapter_answer_tokens: as in training, for prompts with their answers.
        adapter_decodes: adapter weights times the passes of that adapter's longest answer per call.
        read_tokens, read_label_tokens, read_squares, adapter_read_tokens: forward passes alone: scores, where
            what several of an adapter begin with is read once, drift, and base's side of a training step that
            compares with base.
        real_tokens, padded_tokens: of rows in attention blocks, without and with padding.
        train_seconds, generate_seconds, read_seconds: inside the engine.
        question_seconds: asking and judging, generation and reading included. idle_seconds: nothing to do.
    """

    tokens: int = 0
    label_tokens: int = 0
    squares: int = 0
    adapter_tokens: int = 0
    adapter_steps: int = 0
    full_tokens: int = 0
    full_label_tokens: int = 0
    trial_steps: int = 0
    engine_steps: int = 0
    slot_steps: int = 0
    occupied_seconds: float = 0.0
    slot_seconds: float = 0.0
    longest_trial_steps: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    cache_reads: int = 0
    decode_steps: int = 0
    answer_steps: int = 0
    answer_squares: int = 0
    adapter_answer_tokens: int = 0
    adapter_decodes: int = 0
    longest_answer: int = 0
    read_tokens: int = 0
    read_label_tokens: int = 0
    read_squares: int = 0
    adapter_read_tokens: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    train_seconds: float = 0.0
    generate_seconds: float = 0.0
    read_seconds: float = 0.0
    question_seconds: float = 0.0
    idle_seconds: float = 0.0

    @classmethod
    def total(cls, parts: Iterable[Mapping[str, Any]]) -> Work:
        """Add up several engines' work; names that are not counters are ignored, absent ones count 0."""
        whole = cls()
        for part in parts:
            for field in fields(cls):
                value, so_far = part.get(field.name, 0), getattr(whole, field.name)
                joined = max(so_far, value) if field.name.startswith("longest_") else so_far + value
                setattr(whole, field.name, joined)
        return whole


class Usage:
    """Counters of one engine; written by the thread that runs it, read by any.

    Attributes:
        shrinks: one sentence for each time that memory ran out and what was done about it.
    """

    def __init__(self) -> None:
        self.work = Work()
        self.shrinks: list[str] = []
        self._base_texts: set[int] = set()
        self._since: dict[Activity, float] = {}  # when what is being timed began
        self._slots_since: tuple[float, int, int] | None = None
        self._since_refill = [0.0, 0.0]
        self._started = 0

    @contextmanager
    def timed(self, activity: Activity) -> Iterator[None]:
        """Add the seconds of a block to an activity."""
        self._since[activity] = time.monotonic()
        try:
            yield
        finally:
            self._add(activity)

    @contextmanager
    def outside(self, activity: Activity) -> Iterator[None]:
        """Leave the seconds of a block out of an activity that is being timed around it."""
        self._add(activity)
        try:
            yield
        finally:
            self._since[activity] = time.monotonic()

    def _add(self, activity: Activity) -> None:
        name = f"{activity}_seconds"
        seconds = time.monotonic() - self._since.pop(activity)
        setattr(self.work, name, getattr(self.work, name) + seconds)

    def shrunk(self, sentence: str) -> None:
        """Take down that memory ran out."""
        self.shrinks.append(sentence)

    def slots_hold(self, training: int, slots: int, started: bool = False) -> None:
        """From now on so many of the slots hold a trial that has steps left.

        Args:
            started: a trial has just been given its slot. Where it is one more than there are slots, it
                had to wait, so the time before was not the tail.
        """
        moment = time.monotonic()
        if self._slots_since is not None:
            since, before, of = self._slots_since
            self._since_refill[0] += before * (moment - since)
            self._since_refill[1] += of * (moment - since)
        self._started += started
        if started and self._started > slots:
            self.work.occupied_seconds += self._since_refill[0]
            self.work.slot_seconds += self._since_refill[1]
            self._since_refill = [0.0, 0.0]
        if self._started:
            self._slots_since = (moment, training, slots)

    def trained(self, passes: Passes, adapters: Mapping[int, tuple[int, int]], slots: int) -> None:
        """One step of the pack.

        Args:
            passes: its rows, as they went through the model, and the term of the loss that each pass was of.
            adapters: per slot that took part the weights of its adapter and the step it has reached.
            slots: how many trials could have taken part.
        """
        work = self.work
        for rows in self._passed(passes):
            work.adapter_tokens += sum(
                adapters[item.slot][0] * (len(item.row.input_ids) - 1) for item in rows
            )
        work.trial_steps += len(adapters)
        work.adapter_steps += sum(weight for weight, _ in adapters.values())
        work.engine_steps += 1
        work.slot_steps += slots
        work.longest_trial_steps = max(work.longest_trial_steps, *(step for _, step in adapters.values()))

    def trained_fully(self, passes: Passes, weights: int, step: int) -> None:
        """One step of full fine-tuning of `weights` numbers, the trial's step `step`."""
        work = self.work
        for rows in self._passed(passes):
            work.full_tokens += sum(len(item.row.input_ids) - 1 for item in rows)
            work.full_label_tokens += sum(item.row.answer_length for item in rows)
        work.adapter_steps += weights
        work.trial_steps += 1
        work.longest_trial_steps = max(work.longest_trial_steps, step)

    def _passed(self, passes: Passes) -> Iterator[Sequence[SlotRow]]:
        """Count what training passes have in common, whatever is trained, and what base read for them."""
        work = self.work
        for objective, rows in passes:
            lengths = [len(item.row.input_ids) - 1 for item in rows]
            # rows lie beside each other in attention, padded to the longest
            work.real_tokens += sum(lengths)
            work.padded_tokens += len(lengths) * max(lengths)
            work.tokens += sum(lengths)
            work.label_tokens += sum(item.row.answer_length for item in rows)
            work.squares += sum(length * length for length in lengths)
            for row in {item.row for item in rows} if objective.needs_base else ():
                self._read(len(row.input_ids) - 1, row.answer_length, 0)
            yield rows

    def generated(
        self,
        requests: Sequence[GenerateRequest],
        answers: Sequence[Completion],
        weights: Sequence[int],
        works: Sequence[AnswerWork],
    ) -> None:
        """Answers of one call; `weights` are those of each request's adapter, 0 for the base."""
        work = self.work
        longest: dict[str | None, tuple[int, int]] = {}
        for request, answer, weight, took in zip(requests, answers, weights, works, strict=True):
            prompt, new = len(request.input_ids), len(answer.token_ids)
            passes = 1 + took.passes
            work.answers += 1
            work.prompt_tokens += took.prompt_tokens
            work.generated_tokens += new
            work.cache_reads += took.cache_reads
            work.answer_steps += passes
            work.answer_squares += took.prompt_squares + (prompt + new) ** 2 - prompt**2
            work.adapter_answer_tokens += weight * (took.prompt_tokens + new)
            work.longest_answer = max(work.longest_answer, passes)
            longest[request.adapter] = (weight, max(passes, longest.get(request.adapter, (0, 0))[1]))
        work.adapter_decodes += sum(weight * steps for weight, steps in longest.values())

    def scored(
        self, requests: Sequence[ScoreRequest], weights: Sequence[int], read: Sequence[tuple[int, int]]
    ) -> None:
        """Continuations scored in one call; `weights` as in `generated`.

        Args:
            read: for each request the tokens that no other had read for it, and their share of the squared
                length of its row.
        """
        for request, weight, (tokens, squares) in zip(requests, weights, read, strict=True):
            self._read(tokens, len(request.continuation_ids), weight, squares)

    def drifted(self, requests: Sequence[DriftRequest], weights: Sequence[int]) -> None:
        """Texts on which arms were compared with base; base has to read each distinct text once."""
        for request, weight in zip(requests, weights, strict=True):
            wanted = len(request.continuation_ids)
            self._read(len(request.input_ids) + wanted - 1, wanted, weight)
            text = hash((request.base_prompt, request.continuation_ids))
            if text not in self._base_texts:
                self._base_texts.add(text)
                self._read(len(request.base_prompt) + wanted - 1, wanted, 0)

    def _read(self, tokens: int, wanted: int, weight: int, squares: int | None = None) -> None:
        work = self.work
        work.read_tokens += tokens
        work.read_label_tokens += wanted
        work.read_squares += tokens * tokens if squares is None else squares
        work.adapter_read_tokens += weight * tokens

    def as_dict(self) -> dict[str, Any]:
        """Counters and shrinks as plain values."""
        return {**asdict(self.work), "shrinks": list(self.shrinks)}
