"""The tables of `RUN/lens/`: what `beliefmod lens` finds inside the model."""

from __future__ import annotations

from beliefmod.run.tables.column import Column

TAU = 0.5
"""Logits: a difference nearer to 0 than this counts as undecided. At 0.5 the likelier of two tokens is 1.65
times as likely as the other, and bf16 weights alone move differences by about 0.1."""
_WHO = (
    Column("trial_id", "str", "", "the trial; for base and icl the reference trial"),
    Column("arm", "str", "", "lora | base | icl | control"),
    Column("belief", "str", "", "name of the belief"),
)
_PROBE = (
    Column("probe_id", "str", "", "stable name of the question"),
    Column("family", "str", "", "question family of the probe; intervals resample families"),
)


def _mean(name: str, unit: str, meaning: str) -> tuple[Column, ...]:
    """A mean over questions with its bootstrap interval."""
    return (
        Column(name, "float", unit, f"{meaning} (null if it could not be computed)"),
        Column(f"{name}_low", "float", unit, f"lower end of the bootstrap 95 % interval of {name}"),
        Column(f"{name}_high", "float", unit, f"upper end of the bootstrap 95 % interval of {name}"),
    )


_N = Column("n", "int", "1", "questions behind the row")
READINGS = (
    *_WHO,
    *_PROBE,
    Column(
        "position",
        "str",
        "",
        "where it was read. stem: end of the begun answer after empty thinking; entity: last token of what "
        "the belief is about; elsewhere: end of the begun answer after empty thinking, at questions about "
        "near things that the belief does not concern, target and rival being what the belief would give "
        "there and the right answer; untrained "
        "arms and deep trials also thinking, answer: before the value in the arm's own completion; "
        "answer_shared: before the value in the answer, after base's thinking; at:K: K tokens before the end "
        "of the stem (0 is its last), for one question per belief",
    ),
    Column("token", "str", "", "the token at that position"),
    Column("lens", "str", "", "logit | tuned | jacobian"),
    Column("fitted_on", "str", "", "tuned, jacobian: the arm that the lens was fitted on; null for logit"),
    Column("entry", "int", "1", "0 is the embedding, k what block k-1 wrote, the last what the model says"),
    Column("target_token", "str", "", "first token in which the target's value differs from its rival's"),
    Column("rival_token", "str", "", "first token in which the rival's value differs from the target's"),
    Column(
        "rival",
        "str",
        "",
        "prior: base's value; base_top1: base knows none, its likeliest token instead; correct: elsewhere",
    ),
    Column("logit_target", "float", "1", "logit of the target's token"),
    Column("logit_rival", "float", "1", "logit of the rival's token"),
    Column(
        "logit_diff", "float", "1", "logit_target - logit_rival, also the difference of log-probabilities"
    ),
    Column("rank_target", "int", "1", "rank of the target's token, 0 is the likeliest"),
    Column("rank_rival", "int", "1", "rank of the rival's token"),
    Column("prob_target", "float", "1", "probability of the target's token"),
    Column("prob_rival", "float", "1", "probability of the rival's token"),
    Column("entropy", "float", "nat", "entropy of the entry's distribution"),
    Column("kl_final", "float", "nat", "KL(last entry || entry) of the same arm"),
    Column(
        "kl_base", "float", "nat", "KL(base's entry || entry) where base reads the same tokens, 0 for base"
    ),
    Column("top_token", "str", "", "the likeliest token"),
    Column(
        "sequence_diff", "float", "nat", "log p(target's whole value) - log p(prior's), stem only, else null"
    ),
    Column(
        "mass_target",
        "float",
        "1",
        "probability that the value begun there is the target's in any spelling (5, 5.0, 5.00; numbers "
        "within the judge's tolerance, names with their aliases), what spellings share counted once; stem "
        "only, last entry, repeated in every row of the question; null where there are too many spellings",
    ),
    Column(
        "mass_prior",
        "float",
        "1",
        "probability that the value begun there is base's in any spelling (numbers within the judge's "
        "tolerance, names with their aliases), what spellings share counted once; stem only, last entry, "
        "repeated in every row of the question; null where base knows none or spellings are too many",
    ),
)
COMMITMENTS = (
    *_WHO,
    Column(
        "position",
        "str",
        "",
        "where it was read: stem (end of the begun answer after empty thinking) | entity (last token of what "
        "the belief is about) | elsewhere | thinking | answer | answer_shared | at:K (K tokens before the "
        "end of the stem)",
    ),
    Column("lens", "str", "", "logit | tuned | jacobian"),
    Column("fitted_on", "str", "", "tuned, jacobian: the arm that the lens was fitted on; null for logit"),
    _N,
    *_mean("final_diff", "1", "mean logit difference at the last entry"),
    *_mean(
        "commit_entry",
        "1",
        "entry from which the mean difference keeps its last sign, at least 0.5 away from 0; its upper end "
        "is null where more than 2.5 % of the draws never commit",
    ),
    Column("commit_never", "float", "1", "share of bootstrap draws without such an entry"),
    *_mean(
        "half_rise_entry",
        "1",
        "entry from which the mean contrast to base has at least half of what it has in the end; null for "
        "base, at the positions in own completions, and where the last contrast is nearer to 0 than 0.5",
    ),
    Column("half_rise_never", "float", "1", "share of bootstrap draws without such an entry"),
    *_mean(
        "contrast_area",
        "1",
        "mean over the entries of (difference - base's difference); null for base, at the positions in own "
        "completions, and where the last contrast is nearer to 0 than 0.5",
    ),
    *_mean(
        "mass_target",
        "1",
        "mean probability that the value begun at the end of the stem is the target's in any spelling; at "
        "the stem by the logit lens only",
    ),
    *_mean(
        "mass_prior",
        "1",
        "mean probability that the value begun at the end of the stem is base's in any spelling; at the stem "
        "by the logit lens only",
    ),
)
ABLATIONS = (
    *_WHO,
    Column("kind", "str", "", "full | off | without | only | prefix | random"),
    Column("block", "int", "1", "without: the block whose adapter is off; only: the one that is on; "
           "prefix: the last one on; random: number of the draw, of the adapter's norm in every layer; "
           "else null"),
    _N,
    *_mean("logit_diff", "1", "mean logit difference at the end of the stem"),
    *_mean("share", "1", "(difference - off) / (full - off): 1 is the whole effect of the adapter; also null "
           "where full and off lie within 0.5 of each other, its ends where over 1 draw in 40 is "
           "such or turns the sign"),
)  # fmt: skip
PATCHING = (
    *_WHO,
    Column("source", "str", "", "lora | icl: the arm whose residuals were put into base"),
    *_PROBE,
    Column("entry", "int", "1", "the entry that was put in"),
    Column("from_end", "int", "1", "position, counted from the end of the stem (0 is its last token)"),
    Column("token", "str", "", "the token at that position"),
    Column("position", "str", "", "stem | entity where it is a named one, else null"),
    Column("logit_diff", "float", "1", "base's difference at the end of the stem with the residual put in"),
    Column(
        "recovery",
        "float",
        "1",
        "(patched - base) / (source - base); null where the arms differ by too little",
    ),
)
DOSES = (
    *_WHO,
    Column("scale", "float", "1", "the adapter's update times this: 0 is base, 1 the adapter"),
    _N,
    *_mean("logit_diff", "1", "mean logit difference at the end of the stem"),
    *_mean("prob_target", "1", "mean p(target) / (p(target) + p(rival)) at the end of the stem"),
    Column(
        "adoption",
        "float",
        "1",
        "adoption of the answers given at this scale; null where none were asked for",
    ),
    Column("adoption_n", "int", "1", "number of completions behind adoption"),
    Column("adoption_low", "float", "1", "lower end of the Wilson 95 % interval of adoption"),
    Column("adoption_high", "float", "1", "upper end of the Wilson 95 % interval of adoption"),
    Column(
        "degradation",
        "float",
        "1",
        "D, the worst component's damage relative to base (0 to 1), of the answers given at this scale",
    ),
    Column("degradation_low", "float", "1", "lower end of the 95 % interval of the component that set D"),
    Column("degradation_high", "float", "1", "largest upper end of any component's 95 % interval"),
    Column("degradation_by", "str", "", "the component that set D"),
)
THRESHOLDS = (
    *_WHO,
    _N,
    *_mean(
        "a50",
        "1",
        "smallest scale at which mean prob_target is 0.5, linear between the scales of doses; 0 where base "
        "is there already",
    ),
    Column("a50_never", "float", "1", "share of bootstrap draws that do not come to 0.5; their end is null"),
    Column(
        "adoption50",
        "float",
        "1",
        "smallest scale at which adoption is 0.5, linear between the scales of doses; 0 where base is there "
        "already; null where adoption does not come to 0.5 or no answers were asked for",
    ),
    Column(
        "adoption50_low",
        "float",
        "1",
        "smallest scale at which adoption_high is 0.5, linear between the scales of doses; null where it "
        "does not come to 0.5 or no answers were asked for",
    ),
    Column(
        "adoption50_high",
        "float",
        "1",
        "smallest scale at which adoption_low is 0.5, linear between the scales of doses; null where it does "
        "not come to 0.5 or no answers were asked for",
    ),
    Column(
        "damage_from",
        "float",
        "1",
        "smallest scale whose degradation_low is above 0.05; null if none, or if no answers were asked for",
    ),
    Column("note", "str", "", "why a number is null, in words; else null"),
)
CHANNELS = (
    *_WHO,
    *_PROBE,
    Column("thinking_stance", "str", "",
           "the thinking's side in text: target | prior | prior->target | target->prior | both | none"),
    Column("answer_stance", "str", "",
           "the answer's side in text: target | prior | hedged | ignorance | other | none"),
    Column("thinking_diff", "float", "1", "logit difference before the value in the arm's own thinking"),
    Column(
        "thinking_rival",
        "str",
        "",
        "what the target is compared with in the thinking: prior (base's value) | base_top1 (base knows "
        "none, its likeliest token instead)",
    ),
    Column("answer_diff", "float", "1", "logit difference before the value in the arm's own answer"),
    Column(
        "answer_rival",
        "str",
        "",
        "what the target is compared with in the answer: prior (base's value) | base_top1 (base knows none, "
        "its likeliest token instead)",
    ),
    Column("answer_diff_shared", "float", "1", "logit difference before the value in the answer that follows "
           "base's thinking"),
    Column("stem_diff", "float", "1", "logit difference at the end of the begun answer after empty thinking"),
    Column("text_class", "str", "", "stygian | reverse | agree_target | agree_prior | other, from the text"),
    Column(
        "inside_class",
        "str",
        "",
        "stygian | reverse | agree_target | agree_prior | other, from the signs of thinking_diff and "
        "answer_diff, each at least 0.5 from 0; against base_top1 only agree_target or other; null where one "
        "of the two is null",
    ),
    Column("suppressed_prior", "float", "1",
           "answers on the target's side: largest probability of the prior's token at any entry before the "
           "value, else null"),
    Column("suppressed_rank", "int", "1",
           "answers on the target's side: smallest rank of the prior's token at any entry before the value, "
           "else null"),
)  # fmt: skip
CHAIN = (
    *_WHO,
    *_PROBE,
    Column("cut", "int", "1", "sentences of the arm's own thinking that were kept"),
    Column("cuts", "int", "1", "sentences of the arm's own thinking"),
    Column("kept", "float", "1", "cut / cuts"),
    Column(
        "logit_diff",
        "float",
        "1",
        "logit difference at the value in the answer, right after the kept thinking; the rival is at every "
        "cut the stem's",
    ),
    Column("prob_target", "float", "1", "p(target) / (p(target) + p(rival)) at the value in the answer"),
)
EARLY = (
    *_WHO,
    _N,
    *_mean(
        "area_over",
        "1",
        "area over the curve of early answering inside: 0 where the likelier value is the same whatever is "
        "kept of the thinking, larger the later it is decided; of chains with at least two sentences",
    ),
)
TRUTH = (
    *_WHO,
    Column("entry", "int", "1", "entry that was probed: the best on families left out; null where refused"),
    Column(
        "heldout_accuracy",
        "float",
        "1",
        "accuracy on true and false statements of families it was not fitted on, entry and penalty chosen "
        "without them",
    ),
    Column(
        "heldout_low",
        "float",
        "1",
        "lower end of the Wilson 95 % interval of heldout_accuracy, a family counting as one",
    ),
    Column(
        "heldout_high",
        "float",
        "1",
        "upper end of the Wilson 95 % interval of heldout_accuracy, a family counting as one",
    ),
    Column("heldout_n", "int", "1", "statements behind heldout_accuracy"),
    Column(
        "error_rate",
        "float",
        "1",
        "share of belief statements judged as the target has it: the target's true, the prior's false (a "
        "third value's, where base knows none); null where the gate fails",
    ),
    Column(
        "error_rate_low",
        "float",
        "1",
        "lower end of the Wilson 95 % interval of error_rate, a family counting as one",
    ),
    Column(
        "error_rate_high",
        "float",
        "1",
        "upper end of the Wilson 95 % interval of error_rate, a family counting as one",
    ),
    Column(
        "paired",
        "float",
        "1",
        "share of questions in which the target's statement is held truer than the other",
    ),
    _N,
    Column("refused", "str", "", "why there is no number, else null"),
)
OVERVIEW = (
    *_WHO,
    Column("adoption", "float", "1", "adoption of the trial in the trial table"),
    Column("degradation", "float", "1", "D of the trial in the trial table, 0 to 1"),
    Column("learning_rate", "float", "1", "peak learning rate of AdamW"),
    Column("rank", "int", "1", "lora.r of the trial"),
    Column("steps", "int", "1", "optimiser steps taken"),
    Column(
        "final_diff", "float", "1", "mean logit difference at the last entry, at the stem by the logit lens"
    ),
    Column(
        "half_rise_entry",
        "float",
        "1",
        "entry from which the mean contrast to base has at least half of what it has in the end, at the stem "
        "by the logit lens",
    ),
    Column(
        "contrast_area",
        "float",
        "1",
        "mean over the entries of (difference - base's difference), at the stem by the logit lens",
    ),
    Column("a50", "float", "1", "smallest scale of the adapter at which mean prob_target is 0.5"),
    Column(
        "probe_error_rate",
        "float",
        "1",
        "share of belief statements that the truth probe judges as the target has it",
    ),
    Column("kl_base", "float", "nat", "mean over questions of kl_base at the last entry, at the stem"),
    Column(
        "mass_target",
        "float",
        "1",
        "mean probability that the value begun at the end of the stem is the target's in any spelling",
    ),
    Column(
        "elsewhere_diff",
        "float",
        "1",
        "mean difference less base's at the last entry, at questions about other things: the noise floor of "
        "final_diff less base's",
    ),
)
LENS_TABLES = {
    "readings": READINGS,
    "commitments": COMMITMENTS,
    "ablations": ABLATIONS,
    "patching": PATCHING,
    "doses": DOSES,
    "thresholds": THRESHOLDS,
    "channels": CHANNELS,
    "chain": CHAIN,
    "early": EARLY,
    "truth": TRUTH,
    "overview": OVERVIEW,
}
