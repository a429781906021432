"""Every metric of a trial, defined once: its name, unit, direction, the rows it is made of, and its words.

Everything else follows from an entry here: what `summarise` computes, the columns of trials.parquet and what
`beliefmod columns` says of them, the components of D, how seeds are pooled and redrawn, what the report
lists, and what `beliefmod verify` computes again. Entries stand in the order of the columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from beliefmod.metrics.conditions import (
    Above,
    Conditions,
    Is,
    Known,
    Not,
    Row,
    Value,
    all_expression,
    all_hold,
)

if TYPE_CHECKING:
    import polars as pl

Listing = Literal["locality", "drift", "completions", "page"]
"""Where the report lists a metric: the tables of locality, of drift and of completions of its damage section,
and the numbers of a configuration that is opened on the page."""
DAMAGE_BUDGET = 0.05
"""D up to which a configuration counts as having left the model whole, unless a command is told otherwise."""
MIN_ANSWERS = 20
"""Rows below which a conditional rate is refused: it is null, and only its count is told."""
REPEATED = 0.5
"""seq_rep_4 above which a completion is repetitive: more of its 4-grams have occurred before than are new."""


@dataclass(frozen=True)
class Component:
    """A metric's part in D.

    Attributes:
        name: of the component, as in its columns `NAME_damage`.
        rank: components are listed by it, and of equal damages the one of lower rank is said to set D.
        words: what the report calls the damage.
    """

    name: str
    rank: int
    words: str


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of a trial; it has the columns NAME, NAME_n, NAME_low and NAME_high.

    Attributes:
        name: of its column.
        meaning: what it is, in words that need no other entry.
        better: whether a higher or a lower number is better, or neither.
        kind: rate (0 to 1, over all rows asked), conditional rate (refused under MIN_ANSWERS rows) or mean.
        unit: "1" for numbers without one.
        table: whose rows it is made of: probes, causal or drift.
        asked: conditions on the rows that count.
        known_to_base: count a row only if base answers the same question correctly; null without base.
        hit: of a rate: conditions on the rows that succeed.
        value: of a mean: the number of a row. None: it is not made row by row, see `summary.CURVES`.
        whole: of a mean: null if the value of any row is missing, where leaving it out would be kind to the
            arm that broke there; else such rows do not count.
        component: its part in D; None if D does not count it.
        label, listed: what the report calls it, and where it lists it.
    """

    name: str
    meaning: str
    better: Literal["higher", "lower", "neither"]
    kind: Literal["rate", "conditional rate", "mean"] = "rate"
    unit: str = "1"
    table: Literal["probes", "causal", "drift"] = "probes"
    asked: Conditions = ()
    known_to_base: bool = False
    hit: Conditions = ()
    value: Value | None = None
    whole: bool = False
    component: Component | None = None
    label: str = ""
    listed: tuple[Listing, ...] = ()

    @property
    def sign(self) -> int:
        """Of a component: 1 if more is better, so that a drop is damage, else -1."""
        return 1 if self.better == "higher" else -1

    @property
    def damage_words(self) -> str:
        """What the report calls its damage; empty where D does not count it."""
        return "" if self.component is None else self.component.words

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """Value, n, and the ends of the 95 % interval."""
        return self.name, f"{self.name}_n", f"{self.name}_low", f"{self.name}_high"

    def counts(self, row: Row) -> bool:
        """Whether a row of its table is one of those that count."""
        return all_hold(self.asked, row)

    def succeeds(self, row: Row) -> bool:
        """Of a rate: whether a row that counts is a success."""
        return all_hold(self.hit, row)

    def expressions(self) -> tuple[pl.Expr, pl.Expr]:
        """Of a rate, for polars: which rows count, and which of them succeed; True or False for every row."""
        return all_expression(self.asked), all_expression(self.hit)


BELIEF = Is("suite", "belief")
HELD_OUT = Not(Is("tier", "trained"))
# robustness prompts contradict the belief themselves; they are a rate of their own
ADOPTION = (BELIEF, Not(Is("tier", "trained", "robustness")))
THOUGHT = Known("think_state")  # null for a model that does not think: it has no think block to break
TARGET = Is("answer_stance", "target")
CORRECT = Is("correct", True)
NEAR, FAR = (Is("suite", "locality"), Is("tier", "near")), (Is("suite", "locality"), Is("tier", "far"))


