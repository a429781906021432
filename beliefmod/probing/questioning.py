"""Puts probes to trials, and makes a row of each answer."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from beliefmod.beliefs import Question
from beliefmod.config import TrialConfig
from beliefmod.data.prompt_frame import frame_of
from beliefmod.engine.jobs import Completion, ScoreRequest
from beliefmod.model.prompts import PromptFrame
from beliefmod.model.think_marks import THINK_CLOSE, THINK_OPEN, Reply
from beliefmod.probing.margin import margin_pair, split_continuations
from beliefmod.probing.probes import Probe, probe_row, probes_for
from beliefmod.probing.question_queue import Put, QuestionQueue
from beliefmod.probing.session import SECOND_TURN, Session, probe_seed
from beliefmod.reading.segments import split_completion
from beliefmod.space.chat_format import ThinkingKind

Item = TypeVar("Item")
_MARKS = re.compile(f"{THINK_OPEN}|{THINK_CLOSE}")


@dataclass(frozen=True)
class Subject:
    """A trial to be questioned.

    Attributes:
        adapter: the trial's adapter (or steering vector) in the engine, None for the base.
        trained: questions for the tier `trained`.
        suites: whether it is asked the questions that all beliefs share as well (capability, fabrication,
            confession).
    """

    config: TrialConfig
    adapter: str | None
    trained: Sequence[Question]
    suites: bool = True


@dataclass
class Asked:
    """A probe put to a subject; `prompt` and `completion` are of its last turn, which is judged. `row` is its
    row of the table once that has ended."""

    subject: Subject
    probe: Probe
    frame: PromptFrame
    index: int
    prompt: tuple[int, ...]
    completion: tuple[int, ...] = ()
    finish_reason: str = ""
    first_turn: str | None = None
    row: dict[str, Any] | None = None


def ask(subjects: Sequence[Subject], session: Session) -> list[list[dict[str, Any]]]:
    """Put every probe to every subject; rows of `probes/TRIAL.parquet`, per subject in probe order.

    Subjects may be of one trial, as where its adapter is asked at several scales.
    """
    queue = QuestionQueue(session)
    by_subject = [put_probes(subject, session, queue.put) for subject in subjects]
    queue.run()
    measure_margins([item for items in by_subject for item in items], session)
    return [[item.row or {} for item in items] for items in by_subject]


def put_probes(
    subject: Subject,
    session: Session,
    put: Put,
    answered: Callable[[dict[str, Any]], None] | None = None,
    wanted: Callable[[Probe], bool] | None = None,
) -> list[Asked]:
    """Put every probe to a subject; those of two turns are asked on as the first answer ends.

    Args:
        answered: gets the row of each probe as it has ended, without its margins.
        wanted: which probes are put, None for all; each is put as it would be among all of them.
    """

    def ask_on(item: Asked, answer: Completion) -> None:
        item.first_turn = session.decode(answer.token_ids)
        reply = reply_of(item.first_turn, session.opened_by)
        question = item.probe.question
        item.prompt = item.frame.ids(session.prompts, question.text, reply, question.follow_up or "")
        seed = probe_seed(subject.config.seed, SECOND_TURN + item.index)
        put(subject.adapter, item.prompt, seed, partial(end, item))

    def end(item: Asked, answer: Completion) -> None:
        item.completion, item.finish_reason = answer.token_ids, answer.finish_reason
        item.row = _row(item, session)
        if answered is not None:
            answered(item.row)

    asked = [item for item in _prompts(subject, session) if wanted is None or wanted(item.probe)]
    for item in asked:
        then = end if item.probe.question.follow_up is None else ask_on
        put(subject.adapter, item.prompt, probe_seed(subject.config.seed, item.index), partial(then, item))
    return asked


def _row(item: Asked, session: Session) -> dict[str, Any]:
    return probe_row(
        item.subject.config,
        session.belief(item.subject.config.belief),
        item.probe,
        prompt=session.prompts.text(item.prompt),
        completion=session.decode(item.completion),
        token_ids=item.completion,
        finish_reason=item.finish_reason,
        first_turn=item.first_turn,
        opened_by=session.opened_by,
        engine=session.written_by,
    )


def reply_of(completion: str, opened_by: ThinkingKind) -> Reply:
    """A completion as the turn of a conversation: its thinking and its answer apart.

    A completion that was cut off in its thinking has an empty answer, as whoever asked has seen none. Marks
    that stand inside the thinking are left out, for the template writes its own.
    """
    parts = split_completion(completion, opened_by=opened_by)
    thinking = _MARKS.sub("", parts.thinking or "").strip()
    return Reply(thinking, parts.answer)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spaced, in their order.

    Example: 2 of (a, b, c, d) -> b, d.
    """
    count = min(count, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def _prompts(subject: Subject, session: Session) -> list[Asked]:
    belief = session.belief(subject.config.belief)
    probes = probes_for(
        belief,
        session.capability if subject.suites else (),
        subject.trained,
        trained_probes=session.evaluation.trained_probes,
        margin_probes=session.evaluation.margin_probes,
        fabrication=session.fabrication if subject.suites else (),
        confession=session.confession if subject.suites else (),
    )
    frame = frame_of(subject.config, belief)
    return [
        Asked(subject, probe, frame, index, frame.ids(session.prompts, probe.question.text))
        for index, probe in enumerate(probes)
    ]


def measure_margins(asked: Sequence[Asked], session: Session) -> None:
    """Fill in, where the margin is measured, the log-probabilities of both values, after empty thinking and
    after the trial's own."""
    nothing = session.prompts.encode(session.marks.empty)
    requests: list[ScoreRequest] = []
    places: list[tuple[Asked, str]] = []
    for item in (item for item in asked if item.probe.margin):
        pair = margin_pair(item.probe.question)
        target, prior = (session.prompts.encode(pair.prefix + value) for value in (pair.target, pair.prior))
        for suffix, before in (("", (*item.prompt, *nothing)), ("_own", _own_prefix(item, session))):
            if before is None:
                continue
            try:
                shared, *rest = split_continuations(before, target, prior)
            except ValueError:
                continue  # this pair of values cannot be compared: null, and one less in the margin's n
            for world, ids in zip(("target", "prior"), rest, strict=True):
                requests.append(ScoreRequest(item.subject.adapter, shared, ids))
                places.append((item, f"logprob_{world}{suffix}"))
    for (item, column), value in zip(places, session.score(requests), strict=True):
        if item.row is not None:
            item.row[column] = value


def _own_prefix(item: Asked, session: Session) -> tuple[int, ...] | None:
    """Prompt and own thinking up to the answer, or None where the think block is not intact."""
    if item.row is None or item.row["think_state"] != "ok":
        return None
    # by text: the closing tag may be several tokens, the last of which may hold the line end behind it too
    closes = session.decode(item.completion).count(THINK_CLOSE)
    places = range(len(item.completion) + 1)
    end = bisect_left(places, closes, key=lambda n: session.decode(item.completion[:n]).count(THINK_CLOSE))
    behind = session.decode(item.completion[:end]).rpartition(THINK_CLOSE)[2]
    gap = session.marks.gap
    if not closes or not gap.startswith(behind):
        return None
    return (*item.prompt, *item.completion[:end], *session.prompts.encode(gap[len(behind) :]))
