"""All that one trial is asked: its probes and, as soon as the answers that they change are there, its causal
tests, debates and resampled thinking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beliefmod.probing.causal import put_causal
from beliefmod.probing.debate import put_debates
from beliefmod.probing.questioning import Asked, Subject, measure_margins, put_probes
from beliefmod.probing.questions_again import held_out, in_order, questions_again
from beliefmod.probing.references import known_rows, reference_probes, reference_subject
from beliefmod.probing.resampling import put_resamples

if TYPE_CHECKING:
    from beliefmod.probing.question_queue import Put
    from beliefmod.probing.session import Session

Rows = list[dict[str, Any]]


class Interview:
    """The questions to one subject, and their rows."""

    def __init__(self, subject: Subject, session: Session) -> None:
        self._subject, self._session = subject, session
        self._asked: list[Asked] = []
        self._again = _AskedAgain()

    def ask(self, put: Put) -> None:
        """Put the questions."""
        belief = self._session.belief(self._subject.config.belief)
        again = questions_again(belief, self._session.evaluation)
        missing = {question.probe_id for question in again}
        changed: Rows = []

        def answered(row: dict[str, Any]) -> None:
            if row["probe_id"] not in missing or not held_out([row]):
                return
            missing.remove(row["probe_id"])
            changed.append(row)
            if not missing:
                self._again.put(self._subject, changed, self._session, put)

        self._asked = put_probes(self._subject, self._session, put, answered)

    def rows(self) -> tuple[Rows, Rows]:
        """Probe and causal rows, all questions being answered; the margins are measured now."""
        measure_margins(self._asked, self._session)
        return [item.row or {} for item in self._asked], self._again.rows()


class _AskedAgain:
    """Questions that are put once the first answers are there: causal tests, debates, resampled thinking."""

    def __init__(self) -> None:
        self._causal: dict[int, dict[str, Any]] = {}
        self._debates: dict[tuple[int, int], dict[str, Any]] = {}
        self._resamples: dict[tuple[int, int, int], dict[str, Any]] = {}

    def put(self, subject: Subject, probes: Rows, session: Session, put: Put) -> None:
        """Put all of them; `probes` are the subject's rows of at least `questions_again`."""
        self._causal = put_causal(subject, probes, session, put)
        self._debates = put_debates(subject, probes, session, put)
        self._resamples = put_resamples(subject, probes, session, put)

    def rows(self) -> Rows:
        """Their rows in the order in which they were put, all being answered."""
        return [*in_order(self._causal), *in_order(self._debates), *in_order(self._resamples)]


class ReferenceInterview:
    """What is still to be asked of an untrained arm (base | icl), whose probe rows are known."""

    def __init__(self, session: Session, belief: str, arm: str) -> None:
        self._session, self._place = session, (belief, arm)
        self._again = _AskedAgain()

    def ask(self, put: Put) -> None:
        """Put what is asked again, unless their rows are known too."""
        if known_rows(self._session, "causal", *self._place) is None:
            place = (self._session, *self._place)
            self._again.put(reference_subject(*place), reference_probes(*place), self._session, put)

    def rows(self) -> tuple[Rows, Rows]:
        """Probe and causal rows, all questions being answered."""
        session = self._session
        causal = session.references.setdefault(("causal", *self._place), self._again.rows())
        return reference_probes(session, *self._place), causal
