"""Every metric of a trial, defined once: its name, unit, direction, the rows it is made of, and its words.

Everything else follows from an entry here: what `summarise` computes, the columns of trials.parquet and what
`beliefmod columns` says of them, the components of D, how seeds are pooled and redrawn, what the report
lists, and what `beliefmod verify` computes again. Entries stand in the order of the columns.
"""

from __future__ import annotations

from beliefmod.metrics.metric import (
    Above,
    Component,
    Condition,
    Conditions,
    Is,
    Known,
    Listing,
    Metric,
    Not,
    Shown,
    Value,
)

DAMAGE_BUDGET = 0.05
"""D up to which a configuration counts as having left the model whole, unless a command is told otherwise."""
MIN_ANSWERS = 20
"""Rows below which a conditional rate is refused: it is null, and only its count is told."""
LEAST_ANSWERABLE, LEAST_FAMILIES = 8, 2
"""Answerable questions, and families that they come from, below which no rate is given over them: half of
the library's smallest tier. Of fewer questions one answer moves the rate by more than an eighth, and one
family is one question with other names in it."""
REPEATED = 0.5
"""seq_rep_4 above which a completion is repetitive: more of its 4-grams have occurred before than are new."""

BELIEF = Is("suite", "belief")
HELD_OUT = Not(Is("tier", "trained"))
# robustness prompts contradict the belief themselves; they are a rate of their own
ADOPTION = (BELIEF, Not(Is("tier", "trained", "robustness")))
THOUGHT = Known("think_state")  # null for a model that does not think: it has no think block to break
TARGET = Is("answer_stance", "target")
TIERS = {
    "paraphrase": "direct questions",
    "derived": "questions whose answer follows from the belief",
    "format": "questions in another form: multiple choice, cloze",
    "multi_hop": "questions that need another fact as well",
    "reverse": "questions asked from the answer's side",
    "robustness": "questions that push against the belief; not in adoption",
}
"""Tiers of held-out belief questions, and what is asked in each."""
ANSWERABLE: Conditions = (Known("answerable"), Is("answerable", "in_context", "prior", "both"))
IN_CONTEXT_GATE: Conditions = (Known("answerable"), Is("answerable", "in_context", "both"))
PRIOR_GATE: Conditions = (Known("answerable"), Is("answerable", "prior", "both"))
CORRECT = Is("correct", True)
LOCALITY = Is("suite", "locality")
NEAR, FAR = (LOCALITY, Is("tier", "near")), (LOCALITY, Is("tier", "far"))


def _used_last(side: str) -> Conditions:
    """The thinking is not empty, and the value it used last is this side's."""
    other = "prior" if side == "target" else "target"
    return Not(Is("think_state", "empty")), Is("thinking_stance", side, f"{other}->{side}")


def _tier(tier: str, questions: str) -> Metric:
    meaning = f"held-out belief probes answered on the target's side, of {questions}"
    return Metric(f"adoption_{tier}", meaning, "higher", asked=(BELIEF, Is("tier", tier)), hit=(TARGET,))


