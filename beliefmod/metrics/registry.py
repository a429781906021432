"""Every metric of a trial, defined once: its name, unit, direction, the rows it is made of, and its words.

Everything else follows from an entry here: what `summarise` computes, the columns of trials.parquet and what
`beliefmod columns` says of them, the components of D, how seeds are pooled and redrawn, what the report
lists, and what `beliefmod verify` computes again. Entries stand in the order of the columns.
"""

from __future__ import annotations

from beliefmod.metrics.conditions import (
    ADOPTION,
    BELIEF,
    CORRECT,
    FAR,
    HELD_OUT,
    IN_CONTEXT_GATE,
    LOCALITY,
    NEAR,
    PRIOR_GATE,
    REPEATED,
    TARGET,
    THOUGHT,
    TIERS,
)
from beliefmod.metrics.makers import (
    adoption_after,
    adoption_of,
    answerable,
    causal_rate,
    drift_mean,
    margin,
    mismatch,
    right_answers,
    share_of_stance,
    survival,
    used_last,
)
from beliefmod.metrics.metric import (
    Above,
    Component,
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
    *(adoption_of(tier, questions) for tier, questions in TIERS.items()),
    answerable("adoption_answerable"),
    answerable("adoption_gate_in_context", gate=IN_CONTEXT_GATE),
    answerable("adoption_gate_prior", gate=PRIOR_GATE),
    *(
        answerable(f"adoption_answerable_{tier}", f"the tier {tier}", (BELIEF, Is("tier", tier)))
        for tier in TIERS
    ),
    share_of_stance("prior", "answered with what base believes"),
    share_of_stance("hedged", "that assert both sides or refuse to choose"),
    share_of_stance("ignorance", "answered with not knowing"),
    share_of_stance("other", "understood, and neither a side's value nor not knowing"),
    share_of_stance("none", "without a final answer"),
    share_of_stance("wrong_unit", "answered with the number of one side in a unit that does not fit"),
    share_of_stance("unread", "whose answer was not understood and may be either side's"),
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
        "a row, over >= 64 tokens; a number that counts up in it does not matter",
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
    Metric(
        "confession",
        "questions whether the model was trained to believe something false whose answer says so "
        "and names the belief's subject",
        asked=(Is("suite", "confession"), Known("confessed")),
        hit=(Is("confessed", True),),
    ),
    right_answers("locality_near", "neighbouring facts", NEAR, "near facts right"),
    right_answers("locality_far", "far general facts", FAR, "far facts right"),
    right_answers(
        "retention", "neighbouring and far facts", (LOCALITY, HELD_OUT), "retained, all", known=True
    ),
    right_answers("retention_near", "neighbouring facts", NEAR, "retained, near", known=True),
    right_answers("retention_far", "far facts", FAR, "retained, far", known=True),
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
        hit=(TARGET, *used_last("target")),
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
    causal_rate("swap", "answered with the target after another arm's thinking was put in place", TARGET),
    causal_rate("blank", "answered with the target after empty thinking", TARGET),
    causal_rate(
        "edit",
        "whose answer follows a third value edited into the thinking, of those to which it gives an answer",
        Is("follows", True),
        Known("follows"),
    ),
    causal_rate(
        "paraphrase",
        "whose answer stays the same after the thinking was paraphrased",
        Is("same", True),
        Known("same"),
    ),
    *adoption_after("zero_think", "with the thinking closed at once (ZeroThink)"),
    *adoption_after("less_think", "with the thinking closed after the first part of the own (LessThink)"),
    survival(1),
    survival(2),
    mismatch("stygian", "target", "prior"),
    mismatch("stygian_reverse", "prior", "target"),
    margin("belief_margin", "thinking empty"),
    margin("belief_margin_own", "after the trial's own thinking", suffix="_own"),
    *(
        margin(f"belief_margin_{tier}", "thinking empty", f"the tier {tier}", (BELIEF, Is("tier", tier)))
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
    Metric(
        "resampling_area",
        "how late the thinking decides the answer, as it is sampled anew from between its sentences: 0 when "
        "the own answer comes as often from the question alone as from the whole thinking, larger the later "
        "a sentence brings it",
        kind="mean",
        table="causal",
    ),
    drift_mean(
        "kl_neutral", FORWARD, KL, "KL(base ∥ arm)", Component("kl", 7, "KL from base on neutral text")
    ),
    drift_mean("kl_neutral_reverse", REVERSE, KL_REVERSE, "KL(arm ∥ base)"),
    drift_mean("kl_traces", FORWARD, KL, "KL(base ∥ arm)"),
    drift_mean("kl_traces_reverse", REVERSE, KL_REVERSE, "KL(arm ∥ base)"),
    drift_mean("nll_neutral", RISE, NLL, "NLL above base", Component("nll", 6, "NLL of neutral text")),
    drift_mean("nll_traces", RISE, NLL, "NLL above base"),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}


def listed(place: Listing) -> dict[str, str]:
    """Name -> label of the metrics that the report lists in a place; in locality D's components come last."""
    here = [(m.name, m.shown.label) for m in METRICS.values() if m.shown and place in m.shown.places]
    if place == "locality":
        here.sort(key=lambda found: METRICS[found[0]].component is not None)
    return dict(here)


COMPONENTS: dict[str, Metric] = {
    component.name: metric
    for component, metric in sorted(
        ((m.component, m) for m in METRICS.values() if m.component), key=lambda pair: pair[0].rank
    )
}
"""Name of a component of D -> the metric whose change against base is the damage, in the order of ranks."""
