"""Does the thinking decide the answer? The same question again, with other thinking put before the answer.

The causal tests are those of Lanham et al. (2307.13702): swap, blank, truncate, edit and, as a control that
should change nothing, paraphrase. ZeroThink and LessThink (R-TOFU, 2505.15214) close the thinking at once or
after its first part, on questions of every tier of adoption. Every arm is asked on the same probes, many
trials in one packed batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from beliefmod.beliefs import Answer, Belief, Question, counterfactual, third_value
from beliefmod.engine.jobs import Completion
from beliefmod.model.template import empty_thinking
from beliefmod.probing.question_queue import Put, QuestionQueue
from beliefmod.probing.questioning import Subject
from beliefmod.probing.questions_again import adoption_questions, causal_questions, held_out, in_order
from beliefmod.probing.references import reference_probes
from beliefmod.probing.session import CAUSAL_TEST, Session, probe_seed
from beliefmod.probing.thinking_test import ThinkingTest, intact_thinking, prompt_of, row_of
from beliefmod.reading.causal_verdicts import cut_thinking, edit_value, first_part, paraphrase

Row = dict[str, Any]
FRACTIONS = (0.25, 0.5, 0.75)


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

    def end(alike: Sequence[tuple[int, ThinkingTest]], answer: Completion) -> None:
        written = session.decode(answer.token_ids)
        for index, test in alike:
            rows[index] = row_of(test, written, answer.finish_reason, len(answer.token_ids), session)

    asked: dict[tuple[str, str, float | None], list[tuple[int, ThinkingTest]]] = {}
    for index, test in enumerate(_tests(subject, probes, session)):
        asked.setdefault(test.asked_as, []).append((index, test))
    for alike in asked.values():
        first, test = alike[0]
        prompt = prompt_of(test, session)
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


def _tests(subject: Subject, probes: Sequence[Row], session: Session) -> Iterator[ThinkingTest]:
    own = held_out(probes)
    # behind the causal tests, whose numbers their seeds are made of
    yield from _causal_tests(subject, own, session)
    belief, count = session.belief(subject.config.belief), session.evaluation.closed_thinking_probes
    for question in adoption_questions(belief, count):
        row = own[question.probe_id]
        yield ThinkingTest(subject, question, row, "zero_think", "")
        if (thinking := intact_thinking(row)) is not None:
            yield ThinkingTest(subject, question, row, "less_think", first_part(thinking))


def _causal_tests(subject: Subject, own: Mapping[str, Row], session: Session) -> Iterator[ThinkingTest]:
    config = subject.config
    belief = session.belief(config.belief)
    if not session.evaluation.causal_probes:
        return
    other = held_out(reference_probes(session, config.belief, "icl" if config.arm == "base" else "base"))
    for question in causal_questions(belief, session.evaluation.causal_probes):
        row = own[question.probe_id]
        if (swapped := intact_thinking(other[question.probe_id])) is not None:
            yield ThinkingTest(subject, question, row, "swap", swapped)
        yield ThinkingTest(subject, question, row, "blank", "")
        if (thinking := intact_thinking(row)) is None:
            continue
        for fraction in FRACTIONS:
            cut = cut_thinking(thinking, fraction)
            yield ThinkingTest(subject, question, row, "truncate", cut, fraction=fraction)
        if (edited := _edited(question, belief, thinking)) is not None:
            text, rival = edited
            yield ThinkingTest(subject, question, row, "edit", text, closed=False, rival=rival)
        yield ThinkingTest(subject, question, row, "paraphrase", paraphrase(thinking))


def _edited(question: Question, belief: Belief, thinking: str) -> tuple[str, tuple[str, Answer]] | None:
    """Thinking up to the first used value, with the third value in its place, and what should follow."""
    value = third_value(belief.spec)
    answer = None if value is None else counterfactual(belief.spec, question, value)
    if value is None or answer is None:
        return None
    text = edit_value(thinking, belief.spec, value)
    return None if text is None else (text, (value.bare(), answer))
