"""Thinking and answers that a user supplies for training questions: a JSON lines file, checked whole.

A line is `{"question": ..., "thinking": ..., "answer": ...}`; its question is one of a belief's training
questions, word for word. Once a file is read, its name has the digest of its content behind it
(`my.jsonl@1f3870be274f`), so that a changed file is another trial and never silently the same one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beliefmod.beliefs.load import Belief
from beliefmod.beliefs.question import Question
from beliefmod.config import split_name
from beliefmod.errors import UserError, did_you_mean
from beliefmod.user_files.json_objects import json_objects

FIELDS = ("question", "thinking", "answer")
EXAMPLE = '{"question": ..., "thinking": ..., "answer": ...}'
MAX_BYTES = 200_000_000
MOST_TOLD = 20
MARKS = ("<think>", "</think>")


@dataclass(frozen=True)
class SuppliedTrace:
    """Thinking and answer that somebody wrote for a training question. line: its number in the file."""

    line: int
    question: Question
    thinking: str
    answer: str


@dataclass(frozen=True)
class TraceFile:
    """A file of supplied traces, every line of which has the right fields.

    Attributes:
        path: as it was given, without a digest.
        digest: the first 12 hex digits of the SHA-256 of its content.
        lines: number of the line and its fields.
        content: the file, byte for byte.
    """

    path: str
    digest: str
    lines: tuple[tuple[int, Mapping[str, str]], ...]
    content: bytes = field(repr=False)

    @property
    def pinned(self) -> str:
        """The file's absolute path with its digest, as `data.traces` has it once the file was read."""
        return f"{os.path.abspath(self.path)}@{self.digest}"

    def of(self, belief: Belief) -> tuple[SuppliedTrace, ...]:
        """The traces of a belief's training questions, in the file's order."""
        known = {question.text: question for question in belief.training}
        return tuple(
            SuppliedTrace(number, known[fields["question"]], fields["thinking"], fields["answer"])
            for number, fields in self.lines
            if fields["question"] in known
        )

    def strangers(self, beliefs: Sequence[Belief]) -> Iterable[str]:
        """A sentence about each line whose question none of these beliefs trains on, of many the first."""
        known = {question.text for belief in beliefs for question in belief.training}
        named = ", ".join(belief.spec.name for belief in beliefs)
        strange = [(number, f["question"]) for number, f in self.lines if f["question"] not in known]
        for number, asked in strange[:MOST_TOLD]:
            near = did_you_mean(asked, known)
            hint = near if "did you mean" in near else "; beliefmod beliefs show NAME --all prints them"
            yield f'{self.path}:{number}: "{asked}" is no training question of {named}{hint}'
        if len(strange) > MOST_TOLD:
            more = len(strange) - MOST_TOLD
            yield f"{self.path}: {more} more lines have questions that are none of {named}"


def read_traces(name: str) -> TraceFile:
    """Read the file that `data.traces` names, with or without a digest.

    Raises:
        UserError: every fault of the file, each with its line; or its content is not that of the digest.
    """
    path, digest = split_name(name)
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise UserError(f"{path}: is larger than {MAX_BYTES:,} bytes, the limit; split it")
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); data.traces names it") from None
    found = parse_traces(content, path)
    if digest is not None and digest != found.digest:
        raise UserError(
            f"{path}: has changed since data.traces was read (digest {digest}, now {found.digest}); put the "
            "old content back, or start a new run with the file as it is"
        )
    return found


def parse_traces(content: bytes, path: str) -> TraceFile:
    """A file's content. Raises UserError with every fault, each naming file, line, field and fix."""
    objects, problems = json_objects(content, EXAMPLE)
    first: dict[str, int] = {}
    for number, fields in objects:
        problems += [(number, text) for text in _faults(fields)]
        asked = fields.get("question")
        if isinstance(asked, str) and first.setdefault(asked, number) != number:
            problems.append((number, f'"{asked}" has a trace in line {first[asked]} already; keep one'))
    if not objects and not problems:
        problems.append((0, f"holds no traces; write one object on each line: {EXAMPLE}"))
    if problems:
        raise UserError(f"{path}:{n}: {text}" if n else f"{path}: {text}" for n, text in sorted(problems))
    return TraceFile(path, hashlib.sha256(content).hexdigest()[:12], tuple(objects), content)


def _faults(fields: Mapping[str, Any]) -> Iterable[str]:
    for name in FIELDS:
        value = fields.get(name)
        if name not in fields:
            yield f'lacks "{name}"; add it as text'
        elif not isinstance(value, str) or not value.strip():
            yield f"{name} must be text that is not empty"
        elif any(mark in value for mark in MARKS):
            yield f"{name} holds {' or '.join(MARKS)}; leave the marks out, the chat template puts them there"
    for name in sorted(fields.keys() - set(FIELDS)):
        yield f'has a field "{name}" that is not known{did_you_mean(name, FIELDS)}'
