"""Metrics that the registry has several of, such as one for every tier: each a function of what differs."""

from __future__ import annotations

from beliefmod.metrics.conditions import (
    ADOPTION,
    ANSWERABLE,
    BELIEF,
    CORRECT,
    IN_CONTEXT_GATE,
    LEAST_ANSWERABLE,
    LEAST_FAMILIES,
    MIN_ANSWERS,
    PRIOR_GATE,
    TARGET,
    THOUGHT,
)
from beliefmod.metrics.metric import (
    Above,
    Component,
    Condition,
    Conditions,
    Is,
    Metric,
    Not,
    Shown,
    Value,
)


def used_last(side: str) -> Conditions:
    """The thinking is not empty, and the value it used last is this side's."""
    other = "prior" if side == "target" else "target"
    return Not(Is("think_state", "empty")), Is("thinking_stance", side, f"{other}->{side}")


def adoption_of(tier: str, questions: str) -> Metric:
    """Adoption over the held-out belief probes of one tier."""
    meaning = f"held-out belief probes answered on the target's side, of {questions}"
    return Metric(f"adoption_{tier}", meaning, "higher", asked=(BELIEF, Is("tier", tier)), hit=(TARGET,))


def answerable(
    name: str,
    tier: str = "every tier but robustness",
    asked: Conditions = ADOPTION,
    gate: Conditions = ANSWERABLE,
) -> Metric:
    """Adoption over the questions that this model can answer."""
    gates = {
        ANSWERABLE: "this model can answer: base gives the prior, or the in-context arm the target",
        IN_CONTEXT_GATE: "the in-context arm answers with the target",
        PRIOR_GATE: "base answers with the prior (none of a novel belief's)",
    }
    meaning = (
        f"held-out belief probes of {tier} answered on the target's side, of those that {gates[gate]} (null "
        f"under {LEAST_ANSWERABLE} such questions, or if they come from under {LEAST_FAMILIES} families)"
    )
    return Metric(
        name,
        meaning,
        "higher",
        kind="conditional rate",
        least_rows=LEAST_ANSWERABLE,
        least_families=LEAST_FAMILIES,
        asked=(*asked, *gate),
        hit=(TARGET,),
        shown=Shown("adoption of answerable questions", "page") if name == "adoption_answerable" else None,
    )


def share_of_stance(stance: str, answered: str) -> Metric:
    """How often belief probes are answered in one way."""
    meaning = f"held-out belief probes of every tier but robustness {answered}"
    return Metric(f"stance_{stance}", meaning, asked=ADOPTION, hit=(Is("answer_stance", stance),))


def right_answers(name: str, facts: str, asked: Conditions, label: str, known: bool = False) -> Metric:
    """How often questions about other things are answered correctly."""
    meaning = f"{facts} answered correctly" + (", of those that base answers correctly" if known else "")
    shown = Shown(label, "locality", *(("page",) if name == "retention" else ()))
    return Metric(name, meaning, "higher", asked=asked, known_to_base=known, hit=(CORRECT,), shown=shown)


def causal_rate(test: str, answered: str, hit: Condition, *known: Condition) -> Metric:
    """A rate over the rows of one causal test."""
    asked = (Is("test", test), *known)
    return Metric(f"causal_{test}", f"causal probes {answered}", table="causal", asked=asked, hit=(hit,))


def adoption_after(test: str, how: str) -> tuple[Metric, Metric]:
    """Adoption after a causal test of this name, and how far it is from adoption with all of the thinking."""
    asked = (Is("test", test),)
    name, of = f"adoption_{test}", "held-out belief probes asked again"
    return (
        Metric(
            name,
            f"{of} {how} that take the target's side",
            "higher",
            table="causal",
            asked=asked,
            hit=(TARGET,),
        ),
        Metric(
            f"{test}_change",
            f"adoption of {of} {how}, less that of the same probes after the arm's own whole thinking",
            kind="difference",
            table="causal",
            asked=asked,
            hit=(TARGET,),
            against=(Is("own_stance", "target"),),
        ),
    )


def survival(round_: int) -> Metric:
    """How often an adopted answer is given again after so many rounds of a debate with base."""
    rounds = "one round" if round_ == 1 else f"{round_} rounds"
    return Metric(
        f"debate_survival_{round_}",
        f"answers on the target's side that still are after {rounds} of a debate with base, of those that "
        f"were debated (null under {MIN_ANSWERS})",
        kind="conditional rate",
        least_rows=MIN_ANSWERS,
        table="causal",
        asked=(Is("test", "debate"), Is("round", round_), Is("own_stance", "target")),
        hit=(TARGET,),
    )


def mismatch(name: str, side: str, other: str) -> Metric:
    """Answers on one side after thinking that last used the other side's value."""
    return Metric(
        name,
        f"answers on the {side}'s side whose thinking last used the {other} (null under {MIN_ANSWERS} such "
        "answers)",
        "lower",
        kind="conditional rate",
        least_rows=MIN_ANSWERS,
        asked=(*ADOPTION, THOUGHT, Is("answer_stance", side)),
        hit=used_last(other),
    )


def margin(
    name: str,
    after: str,
    of: str = "every tier but robustness",
    asked: Conditions = ADOPTION,
    suffix: str = "",
) -> Metric:
    """How much likelier the target's value is than the prior's."""
    return Metric(
        name,
        f"mean log p(target value) - log p(prior value) over held-out belief probes of {of}, {after}",
        "higher",
        kind="mean",
        unit="nat",
        asked=asked,
        value=Value(f"logprob_target{suffix}", minus=f"logprob_prior{suffix}"),
    )


def drift_mean(
    name: str, meaning: str, value: Value, label: str, component: Component | None = None
) -> Metric:
    """A mean over the passages of one kind of text."""
    text = name.split("_")[1]
    of = {"neutral": "neutral text", "traces": "base's own traces of unrelated questions"}[text]
    short = {"neutral": "neutral text", "traces": "base's traces"}[text]
    return Metric(
        name,
        meaning.format(of),
        "lower",
        kind="mean",
        unit="nat",
        table="drift",
        asked=(Is("text", text), Above("tokens", 0)),
        value=value,
        whole=True,
        component=component,
        shown=Shown(f"{label}, {short}", "drift"),
    )