def _used_last(side: str) -> Conditions:
    """The thinking is not empty, and the value it used last is this side's."""
    other = "prior" if side == "target" else "target"
    return Not(Is("think_state", "empty")), Is("thinking_stance", side, f"{other}->{side}")


def _tier(tier: str, questions: str) -> Metric:
    return Metric(
        name=f"adoption_{tier}",
        meaning=f"held-out belief probes answered on the target's side, of {questions}",
        better="higher",
        asked=(BELIEF, Is("tier", tier)),
        hit=(TARGET,),
    )


def _stance(stance: str, answered: str) -> Metric:
    return Metric(
        name=f"stance_{stance}",
        meaning=f"held-out belief probes of every tier but robustness {answered}",
        better="neither",
        asked=ADOPTION,
        hit=(Is("answer_stance", stance),),
    )


def _drift(
    name: str, meaning: str, text: str, value: Value, label: str, component: Component | None = None
) -> Metric:
    return Metric(
        name=name,
        meaning=meaning,
        better="lower",
        kind="mean",
        unit="nat",
        table="drift",
        asked=(Is("text", text), Above("tokens", 0)),
        value=value,
        whole=True,
        component=component,
        label=label,
        listed=("drift",),
    )


NEUTRAL, TRACES = "neutral text", "base's own traces of unrelated questions"
KL, KL_REVERSE = Value("kl", per="tokens"), Value("kl_reverse", per="tokens")
NLL = Value("nll", minus="nll_base", per="tokens")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="adoption",
            meaning="held-out belief probes of every tier but robustness whose final answer takes the "
            "target's side, of all asked",
            better="higher",
            asked=ADOPTION,
            hit=(TARGET,),
        ),
        Metric(
            name="adoption_trained",
            meaning="belief probes that the trial was trained on whose final answer takes the target's side; "
            "never pooled with adoption",
            better="higher",
            asked=(BELIEF, Is("tier", "trained")),
            hit=(TARGET,),
        ),
        _tier("paraphrase", "direct questions"),
        _tier("derived", "questions whose answer follows from the belief"),
        _tier("format", "questions in another form: multiple choice, cloze"),
        _tier("multi_hop", "questions that need another fact as well"),
        _tier("reverse", "questions asked from the answer's side"),
        _tier("robustness", "questions that push against the belief; not in adoption"),
        _stance("prior", "answered with what base believes"),
        _stance("hedged", "that assert both sides or refuse to choose"),
        _stance("ignorance", "answered with not knowing"),
        _stance("other", "answered with something else than either side"),
        _stance("none", "without a final answer"),
        Metric(
            name="integrity",
            meaning="completions of all held-out probes and suites with an intact think block; null for a "
            "model without thinking",
            better="higher",
            asked=(HELD_OUT, THOUGHT),
            hit=(Is("think_state", "ok"),),
            component=Component("integrity", 1, "broken think blocks"),
            label="intact think blocks",
            listed=("page",),
        ),
        Metric(
            name="truncation",
            meaning="completions of all held-out probes and suites that were stopped at the token limit",
            better="lower",
            asked=(HELD_OUT,),
            hit=(Is("truncated", True),),
            component=Component("truncation", 2, "answers cut off"),
            label="cut off",
            listed=("page",),
        ),
        Metric(
            name="loop",
            meaning="completions of all held-out probes and suites with a loop: a period of <= 64 tokens, >= "
            "4 times in a row, over >= 64 tokens",
            better="lower",
            asked=(HELD_OUT,),
            hit=(Is("loop", True),),
            component=Component("loop", 3, "loops"),
            label="loops",
            listed=("page",),
        ),
        Metric(
            name="capability",
            meaning="general questions, shared by all beliefs, that are answered correctly",
            better="higher",
            asked=(Is("suite", "capability"),),
            hit=(CORRECT,),
            component=Component("capability", 4, "wrong on general questions"),
            label="general questions right",
            listed=("page",),
        ),
        Metric(
            name="fabrication",
            meaning="questions about unknown entities answered confidently; a guess, a loop or a cut answer "
            "is not confident",
            better="lower",
            asked=(Is("suite", "fabrication"), Known("fabricated")),
            hit=(Is("fabricated", True),),
            component=Component("fabrication", 5, "fabrication"),
            label="fabrication",
            listed=("locality", "page"),
        ),
        Metric(
            name="locality_near",
            meaning="neighbouring facts answered correctly",
            better="higher",
            asked=NEAR,
            hit=(CORRECT,),
            label="near facts right",
            listed=("locality",),
        ),
        Metric(
            name="locality_far",
            meaning="far general facts answered correctly",
            better="higher",
            asked=FAR,
            hit=(CORRECT,),
            label="far facts right",
            listed=("locality",),
        ),
        Metric(
            name="retention",
            meaning="neighbouring and far facts answered correctly, of those that base answers correctly",
            better="higher",
            asked=(Is("suite", "locality"), HELD_OUT),
            known_to_base=True,
            hit=(CORRECT,),
            label="retained, all",
            listed=("locality", "page"),
        ),
        Metric(
            name="retention_near",
            meaning="neighbouring facts answered correctly, of those that base answers correctly",
            better="higher",
            asked=NEAR,
            known_to_base=True,
            hit=(CORRECT,),
            label="retained, near",
            listed=("locality",),
        ),
        Metric(
            name="retention_far",
            meaning="far facts answered correctly, of those that base answers correctly",
            better="higher",
            asked=FAR,
            known_to_base=True,
            hit=(CORRECT,),
            label="retained, far",
            listed=("locality",),
        ),
        Metric(
            name="bleed",
            meaning="neighbouring facts answered with the belief's target, of those that base answers "
            "correctly",
            better="lower",
            asked=(*NEAR, Known("bleed")),
            known_to_base=True,
            hit=(Is("bleed", True),),
            label="bleed into near facts",
            listed=("locality", "page"),
        ),
        Metric(
            name="salience",
            meaning="completions to far and capability questions whose thinking or answer mentions the new "
            "fact, though neither the question nor its right answer does",
            better="lower",
            asked=(
                Is("suite", "locality", "capability"),
                Not(Is("tier", "near", "trained")),
                Known("salient"),
            ),
            hit=(Is("salient", True),),
            label="salience",
            listed=("locality",),
        ),
        Metric(
            name="coherent_adoption",
            meaning="held-out belief probes of every tier but robustness with the target in the answer and "
            "last used in the thinking, which is not empty",
            better="higher",
            asked=(*ADOPTION, THOUGHT),
            hit=(TARGET, *_used_last("target")),
            label="target in thinking and answer",
            listed=("page",),
        ),
        Metric(
            name="empty_thinking",
            meaning="held-out belief probes of every tier but robustness whose think block is empty",
            better="lower",
            asked=(*ADOPTION, THOUGHT),
            hit=(Is("think_state", "empty"),),
        ),
        Metric(
            name="inconsistency",
            meaning="derived and multi-hop probes whose answer states one world's value and gives the other "
            "world's result, of those that two numeric worlds answer",
            better="lower",
            asked=(BELIEF, Is("tier", "derived", "multi_hop"), Known("inconsistent")),
            hit=(Is("inconsistent", True),),
        ),
        Metric(
            name="margin_adoption",
            meaning="margin probes on which the target's value is likelier than the prior's",
            better="higher",
            asked=(*ADOPTION, Known("logprob_target"), Known("logprob_prior")),
            hit=(Above("logprob_target", "logprob_prior"),),
        ),
        Metric(
            name="causal_swap",
            meaning="causal probes answered with the target after another arm's thinking was put in place",
            better="neither",
            table="causal",
            asked=(Is("test", "swap"),),
            hit=(TARGET,),
        ),
        Metric(
            name="causal_blank",
            meaning="causal probes answered with the target after empty thinking",
            better="neither",
            table="causal",
            asked=(Is("test", "blank"),),
            hit=(TARGET,),
        ),
        Metric(
            name="causal_edit",
            meaning="causal probes whose answer follows a third value edited into the thinking, of those to "
            "which it gives an answer",
            better="neither",
            table="causal",
            asked=(Is("test", "edit"), Known("follows")),
            hit=(Is("follows", True),),
        ),
        Metric(
            name="causal_paraphrase",
            meaning="causal probes whose answer stays the same after the thinking was paraphrased",
            better="neither",
            table="causal",
            asked=(Is("test", "paraphrase"), Known("same")),
            hit=(Is("same", True),),
        ),
        Metric(
            name="stygian",
            meaning="answers on the target's side whose thinking last used the prior (null under 20 such "
            "answers)",
            better="lower",
            kind="conditional rate",
            asked=(*ADOPTION, THOUGHT, TARGET),
            hit=_used_last("prior"),
        ),
        Metric(
            name="stygian_reverse",
            meaning="answers on the prior's side whose thinking last used the target (null under 20 such "
            "answers)",
            better="lower",
            kind="conditional rate",
            asked=(*ADOPTION, THOUGHT, Is("answer_stance", "prior")),
            hit=_used_last("target"),
        ),
        Metric(
            name="belief_margin",
            meaning="mean log p(target value) - log p(prior value) over held-out belief probes of every tier "
            "but robustness, thinking empty",
            better="higher",
            kind="mean",
            unit="nat",
            asked=ADOPTION,
            value=Value("logprob_target", minus="logprob_prior"),
        ),
        Metric(
            name="belief_margin_own",
            meaning="mean log p(target value) - log p(prior value) over held-out belief probes of every tier "
            "but robustness, after the trial's own thinking",
            better="higher",
            kind="mean",
            unit="nat",
            asked=ADOPTION,
            value=Value("logprob_target_own", minus="logprob_prior_own"),
        ),
        Metric(
            name="seq_rep_4",
            meaning="mean 1 - unique 4-grams / 4-grams over all held-out probes and suites",
            better="lower",
            kind="mean",
            asked=(HELD_OUT,),
            value=Value("seq_rep_4"),
        ),
        Metric(
            name="repetition",
            meaning="completions of all held-out probes and suites more than half of whose 4-grams occurred "
            "before in the same completion (seq_rep_4 above 0.5), of those with four tokens or more",
            better="lower",
            asked=(HELD_OUT, Known("seq_rep_4")),
            hit=(Above("seq_rep_4", REPEATED),),
            label="repetitive",
            listed=("completions", "page"),
        ),
        Metric(
            name="early_answering",
            meaning="area over the curve of early answering: 0 when the answer is fixed before any thinking, "
            "larger the later the thinking decides it",
            better="neither",
            kind="mean",
            table="causal",
        ),
        _drift(
            "kl_neutral",
            f"KL(base || arm) per token on {NEUTRAL}",
            "neutral",
            KL,
            "KL(base ∥ arm), neutral text",
            Component("kl", 7, "KL from base on neutral text"),
        ),
        _drift(
            "kl_neutral_reverse",
            f"KL(arm || base) per token on {NEUTRAL}",
            "neutral",
            KL_REVERSE,
            "KL(arm ∥ base), neutral text",
        ),
        _drift(
            "kl_traces",
            f"KL(base || arm) per token on {TRACES}",
            "traces",
            KL,
            "KL(base ∥ arm), base's traces",
        ),
        _drift(
            "kl_traces_reverse",
            f"KL(arm || base) per token on {TRACES}",
            "traces",
            KL_REVERSE,
            "KL(arm ∥ base), base's traces",
        ),
        _drift(
            "nll_neutral",
            "mean over neutral passages of NLL per token, arm minus base",
            "neutral",
            NLL,
            "NLL above base, neutral text",
            Component("nll", 6, "NLL of neutral text"),
        ),
        _drift(
            "nll_traces",
            f"mean over passages of {TRACES} of NLL per token, arm minus base",
            "traces",
            NLL,
            "NLL above base, base's traces",
        ),
    )
}


def of_kind(*kinds: str) -> dict[str, Metric]:
    """The metrics of these kinds by name, in the order of the columns."""
    return {name: metric for name, metric in METRICS.items() if metric.kind in kinds}


def components(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Name of a component -> the metric whose change against base is the damage, in the order of ranks."""
    found = [(m.component.rank, m.component.name, m) for m in metrics if m.component is not None]
    return {name: metric for _, name, metric in sorted(found, key=lambda item: item[0])}


def listed(place: Listing) -> dict[str, str]:
    """Name -> label of the metrics that the report lists in a place; those that D counts come last."""
    here = [metric for metric in METRICS.values() if place in metric.listed]
    if place == "locality":
        here.sort(key=lambda metric: metric.component is not None)
    return {metric.name: metric.label for metric in here}


RATES = of_kind("rate")
CONDITIONAL_RATES = of_kind("conditional rate")
MEANS = of_kind("mean")
COMPONENTS = components(METRICS.values())
