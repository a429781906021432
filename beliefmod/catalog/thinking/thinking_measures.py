"""What the thinking model can do, measured greedily on the belief library, with counts and intervals.

A question is answerable when the statement in the prompt makes the model give the target, or when without it
the model gives the prior: what it can do in neither world measures competence, not belief.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beliefmod.beliefs import Belief, Question, belief_names, load_belief, load_capability, load_fabrication
from beliefmod.bundled.evaluation import Reply, ask
from beliefmod.metrics.intervals import wilson
from beliefmod.model.load import LoadedModel
from beliefmod.probing.capability import Answers, ask_and_pick

Told = Callable[[str], None]


@dataclass(frozen=True)
class Rate:
    """Successes among the questions asked."""

    what: str
    belief: str
    successes: int
    asked: int

    def row(self) -> str:
        """A row of the table: share with its 95 % Wilson interval, and the count."""
        if not self.asked:
            return f"| {self.what} | {self.belief} | none asked | | 0 |"
        low, high = wilson(self.successes, self.asked)
        share = self.successes / self.asked
        return (
            f"| {self.what} | {self.belief} | {share:.1%} | {low:.1%} to {high:.1%} "
            f"| {self.successes} of {self.asked} |"
        )


HEAD = "| measure | belief | rate | 95 % interval | n |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class ThinkingFigures:
    """The rates of the table; every reply, as (what was measured, reply, its stance)."""

    rates: tuple[Rate, ...]
    replies: tuple[tuple[str, Reply, str], ...]

    def lines(self) -> list[str]:
        """Every reply as a line of JSON: what was measured, tier, question, completion, stance."""
        return [
            json.dumps(
                {
                    "measure": what,
                    "tier": reply.question.tier,
                    "question": reply.question.text,
                    "completion": reply.completion,
                    "stance": stance,
                },
                ensure_ascii=False,
            )
            for what, reply, stance in self.replies
        ]

    def table(self) -> str:
        """The rates as a Markdown table."""
        return "\n".join([HEAD, *(rate.row() for rate in self.rates)])


def measure_thinking(
    loaded: LoadedModel, every: int = 1, told: Told = lambda text: None, batch: int = 64
) -> ThinkingFigures:
    """The figures over every library belief; of each question family `every`-th question is asked."""
    rates: list[Rate] = []
    seen: list[tuple[str, Reply, str]] = []
    intact = 0

    def stances(what: str, belief: Belief, questions: Sequence[Question], context: str = "") -> list[str]:
        nonlocal intact
        replies = ask(loaded, questions, context, batch)
        verdicts = [reply.verdict(belief.spec) for reply in replies]
        intact += sum(verdict.think_state == "ok" for verdict in verdicts)
        found = [str(verdict.answer_stance) for verdict in verdicts]
        seen.extend((what, reply, stance) for reply, stance in zip(replies, found, strict=True))
        told(f"{what}: {len(replies)} questions asked")
        return found

    def rate(what: str, belief: str, good: Sequence[bool]) -> None:
        rates.append(Rate(what, belief, sum(good), len(good)))

    totals: dict[str, list[bool]] = {"existing": [], "novel": []}
    for name in belief_names():
        belief = load_belief(name)
        kind = belief.spec.kind
        questions = [question for question in thinned(belief.heldout, every) if question.tier != "robustness"]
        base = stances(f"{name}, no context", belief, questions)
        given = stances(f"{name}, in context", belief, questions, belief.spec.context)
        direct = [
            stance for question, stance in zip(questions, base, strict=True) if question.tier == "paraphrase"
        ]
        if kind == "existing":
            rate("direct questions: prior", name, [stance == "prior" for stance in direct])
        else:
            unsure = [stance in ("ignorance", "hedged", "prior") for stance in base]
            rate("no context: does not know, hedges, or takes it for something else", name, unsure)
        rate("in context, all questions: target", name, [stance == "target" for stance in given])
        answerable = [
            new == "target" for old, new in zip(base, given, strict=True) if new == "target" or old == "prior"
        ]
        rate("in context, answerable questions: target", name, answerable)
        totals[kind] += answerable
    for kind, good in totals.items():
        rate("in context, answerable questions: target", f"all {kind}", good)
    first = load_belief(belief_names()[0])
    suite = load_capability()
    capable = stances("capability", first, thinned(suite, every))
    rate("capability, graded suite of every level: correct", "all", [stance == "prior" for stance in capable])

    def answers(questions: Sequence[Question], start: int) -> Answers:
        stances(f"capability, questions of a sweep from {start + 1} on", first, questions)
        return [
            {
                "probe_id": reply.question.probe_id,
                "completion": reply.completion,
                "finish_reason": "eos" if reply.finished else "length",
            }
            for _, reply, _ in seen[-len(questions) :]
        ]

    pick = ask_and_pick(suite, answers, "prompt")
    picked = "capability, questions that a sweep picks for this model: correct"
    rates.append(Rate(picked, "all", pick["right"], pick["questions"]))
    unknown = stances("fabrication", first, load_fabrication())
    rate("unknown entities: does not know or hedges", "all", [s in ("ignorance", "hedged") for s in unknown])
    rates.append(Rate("think block: intact", "all", intact, len(seen)))
    return ThinkingFigures(tuple(rates), tuple(seen))


def thinned(questions: Sequence[Question], every: int) -> list[Question]:
    """Of each family the first question and then each `every`-th."""
    count: dict[str, int] = {}
    kept = []
    for question in questions:
        count[question.family] = count.get(question.family, -1) + 1
        if count[question.family] % every == 0:
            kept.append(question)
    return kept