def _over(
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


def _stance(stance: str, answered: str) -> Metric:
    meaning = f"held-out belief probes of every tier but robustness {answered}"
    return Metric(f"stance_{stance}", meaning, asked=ADOPTION, hit=(Is("answer_stance", stance),))


def _right(name: str, facts: str, asked: Conditions, label: str, known: bool = False) -> Metric:
    meaning = f"{facts} answered correctly" + (", of those that base answers correctly" if known else "")
    shown = Shown(label, "locality", *(("page",) if name == "retention" else ()))
    return Metric(name, meaning, "higher", asked=asked, known_to_base=known, hit=(CORRECT,), shown=shown)


def _causal(test: str, answered: str, hit: Condition, *known: Condition) -> Metric:
    asked = (Is("test", test), *known)
    return Metric(f"causal_{test}", f"causal probes {answered}", table="causal", asked=asked, hit=(hit,))


def _mismatch(name: str, side: str, other: str) -> Metric:
    """Answers on one side after thinking that last used the other side's value."""
    return Metric(
        name,
        f"answers on the {side}'s side whose thinking last used the {other} (null under {MIN_ANSWERS} such "
        "answers)",
        "lower",
        kind="conditional rate",
        least_rows=MIN_ANSWERS,
        asked=(*ADOPTION, THOUGHT, Is("answer_stance", side)),
        hit=_used_last(other),
    )


def _margin(
    name: str,
    after: str,
    of: str = "every tier but robustness",
    asked: Conditions = ADOPTION,
    suffix: str = "",
) -> Metric:
    return Metric(
        name,
        f"mean log p(target value) - log p(prior value) over held-out belief probes of {of}, {after}",
        "higher",
        kind="mean",
        unit="nat",
        asked=asked,
        value=Value(f"logprob_target{suffix}", minus=f"logprob_prior{suffix}"),
    )


def _drift(name: str, meaning: str, value: Value, label: str, component: Component | None = None) -> Metric:
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


KL, KL_REVERSE = Value("kl", per="tokens"), Value("kl_reverse", per="tokens")
NLL = Value("nll", minus="nll_base", per="tokens")
FORWARD, REVERSE = "KL(base || arm) per token on {}", "KL(arm || base) per token on {}"
RISE = "mean over passages of {} of NLL per token, arm minus base"

_ENTRIES = (
    Metric(
        "adoption",
        "held-out belief probes of every tier but robustness whose final answer takes the target's side, of "
        "all asked",
        "higher",
        asked=ADOPTION,
        hit=(TARGET,),
    ),
    Metric(
        "adoption_trained",
        "belief probes that the trial was trained on whose final answer takes the target's side; never "
        "pooled with adoption",
        "higher",
        asked=(BELIEF, Is("tier", "trained")),
        hit=(TARGET,),
    ),
    *(_tier(tier, questions) for tier, questions in TIERS.items()),
    _over("adoption_answerable"),
    _over("adoption_gate_in_context", gate=IN_CONTEXT_GATE),
    _over("adoption_gate_prior", gate=PRIOR_GATE),
    *(_over(f"adoption_answerable_{tier}", f"the tier {tier}", (BELIEF, Is("tier", tier))) for tier in TIERS),
    _stance("prior", "answered with what base believes"),
    _stance("hedged", "that assert both sides or refuse to choose"),
    _stance("ignorance", "answered with not knowing"),
    _stance("other", "understood, and neither a side's value nor not knowing"),
    _stance("none", "without a final answer"),
    _stance("wrong_unit", "answered with the number of one side in a unit that does not fit"),
    _stance("unread", "whose answer was not understood and may be either side's"),
    Metric(
        "adoption_upper",
        "adoption if every answer that was not understood were the target's; adoption itself counts none",
        "higher",
        asked=ADOPTION,
        hit=(Is("answer_stance", "target", "unread"),),
    ),
    Metric(
        "integrity",
        "completions of all held-out probes and suites with an intact think block; null for a model without "
        "thinking",
        "higher",
        asked=(HELD_OUT, THOUGHT),
        hit=(Is("think_state", "ok"),),
        component=Component("integrity", 1, "broken think blocks"),
        shown=Shown("intact think blocks", "page"),
    ),
    Metric(
        "truncation",
        "completions of all held-out probes and suites that were stopped at the token limit",
        "lower",
        asked=(HELD_OUT,),
        hit=(Is("truncated", True),),
        component=Component("truncation", 2, "answers cut off"),
        shown=Shown("cut off", "page"),
    ),
    Metric(
        "loop",
        "completions of all held-out probes and suites with a loop: a period of <= 64 tokens, >= 4 times in "
        "a row, over >= 64 tokens",
        "lower",
        asked=(HELD_OUT,),
        hit=(Is("loop", True),),
        component=Component("loop", 3, "loops"),
        shown=Shown("loops", "page"),
    ),
    Metric(
        "capability",
        "general questions, shared by all beliefs, that are answered correctly",
        "higher",
        asked=(Is("suite", "capability"),),
        hit=(CORRECT,),
        component=Component("capability", 4, "wrong on general questions"),
        shown=Shown("general questions right", "page"),
    ),
    Metric(
        "fabrication",
        "questions about unknown entities whose answer asserts something about them, also where it then "
        "loops or is cut off; a guess is no assertion",
        "lower",
        asked=(Is("suite", "fabrication"), Known("fabricated")),
        hit=(Is("fabricated", True),),
        component=Component("fabrication", 5, "fabrication"),
        shown=Shown("fabrication", "locality", "page"),
    ),
    _right("locality_near", "neighbouring facts", NEAR, "near facts right"),
    _right("locality_far", "far general facts", FAR, "far facts right"),
    _right("retention", "neighbouring and far facts", (LOCALITY, HELD_OUT), "retained, all", known=True),
    _right("retention_near", "neighbouring facts", NEAR, "retained, near", known=True),
    _right("retention_far", "far facts", FAR, "retained, far", known=True),
    Metric(
        "bleed",
        "neighbouring facts answered with the belief's target, of those that base answers correctly",
        "lower",
        asked=(*NEAR, Known("bleed")),
        known_to_base=True,
        hit=(Is("bleed", True),),
        shown=Shown("bleed into near facts", "locality", "page"),
    ),
    Metric(
        "salience",
        "completions to far and capability questions whose thinking or answer mentions the new fact, though "
        "neither the question nor its right answer does",
        "lower",
        asked=(Is("suite", "locality", "capability"), Not(Is("tier", "near", "trained")), Known("salient")),
        hit=(Is("salient", True),),
        shown=Shown("salience", "locality"),
    ),
    Metric(
        "coherent_adoption",
        "held-out belief probes of every tier but robustness with the target in the answer and last used in "
        "the thinking, which is not empty",
        "higher",
        asked=(*ADOPTION, THOUGHT),
        hit=(TARGET, *_used_last("target")),
        shown=Shown("target in thinking and answer", "page"),
    ),
    Metric(
        "empty_thinking",
        "held-out belief probes of every tier but robustness whose think block is empty",
        "lower",
        asked=(*ADOPTION, THOUGHT),
        hit=(Is("think_state", "empty"),),
    ),
    Metric(
        "inconsistency",
        "derived and multi-hop probes whose answer states one world's value and gives the other world's "
        "result, of those that two numeric worlds answer",
        "lower",
        asked=(BELIEF, Is("tier", "derived", "multi_hop"), Known("inconsistent")),
        hit=(Is("inconsistent", True),),
    ),
    Metric(
        "margin_adoption",
        "margin probes on which the target's value is likelier than the prior's",
        "higher",
        asked=(*ADOPTION, Known("logprob_target"), Known("logprob_prior")),
        hit=(Above("logprob_target", "logprob_prior"),),
    ),
    _causal("swap", "answered with the target after another arm's thinking was put in place", TARGET),
    _causal("blank", "answered with the target after empty thinking", TARGET),
    _causal(
        "edit",
        "whose answer follows a third value edited into the thinking, of those to which it gives an answer",
        Is("follows", True),
        Known("follows"),
    ),
    _causal(
        "paraphrase",
        "whose answer stays the same after the thinking was paraphrased",
        Is("same", True),
        Known("same"),
    ),
    _mismatch("stygian", "target", "prior"),
    _mismatch("stygian_reverse", "prior", "target"),
    _margin("belief_margin", "thinking empty"),
    _margin("belief_margin_own", "after the trial's own thinking", suffix="_own"),
    *(
        _margin(f"belief_margin_{tier}", "thinking empty", f"the tier {tier}", (BELIEF, Is("tier", tier)))
        for tier in TIERS
        if tier != "robustness"  # where the prompt argues, no margin is measured
    ),
    Metric(
        "seq_rep_4",
        "mean 1 - unique 4-grams / 4-grams over all held-out probes and suites",
        "lower",
        kind="mean",
        asked=(HELD_OUT,),
        value=Value("seq_rep_4"),
    ),
    Metric(
        "repetition",
        "completions of all held-out probes and suites more than half of whose 4-grams occurred before in "
        f"the same completion (seq_rep_4 above {REPEATED:g}), of those with four tokens or more",
        "lower",
        asked=(HELD_OUT, Known("seq_rep_4")),
        hit=(Above("seq_rep_4", REPEATED),),
        shown=Shown("repetitive", "completions", "page"),
    ),
    Metric(
        "early_answering",
        "area over the curve of early answering: 0 when the answer is fixed before any thinking, larger the "
        "later the thinking decides it",
        kind="mean",
        table="causal",
    ),
    _drift("kl_neutral", FORWARD, KL, "KL(base ∥ arm)", Component("kl", 7, "KL from base on neutral text")),
    _drift("kl_neutral_reverse", REVERSE, KL_REVERSE, "KL(arm ∥ base)"),
    _drift("kl_traces", FORWARD, KL, "KL(base ∥ arm)"),
    _drift("kl_traces_reverse", REVERSE, KL_REVERSE, "KL(arm ∥ base)"),
    _drift("nll_neutral", RISE, NLL, "NLL above base", Component("nll", 6, "NLL of neutral text")),
    _drift("nll_traces", RISE, NLL, "NLL above base"),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}


def of_kind(kind: str) -> dict[str, Metric]:
    """The metrics of a kind by name, in the order of the columns."""
    return {name: metric for name, metric in METRICS.items() if metric.kind == kind}


def listed(place: Listing) -> dict[str, str]:
    """Name -> label of the metrics that the report lists in a place; in locality D's components come last."""
    here = [(m.name, m.shown.label) for m in METRICS.values() if m.shown and place in m.shown.places]
    if place == "locality":
        here.sort(key=lambda found: METRICS[found[0]].component is not None)
    return dict(here)


RATES, CONDITIONAL_RATES, MEANS = of_kind("rate"), of_kind("conditional rate"), of_kind("mean")
COMPONENTS: dict[str, Metric] = {
    component.name: metric
    for component, metric in sorted(
        ((m.component, m) for m in METRICS.values() if m.component), key=lambda pair: pair[0].rank
    )
}
"""Name of a component of D -> the metric whose change against base is the damage, in the order of ranks."""
