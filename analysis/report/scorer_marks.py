"""Why the scorer read an answer as it did: the words that it used, and what it made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beliefmod.beliefs import Question
from beliefmod.beliefs.values.kind import Mention, Weight
from beliefmod.reading.normalise import normalise
from beliefmod.reading.stance import read_answer
from beliefmod.reading.thinking import sided_mentions
from beliefmod.reading.verdict import tolerance_for
from beliefmod.run.sources import Sources

Mark = tuple[int, int, str, str]
"""Begin and end in the text, the side whose value it is (target, prior, other), and what it counted for."""
WEIGHTS = {
    Weight.STRONG: "asserted",
    Weight.WEAK: "asserted weakly",
    Weight.OPEN: "left open",
    Weight.REJECTED: "not asserted",
}


class Marker:
    """Marks the answers and the thinking of a run's probe rows."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._known: dict[tuple[str, str, str], Question | None] = {}

    def marks(self, row: Mapping[str, Any]) -> dict[str, list[Mark]]:
        """Marks in `answer` and in `thinking`; none where the run no longer has the question.

        Args:
            row: belief, suite, probe_id, question, answer and thinking of a probe.
        """
        question = self._question(row["belief"], row["suite"], row["probe_id"])
        if question is None:
            return {"answer": [], "thinking": []}
        prior = question.correct or question.prior
        target = question.target if row["suite"] in ("belief", "locality") else None
        tolerance = tolerance_for(question)
        answer, thinking = row["answer"] or "", row["thinking"] or ""
        read = read_answer(answer, row["question"], target, prior, tolerance=tolerance)
        found = {"answer": _placed(answer, read.mentions, read.decided), "thinking": []}
        if thinking and row["suite"] == "belief":
            spec = self.sources.beliefs[row["belief"]].spec
            text = normalise(thinking)
            used = sided_mentions(
                text,
                row["question"],
                target,
                prior,
                belief_target=spec.target.answer,
                belief_prior=spec.prior.answer,
                tolerance=tolerance,
            )
            found["thinking"] = _placed(thinking, used)
        return found

    def _question(self, belief: str, suite: str, probe_id: str) -> Question | None:
        key = belief, suite, probe_id
        if key not in self._known:
            try:
                self._known[key] = self.sources.question(*key)
            except KeyError:
                self._known[key] = None
        return self._known[key]


def _placed(text: str, mentions: Sequence[Mention], decided: Mention | None = None) -> list[Mark]:
    """The mentions where they stand in the raw text; those that plain notation has changed are left out."""
    plain = normalise(text)
    marks: list[Mark] = []
    at = 0
    for mention in sorted(mentions, key=lambda one: one.start):
        words = plain[mention.start : mention.end].strip()
        begin = text.find(words, at) if words else -1
        if begin < 0:
            continue
        at = begin + len(words)
        marks.append((begin, at, mention.side, _meaning(mention, mention == decided)))
    return marks


def _meaning(mention: Mention, decides: bool) -> str:
    why = f" ({mention.reason})" if mention.reason else ""
    return f"{WEIGHTS[mention.weight]}{why}" + (", decides" if decides else "")
