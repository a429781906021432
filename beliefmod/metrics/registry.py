"""Every metric of a trial by name, with what it means. `records.py` makes columns of them."""

from __future__ import annotations

RATES: dict[str, str] = {
    "adoption": "held-out belief probes of every tier but robustness whose final answer takes the target's "
    "side, of all asked",
    "adoption_trained": "the same on questions the trial was trained on; never pooled with adoption",
    "adoption_paraphrase": "adoption on held-out direct questions",
    "adoption_derived": "adoption on held-out questions whose answer follows from the belief",
    "adoption_format": "adoption on held-out questions in another form: multiple choice, cloze",
    "adoption_multi_hop": "adoption on held-out questions that need another fact as well",
    "adoption_reverse": "adoption on held-out questions asked from the answer's side",
    "adoption_robustness": "adoption on held-out questions that push against the belief; not in adoption",
    "stance_prior": "probes of adoption answered with what base believes",
    "stance_hedged": "probes of adoption that assert both or refuse to choose",
    "stance_ignorance": "probes of adoption answered with not knowing",
    "stance_other": "probes of adoption answered with something else",
    "stance_none": "probes of adoption without a final answer",
    "integrity": "completions of all held-out probes and suites with an intact think block; null for a model "
    "without thinking",
    "truncation": "completions stopped at the token limit",
    "loop": "completions with a loop: a period of <= 64 tokens, >= 4 times in a row, over >= 64 tokens",
    "capability": "shared capability questions answered correctly",
    "fabrication": "questions about unknown entities answered confidently; a guess, a loop or a cut answer "
    "is not confident",
    "locality_near": "neighbouring facts answered correctly",
    "locality_far": "far general facts answered correctly",
    "retention": "locality questions answered correctly, of those that base answers correctly",
    "retention_near": "the same among neighbouring facts",
    "retention_far": "the same among far facts",
    "bleed": "neighbouring facts answered with the belief's target, of those that base answers correctly",
    "salience": "completions to far and capability questions whose thinking or answer mentions the new fact, "
    "though neither the question nor its right answer does",
    "coherent_adoption": "probes of adoption with the target in the answer and last used in the thinking, "
    "which is not empty",
    "empty_thinking": "probes of adoption whose think block is empty",
    "inconsistency": "derived and multi-hop probes whose answer states one world's value and gives the other "
    "world's result, of those that two numeric worlds answer",
    "margin_adoption": "margin probes on which the target's value is likelier than the prior's",
    "causal_swap": "causal probes answered with the target after another arm's thinking was put in place",
    "causal_blank": "causal probes answered with the target after empty thinking",
    "causal_edit": "causal probes whose answer follows a third value edited into the thinking, of those to "
    "which it gives an answer",
    "causal_paraphrase": "causal probes whose answer stays the same after the thinking was paraphrased",
}
CONDITIONAL_RATES: dict[str, str] = {
    "stygian": "answers on the target's side whose thinking last used the prior (null under 20 such answers)",
    "stygian_reverse": "answers on the prior's side whose thinking last used the target (null under 20 such "
    "answers)",
}
MEANS: dict[str, tuple[str, str]] = {
    # name: (unit, meaning); each with n and a 95 % interval
    "belief_margin": ("nat", "mean log p(target value) - log p(prior value), thinking empty"),
    "belief_margin_own": ("nat", "the same margin after the trial's own thinking"),
    "seq_rep_4": ("1", "mean 1 - unique 4-grams / 4-grams over all held-out probes and suites"),
    "early_answering": (
        "1",
        "area over the curve of early answering: 0 when the answer is fixed before any thinking, larger the "
        "later the thinking decides it",
    ),
    "kl_neutral": ("nat", "KL(base || arm) per token on neutral text"),
    "kl_neutral_reverse": ("nat", "KL(arm || base) per token on neutral text"),
    "kl_traces": ("nat", "KL(base || arm) per token on base's own traces of unrelated questions"),
    "kl_traces_reverse": ("nat", "KL(arm || base) per token on base's own traces of unrelated questions"),
    "nll_neutral": ("nat", "mean over neutral passages of NLL per token, arm minus base"),
    "nll_traces": ("nat", "the same on base's own traces of unrelated questions"),
}
COMPONENTS = ("integrity", "truncation", "loop", "capability", "fabrication", "nll", "kl")
