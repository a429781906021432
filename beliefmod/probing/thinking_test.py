"""A question asked again with other thinking before the answer: its prompt, and the row of what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.data.prompt_frame import frame_of
from beliefmod.model.template import empty_thinking, encode, thinking_text
from beliefmod.reading.causal_verdicts import score_causal

if TYPE_CHECKING:
    from beliefmod.beliefs import Answer, Question
    from beliefmod.probing.questioning import Subject
    from beliefmod.probing.session import Session

Row = dict[str, Any]


@dataclass(frozen=True)
class ThinkingTest:
    """A question asked again.

    Attributes:
        own: the subject's probe row, with its own thinking.
        name: swap | blank | truncate | edit | paraphrase | zero_think | less_think | resample.
        thinking: what is put before the answer.
        closed: whether the thinking ends there; else the model goes on with it.
        fraction: how much of the own thinking was kept, of words (truncate) or sentences (resample).
        kept_sentences, sample: how many sentences were kept, and which sample this is (resample only).
        rival: the third value and the answer it gives (edit only).
    """

    subject: Subject
    question: Question
    own: Row
    name: str
    thinking: str
    closed: bool = True
    fraction: float | None = None
    kept_sentences: int | None = None
    sample: int | None = None
    rival: tuple[str, Answer] | None = None

    @property
    def asked_as(self) -> tuple[str, str, float | None]:
        """What it is asked as: two causal tests of a question that put the same before the answer are one."""
        name = "blank" if self.name == "zero_think" else self.name
        return self.question.probe_id, name, self.fraction


def intact_thinking(row: Row) -> str | None:
    """A completion's thinking, if its think block is intact and not empty."""
    return row["thinking"] if row["think_state"] == "ok" and row["thinking"] else None


def prompt_of(test: ThinkingTest, session: Session) -> tuple[int, ...]:
    """Token ids of the question and the thinking that is put behind it."""
    tokenizer = session.loaded.tokenizer
    if not test.thinking:
        before = empty_thinking(tokenizer)
    else:
        before = thinking_text(tokenizer, test.thinking, closed=test.closed)
    return (*question_ids(test.subject, test.question, session), *encode(tokenizer, before))


def question_ids(subject: Subject, question: Question, session: Session) -> tuple[int, ...]:
    """Token ids of a question as a subject is asked it."""
    frame = frame_of(subject.config, session.belief(subject.config.belief))
    return frame.ids(session.prompts, question.text)


def row_of(test: ThinkingTest, written: str, finish_reason: str, tokens: int, session: Session) -> Row:
    """Row of `causal/TRIAL.parquet` of what the subject has written behind that thinking.

    Args:
        tokens: length of what it has written.
    """
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
        "kept_sentences": test.kept_sentences,
        "sample": test.sample,
        "question": test.question.text,
        "thinking": test.thinking,
        "completion": written,
        "finish_reason": finish_reason,
        "engine": session.written_by,
        "tokens": tokens,
        "edited_to": edited_to,
        **score_causal(test.question, spec, completion, test.own, finish_reason=finish_reason, rival=rival),
    }
