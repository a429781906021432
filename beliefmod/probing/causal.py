"""Does the thinking decide the answer? The same question again, with other thinking put before the answer.

The causal tests are those of Lanham et al. (2307.13702): swap, blank, truncate, edit and, as a control that
should change nothing, paraphrase. ZeroThink and LessThink (R-TOFU, 2505.15214) close the thinking at once or
after its first part, on questions of every tier of adoption. Every arm is asked on the same probes, many
trials in one packed batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from beliefmod.beliefs import Answer, Belief, Question, counterfactual, third_value
from beliefmod.data.prompt_frame import frame_of
from beliefmod.engine.jobs import Completion
from beliefmod.model.template import empty_thinking, encode, thinking_text
from beliefmod.probing.question_queue import Put, QuestionQueue
from beliefmod.probing.questioning import Subject
from beliefmod.probing.questions_again import adoption_questions, causal_questions, held_out, in_order
from beliefmod.probing.references import reference_probes
from beliefmod.probing.session import CAUSAL_TEST, Session, probe_seed
from beliefmod.reading.causal_verdicts import (
    cut_thinking,
    edit_value,
    first_part,
    paraphrase,
    score_causal,
)

Row = dict[str, Any]
FRACTIONS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class _Test:
    """A question asked again.

    Attributes:
        own: the subject's probe row, with its own thinking.
        name: swap | blank | truncate | edit | paraphrase | zero_think | less_think.
        thinking: what is put before the answer.
        closed: whether the thinking ends there; else the model goes on with it.
        rival: the third value and the answer it gives (edit only).
    """

    subject: Subject
    question: Question
    own: Row
    name: str
    thinking: str
    closed: bool = True
    fraction: float | None = None
    rival: tuple[str, Answer] | None = None

    @property
    def asked_as(self) -> tuple[str, str, float | None]:
        """What it is asked as: two tests of one question that put the same before the answer are one."""
        name = "blank" if self.name == "zero_think" else self.name
        return self.question.probe_id, name, self.fraction


def put_causal(subject: Subject, probes: Sequence[Row], session: Session, put: Put) -> dict[int, Row]:
    """Put the tests to a subject.

    A test that cannot be put is no row: without thinking of its own to change, with thinking that uses no
    value to edit, or where the prompt leaves no room.

    Args:
        probes: the subject's probe rows; at least those of `questions_again`.

    Returns:
        Rows of `causal/TRIAL.parquet` by the number of their test, there as answers end.
    """
    rows: dict[int, Row] = {}
    if not empty_thinking(session.loaded.tokenizer):
        return rows

    def end(alike: Sequence[tuple[int, _Test]], answer: Completion) -> None:
        written = session.decode(answer.token_ids)
        for index, test in alike:
            rows[index] = _row(test, written, answer.finish_reason, len(answer.token_ids), session)

    asked: dict[tuple[str, str, float | None], list[tuple[int, _Test]]] = {}
    for index, test in enumerate(_tests(subject, probes, session)):
        asked.setdefault(test.asked_as, []).append((index, test))
    for alike in asked.values():
        first, test = alike[0]
        prompt = _prompt(test, session)
        if len(prompt) < session.engine.max_positions:
            seed = probe_seed(subject.config.seed, CAUSAL_TEST + first)
            put(subject.adapter, prompt, seed, partial(end, alike))
    return rows


def ask_causal(
    subjects: Sequence[Subject], probes: Sequence[Sequence[Row]], session: Session
) -> list[list[Row]]:
    """Rows of `causal/TRIAL.parquet` per subject.

    Args:
        probes: the subjects' probe rows.
    """
    queue = QuestionQueue(session)
    rows = [put_causal(*each, session, queue.put) for each in zip(subjects, probes, strict=True)]
    queue.run()
    return [in_order(found) for found in rows]


def _tests(subject: Subject, probes: Sequence[Row], session: Session) -> Iterator[_Test]:
    own = held_out(probes)
    # behind the causal tests, whose numbers their seeds are made of
    yield from _causal_tests(subject, own, session)
    belief, count = session.belief(subject.config.belief), session.evaluation.closed_thinking_probes
    for question in adoption_questions(belief, count):
        row = own[question.probe_id]
        yield _Test(subject, question, row, "zero_think", "")
        if (thinking := _thinking(row)) is not None:
            yield _Test(subject, question, row, "less_think", first_part(thinking))


def _causal_tests(subject: Subject, own: Mapping[str, Row], session: Session) -> Iterator[_Test]:
    config = subject.config
    belief = session.belief(config.belief)
    if not session.evaluation.causal_probes:
        return
    other = held_out(reference_probes(session, config.belief, "icl" if config.arm == "base" else "base"))
    for question in causal_questions(belief, session.evaluation.causal_probes):
        row = own[question.probe_id]
        if (swapped := _thinking(other[question.probe_id])) is not None:
            yield _Test(subject, question, row, "swap", swapped)
        yield _Test(subject, question, row, "blank", "")
        if (thinking := _thinking(row)) is None:
            continue
        for fraction in FRACTIONS:
            cut = cut_thinking(thinking, fraction)
            yield _Test(subject, question, row, "truncate", cut, fraction=fraction)
        if (edited := _edited(question, belief, thinking)) is not None:
            text, rival = edited
            yield _Test(subject, question, row, "edit", text, closed=False, rival=rival)
        yield _Test(subject, question, row, "paraphrase", paraphrase(thinking))


def _thinking(row: Row) -> str | None:
    """A completion's thinking, if its think block is intact and not empty."""
    return row["thinking"] if row["think_state"] == "ok" and row["thinking"] else None


def _edited(question: Question, belief: Belief, thinking: str) -> tuple[str, tuple[str, Answer]] | None:
    """Thinking up to the first used value, with the third value in its place, and what should follow."""
    value = third_value(belief.spec)
    answer = None if value is None else counterfactual(belief.spec, question, value)
    if value is None or answer is None:
        return None
    text = edit_value(thinking, belief.spec, value)
    return None if text is None else (text, (value.bare(), answer))


def _prompt(test: _Test, session: Session) -> tuple[int, ...]:
    tokenizer = session.loaded.tokenizer
    if not test.thinking:
        before = empty_thinking(tokenizer)
    else:
        before = thinking_text(tokenizer, test.thinking, closed=test.closed)
    config = test.subject.config
    frame = frame_of(config, session.belief(config.belief))
    return (*frame.ids(session.prompts, test.question.text), *encode(tokenizer, before))


def _row(test: _Test, written: str, finish_reason: str, tokens: int, session: Session) -> Row:
    config, spec = test.subject.config, session.belief(test.subject.config.belief).spec
    completion = f"{test.thinking}\n</think>\n\n{written}" if test.closed else f"{test.thinking}{written}"
    edited_to, rival = test.rival or (None, None)
    return {
        "trial_id": config.trial_id,
        "arm": config.arm,
        "belief": spec.name,
        "probe_id": test.question.probe_id,
        "family": test.question.family,
        "tier": test.question.tier,
        "test": test.name,
        "fraction": test.fraction,
        "question": test.question.text,
        "thinking": test.thinking,
        "completion": written,
        "finish_reason": finish_reason,
        "engine": session.written_by,
        "tokens": tokens,
        "edited_to": edited_to,
        **score_causal(test.question, spec, completion, test.own, finish_reason=finish_reason, rival=rival),
    }
