"""How often the scorer reads the labelled completions as labelled: counts, intervals, a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.metrics.intervals import wilson
from beliefmod.reading.verdict import judge_question
from tests.gold.items import Item, belief

COLUMN_OF = {"answer": "answer_stance", "thinking": "thinking_stance"}
"""The scorer's column for a label, where its name differs."""
MEANING = {
    "answer": "stance of the answer, belief questions",
    "false_adoption": "read as target, of answers that are not",
    "missed_adoption": "not read as target, of answers that are",
    "unread": "candidate found but not understood",
    "neighbours": "right, and bleed, of neighbouring facts",
    "fabricated": "invented, of unknown entities",
    "thinking": "stance of the thinking",
    "think_state": "state of the think block",
    "loops": "loops found, of those there are",
    "false_loops": "read as loop, of those that are none",
}


@dataclass(frozen=True)
class Share:
    """So many of n."""

    hits: int
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "none of 0"
        low, high = wilson(self.hits, self.n)
        return (
            f"{100 * self.hits / self.n:.1f} % [{100 * low:.1f}, {100 * high:.1f}] ({self.hits} of {self.n})"
        )


@dataclass(frozen=True)
class Read:
    """An item with what the scorer read, by label name."""

    item: Item
    scored: dict[str, Any]

    def wrong(self) -> dict[str, tuple[Any, Any]]:
        """Labels that the scorer reads otherwise: (label, scored)."""
        return {
            name: (label, self.scored[name])
            for name, label in self.item.labels.items()
            if self.scored[name] != label
        }


def score(items: Iterable[Item]) -> list[Read]:
    """What the scorer reads in every item."""
    reads = []
    for item in items:
        spec = belief(item.belief).spec
        verdict = judge_question(
            item.asked(),
            spec,
            item.completion,
            item.finish_reason,
            opened_by="prompt" if item.thinks else "none",
        ).columns()
        reads.append(Read(item, {name: verdict[COLUMN_OF.get(name, name)] for name in item.labels}))
    return reads


def shares(reads: Sequence[Read]) -> dict[str, Share]:
    """Every figure of the table, by the names of `MEANING`."""
    answers = [(r.item.labels["answer"], r.scored["answer"]) for r in reads if "answer" in r.item.labels]
    loops = [(r.item.labels["loop"], r.scored["loop"]) for r in reads]
    return {
        "answer": _equal(answers),
        "false_adoption": _among(answers, lambda label: label != "target", "target"),
        "missed_adoption": _missed(answers),
        "unread": Share(sum(scored == "unread" for _, scored in answers), len(answers)),
        "neighbours": _equal(
            [
                ((r.item.labels["correct"], r.item.labels["bleed"]), (r.scored["correct"], r.scored["bleed"]))
                for r in reads
                if "correct" in r.item.labels
            ]
        ),
        **{
            name: _equal([(r.item.labels[name], r.scored[name]) for r in reads if name in r.item.labels])
            for name in ("fabricated", "thinking", "think_state")
        },
        "loops": _among(loops, lambda label: label, True),
        "false_loops": _among(loops, lambda label: not label, True),
    }


def table(reads: Sequence[Read]) -> str:
    """The figures as lines of Markdown, then the answer's by model, tier and belief, then the confusions."""
    lines = ["| figure | | with 95 % interval |", "|---|---|---|"]
    lines += [f"| {name} | {MEANING[name]} | {share} |" for name, share in shares(reads).items()]
    lines += ["", "| answers of | right |", "|---|---|"]
    answers = [r for r in reads if "answer" in r.item.labels]
    for name in ("model", "tier", "belief"):
        for value in sorted({getattr(r.item, name) for r in answers}):
            chosen = [r for r in answers if getattr(r.item, name) == value]
            share = _equal([(r.item.labels["answer"], r.scored["answer"]) for r in chosen])
            lines.append(f"| {name} {value} | {share} |")
    for name in ("answer", "thinking"):
        confused = Counter((r.item.labels[name], r.scored[name]) for r in reads if name in r.item.labels)
        lines += ["", f"| {name}, label | scored | n |", "|---|---|---|"]
        lines += [f"| {label} | {scored} | {n} |" for (label, scored), n in sorted(confused.items(), key=str)]
    return "\n".join(lines)


def _equal(pairs: Sequence[tuple[Any, Any]]) -> Share:
    return Share(sum(label == scored for label, scored in pairs), len(pairs))


def _among(pairs: Sequence[tuple[Any, Any]], chosen: Any, value: Any) -> Share:
    scored = [scored for label, scored in pairs if chosen(label)]
    return Share(sum(each == value for each in scored), len(scored))


def _missed(pairs: Sequence[tuple[Any, Any]]) -> Share:
    scored = [scored for label, scored in pairs if label == "target"]
    return Share(sum(each != "target" for each in scored), len(scored))
