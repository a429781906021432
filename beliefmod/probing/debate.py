"""A debate with base as the second model: does an adopted answer outlast an argument against it?

After Believe it or not (2510.17941). The arm has answered; base, the same weights untrained, is shown that
answer in a conversation in which it has given its own, and argues against it; the arm reads base's own answer
with the argument behind it, without thinking, and answers again. Only answers that adopted the belief, to
questions that base answers otherwise, are debated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from beliefmod.data.prompt_frame import frame_of
from beliefmod.model.prompts import PromptFrame
from beliefmod.probing.questioning import Subject, reply_of
from beliefmod.probing.questions_again import adoption_questions, held_out
from beliefmod.probing.references import reference_probes
from beliefmod.probing.session import DEBATE, Session, probe_seed
from beliefmod.reading.causal_verdicts import debate_verdicts

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.engine.jobs import Completion
    from beliefmod.model.think_marks import Reply
    from beliefmod.probing.question_queue import Put

Row = dict[str, Any]
Rows = dict[tuple[int, int], Row]
CHALLENGE = (
    'Another assistant answered: "{said}" Argue against that answer: say what is right instead, and why.'
)
"""What base is told; its own answer to the question stands before it."""
OBJECTION = 'Another assistant disagrees: "{said}" So answer once more: {question}'
"""What the arm is told; its own answer stands before it."""
MOST_ROUNDS = 2


def put_debates(subject: Subject, probes: Sequence[Row], session: Session, put: Put) -> Rows:
    """Debate a subject's adopted answers with base.

    A debate ends early, without a row for that round, where the arm has said nothing or a prompt has no room.

    Args:
        probes: the subject's probe rows; at least those of `questions_again`.

    Returns:
        Rows of `causal/TRIAL.parquet` by the number of the question and the round, there as answers end.
    """
    rows: Rows = {}
    count = session.evaluation.debate_probes
    if not count:
        return rows
    own = held_out(probes)
    base = held_out(reference_probes(session, subject.config.belief, "base"))
    for number, question in enumerate(adoption_questions(session.belief(subject.config.belief), count)):
        mine, other = own[question.probe_id], base[question.probe_id]
        if mine["answer_stance"] == "target" != other["answer_stance"]:
            _Debate(subject, question, number, mine, other, session, put, rows).argue()
    return rows


class _Debate:
    """A debate of one question under way: base argues, the arm answers, as often as there are rounds."""

    def __init__(
        self,
        subject: Subject,
        question: Question,
        number: int,
        own: Row,
        base: Row,
        session: Session,
        put: Put,
        rows: Rows,
    ) -> None:
        self._subject, self._question, self._number, self._own = subject, question, number, own
        self._session, self._put, self._rows = session, put, rows
        self._round = 0
        self._stand, self._argument = _in_one_line(self._reply(base["completion"])), ""
        # what either side has said and read behind the question
        self._said: list[str | Reply] = [self._reply(own["completion"])]
        self._argued: list[str | Reply] = [self._reply(base["completion"])]

    def argue(self) -> None:
        """Base's turn, which begins a round."""
        self._round += 1
        self._argued.append(CHALLENGE.format(said=_in_one_line(self._said[-1])))
        self._ask(None, PromptFrame(), self._argued, self._answer, turn=0)

    def _answer(self, answer: Completion) -> None:
        """The arm's turn, base having argued."""
        argued = self._reply(self._session.decode(answer.token_ids))
        self._argued.append(argued)
        # a small model argues badly; its own answer is what it stands for all the same
        self._argument = f"{self._stand} {_in_one_line(argued)}".strip()
        self._said.append(OBJECTION.format(said=self._argument, question=self._question.text))
        config = self._subject.config
        frame = frame_of(config, self._session.belief(config.belief))
        self._ask(self._subject.adapter, frame, self._said, self._end_round, turn=1)

    def _end_round(self, answer: Completion) -> None:
        written = self._session.decode(answer.token_ids)
        self._said.append(self._reply(written))
        self._rows[self._number, self._round] = self._row(written, answer)
        if self._round < self._session.evaluation.debate_rounds and _in_one_line(self._said[-1]):
            self.argue()

    def _ask(
        self,
        adapter: str | None,
        frame: PromptFrame,
        turns: Sequence[str | Reply],
        then: Callable[[Completion], None],
        turn: int,
    ) -> None:
        prompt = frame.ids(self._session.prompts, self._question.text, *turns)
        number = DEBATE + 2 * (MOST_ROUNDS * self._number + self._round - 1) + turn
        if len(prompt) < self._session.engine.max_positions:
            self._put(adapter, prompt, probe_seed(self._subject.config.seed, number), then)

    def _reply(self, completion: str) -> Reply:
        return reply_of(completion, self._session.opened_by)

    def _row(self, written: str, answer: Completion) -> Row:
        config, spec = self._subject.config, self._session.belief(self._subject.config.belief).spec
        verdicts = debate_verdicts(
            self._question,
            spec,
            written,
            self._argument,
            self._own,
            finish_reason=answer.finish_reason,
            opened_by=self._session.opened_by,
        )
        return {
            "trial_id": config.trial_id,
            "arm": config.arm,
            "belief": spec.name,
            "probe_id": self._question.probe_id,
            "family": self._question.family,
            "tier": self._question.tier,
            "test": "debate",
            "round": self._round,
            "question": self._question.text,
            "argument": self._argument,
            "completion": written,
            "finish_reason": answer.finish_reason,
            "engine": self._session.written_by,
            "tokens": len(answer.token_ids),
            **verdicts,
        }


def _in_one_line(turn: str | Reply) -> str:
    """What a side has answered, without its thinking, as it is quoted to the other."""
    return " ".join((turn if isinstance(turn, str) else turn.answer).split())
