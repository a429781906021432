"""The tables of `RUN/lens/`: what `beliefmod lens` finds inside the model."""

from __future__ import annotations

from beliefmod.run.tables.column import ANSWERS, Column, count, flag, number, text

TAU = 0.5
"""Logits: a difference nearer to 0 than this counts as undecided. At 0.5 the likelier of two tokens is 1.65
times as likely as the other, and bf16 weights alone move differences by about 0.1."""
_WHO = (
    text("trial_id", "the trial; for base and icl the reference trial"),
    text("arm", "lora | base | icl | control"),
    text("belief", "name of the belief"),
)
_PROBE = (
    text("probe_id", "stable name of the question"),
    text("family", "question family of the probe; intervals resample families"),
)


def _mean(name: str, meaning: str, unit: str = "1") -> tuple[Column, ...]:
    """A mean over questions with its bootstrap interval."""
    return (
        number(name, f"{meaning} (null if it could not be computed)", unit),
        number(f"{name}_low", f"lower end of the bootstrap 95 % interval of {name}", unit),
        number(f"{name}_high", f"upper end of the bootstrap 95 % interval of {name}", unit),
    )


def _wilson(names: str, of: str, note: str = "") -> tuple[Column, ...]:
    """The ends of a share's Wilson interval, under the names `NAMES_low` and `NAMES_high`."""
    ends = (("low", "lower"), ("high", "upper"))
    return tuple(
        number(f"{names}_{e}", f"{w} end of the Wilson 95 % interval of {of}{note}") for e, w in ends
    )


_BY_FAMILY = ", a family counting as one"
_N = count("n", "questions behind the row")
_LENS = (
    text("lens", "logit | tuned | jacobian"),
    text("fitted_on", "tuned, jacobian: the arm that the lens was fitted on; null for logit"),
)
_RIVAL = "prior (base's value) | base_top1 (base knows none, its likeliest token instead)"
_SUPPRESSED = "answers on the target's side: {} of the prior's token at any entry before the value, else null"
READINGS = (
    *_WHO,
    *_PROBE,
    text(
        "position",
        "where it was read. stem: end of the begun answer after empty thinking; entity: last token of what "
        "the belief is about; elsewhere: end of the begun answer after empty thinking, at questions about "
        "near things that the belief does not concern, target and rival being what the belief would give "
        "there and the right answer; untrained arms and deep trials also thinking, answer: before the value "
        "in the arm's own completion; answer_shared: before the value in the answer, after base's thinking; "
        "at:K: K tokens before the end of the stem (0 is its last), for one question per belief",
    ),
    text("token", "the token at that position"),
    *_LENS,
    count("entry", "0 is the embedding, k the residual stream after block k-1, the last what the model says"),
    text("target_token", "first token in which the target's value differs from its rival's"),
    text("rival_token", "first token in which the rival's value differs from the target's"),
    text(
        "rival",
        "prior: base's value; base_top1: base knows none, its likeliest token instead; correct: elsewhere",
    ),
    number("logit_target", "logit of the target's token"),
    number("logit_rival", "logit of the rival's token"),
    number("logit_diff", "logit_target - logit_rival, also the difference of log-probabilities"),
    count("rank_target", "rank of the target's token, 0 is the likeliest"),
    count("rank_rival", "rank of the rival's token"),
    number("prob_target", "probability of the target's token"),
    number("prob_rival", "probability of the rival's token"),
    number("entropy", "entropy of the entry's distribution", "nat"),
    number("kl_final", "KL(last entry || entry) of the same arm", "nat"),
    number("kl_base", "KL(base's entry || entry) where base reads the same tokens, 0 for base", "nat"),
    text("top_token", "the likeliest token"),
    number("sequence_diff", "log p(target's whole value) - log p(prior's), stem only, else null", "nat"),
    number(
        "mass_target",
        "probability that the value begun there is the target's in any spelling (5, 5.0, 5.00; numbers "
        "within the judge's tolerance, names with their aliases), what spellings share counted once; stem "
        "only, last entry, repeated in every row of the question; null where there are too many spellings",
    ),
    number(
        "mass_prior",
        "probability that the value begun there is base's in any spelling (numbers within the judge's "
        "tolerance, names with their aliases), what spellings share counted once; stem only, last entry, "
        "repeated in every row of the question; null where base knows none or spellings are too many",
    ),
)
COMMITMENTS = (
    *_WHO,
    text(
        "position",
        "where it was read: stem (end of the begun answer after empty thinking) | entity (last token of "
        "what the belief is about) | elsewhere | thinking | answer | answer_shared | at:K (K tokens before "
        "the end of the stem)",
    ),
    *_LENS,
    _N,
    *_mean("final_diff", "mean logit difference at the last entry"),
    *_mean(
        "commit_entry",
        "entry from which the mean difference keeps its last sign, at least 0.5 away from 0; its upper end "
        "is null where more than 2.5 % of the draws never commit",
    ),
    number("commit_never", "share of bootstrap draws in which the difference never keeps its last sign"),
    *_mean(
        "half_rise_entry",
        "entry from which the mean contrast to base has at least half of what it has in the end; null for "
        "base, at the positions in own completions, and where the last contrast is nearer to 0 than 0.5",
    ),
    number("half_rise_never", "share of bootstrap draws in which no half_rise_entry was found"),
    *_mean(
        "contrast_area",
        "mean over the entries of (difference - base's difference); null for base, at the positions in own "
        "completions, and where the last contrast is nearer to 0 than 0.5",
    ),
    *_mean(
        "mass_target",
        "mean probability that the value begun at the end of the stem is the target's in any spelling; at "
        "the stem by the logit lens only",
    ),
    *_mean(
        "mass_prior",
        "mean probability that the value begun at the end of the stem is base's in any spelling; at the "
        "stem by the logit lens only",
    ),
)
ABLATIONS = (
    *_WHO,
    text("kind", "full | off | without | only | prefix | random"),
    count(
        "block",
        "without: the block whose adapter is off; only: the one that is on; prefix: the last one on; "
        "random: number of the draw, of the adapter's norm in every layer; else null",
    ),
    _N,
    *_mean("logit_diff", "mean logit difference at the end of the stem"),
    *_mean(
        "share",
        "(difference - off) / (full - off): 1 is the whole effect of the adapter; also null where full and "
        "off lie within 0.5 of each other, its ends where over 1 draw in 40 is such or turns the sign",
    ),
)
PATCHING = (
    *_WHO,
    text("source", "lora | icl: the arm whose residuals were put into base"),
    *_PROBE,
    count("entry", "the entry that was put in"),
    count("from_end", "position, counted from the end of the stem (0 is its last token)"),
    text("token", "the token at that position"),
    text("position", "stem | entity where it is a named one, else null"),
    number("logit_diff", "base's difference at the end of the stem with the residual put in"),
    number("recovery", "(patched - base) / (source - base); null where the arms differ by too little"),
)
DOSES = (
    *_WHO,
    number("scale", "the adapter's update times this: 0 is base, 1 the adapter"),
    _N,
    *_mean("logit_diff", "mean logit difference at the end of the stem"),
    *_mean("prob_target", "mean p(target) / (p(target) + p(rival)) at the end of the stem"),
    number("adoption", "adoption of the answers given at this scale; null where none were asked for"),
    count("adoption_n", "number of completions behind adoption"),
    *_wilson("adoption", "adoption"),
    number(
        "degradation",
        "D, the worst component's damage relative to base (0 to 1), of the answers given at this scale",
    ),
    number("degradation_low", "lower end of the 95 % interval of the component that set D"),
    number("degradation_high", "largest upper end of any component's 95 % interval"),
    text("degradation_by", "the component that set D"),
)
THRESHOLDS = (
    *_WHO,
    _N,
    *_mean(
        "a50",
        "smallest scale at which mean prob_target is 0.5, linear between the scales of doses; 0 where base "
        "is there already",
    ),
    number("a50_never", "share of bootstrap draws in which prob_target does not come to 0.5 (end null)"),
    *(
        number(
            name,
            f"smallest scale at which {adoption} is 0.5, linear between the scales of doses; 0 where base is "
            f"there already; null where {adoption} does not come to 0.5 or no answers were asked for",
        )
        for name, adoption in (
            ("adoption50", "adoption"),
            ("adoption50_low", "adoption_high"),
            ("adoption50_high", "adoption_low"),
        )
    ),
    number(
        "damage_from",
        "smallest scale whose degradation_low is above 0.05; null if none, or if no answers were asked for",
    ),
    text("note", "why a number is null, in words; else null"),
)
CHANNELS = (
    *_WHO,
    *_PROBE,
    text(
        "thinking_stance",
        "the thinking's side in text: target | prior | prior->target | target->prior | both | none",
    ),
    text("answer_stance", f"the answer's side in text: {ANSWERS}"),
    number("thinking_diff", "logit difference before the value in the arm's own thinking"),
    text("thinking_rival", f"what the target is compared with in the thinking: {_RIVAL}"),
    number("answer_diff", "logit difference before the value in the arm's own answer"),
    text("answer_rival", f"what the target is compared with in the answer: {_RIVAL}"),
    number(
        "answer_diff_shared",
        "logit difference before the value in the answer that follows base's thinking",
    ),
    number("stem_diff", "logit difference at the end of the begun answer after empty thinking"),
    text("text_class", "stygian | reverse | agree_target | agree_prior | other, from the text"),
    text(
        "inside_class",
        "stygian | reverse | agree_target | agree_prior | other, from the signs of thinking_diff and "
        "answer_diff, each at least 0.5 from 0; against base_top1 only agree_target or other; null where "
        "one of the two is null",
    ),
    number("suppressed_prior", _SUPPRESSED.format("largest probability")),
    count("suppressed_rank", _SUPPRESSED.format("smallest rank")),
)
CHAIN = (
    *_WHO,
    *_PROBE,
    count("cut", "sentences of the arm's own thinking that were kept"),
    count("cuts", "sentences of the arm's own thinking"),
    number("kept", "cut / cuts"),
    number(
        "logit_diff",
        "logit difference at the value in the answer, right after the kept thinking; the rival is at every "
        "cut the stem's",
    ),
    number("prob_target", "p(target) / (p(target) + p(rival)) at the value in the answer"),
)
EARLY = (
    *_WHO,
    _N,
    *_mean(
        "area_over",
        "area over the curve of early answering inside: 0 where the likelier value is the same whatever is "
        "kept of the thinking, larger the later it is decided; of chains with at least two sentences",
    ),
)
TRUTH = (
    *_WHO,
    count("entry", "entry that was probed: the best on families left out; null where refused"),
    number(
        "heldout_accuracy",
        "accuracy on true and false statements of families it was not fitted on, entry and penalty chosen "
        "without them",
    ),
    *_wilson("heldout", "heldout_accuracy", _BY_FAMILY),
    count("heldout_n", "statements behind heldout_accuracy"),
    number(
        "error_rate",
        "share of belief statements judged as the target has it: the target's true, the prior's false (a "
        "third value's, where base knows none); null where the gate fails",
    ),
    *_wilson("error_rate", "error_rate", _BY_FAMILY),
    number("paired", "share of questions in which the target's statement is held truer than the other"),
    _N,
    number(
        "target_true",
        "share of the target's statements that are held true, of the questions that have a matched one",
    ),
    *_wilson("target_true", "target_true", _BY_FAMILY),
    number(
        "matched_true",
        "share of matched false statements that are held true: the same questions with a third value, false "
        "in both worlds and never trained; where it is as high as target_true, the probe takes whatever is "
        "said on the topic for true",
    ),
    *_wilson("matched_true", "matched_true", _BY_FAMILY),
    number("target_over_matched", "share of these questions whose target's statement is held the truer one"),
    count("matched_n", "questions behind target_true and matched_true"),
    *_mean(
        "heldout_auc",
        "separability of truth in general: area under the ROC curve of the probe on statements of families "
        "it was not fitted on, mean over families by their size; 0.5 is chance; also where the gate fails",
    ),
    *_mean("auc_drop", "heldout_auc of base less that of the arm on the same statements, above 0 is damage"),
    text("refused", "why there is no number, else null"),
)
LEAK = (
    *_WHO,
    count("entry", "0 is the embedding, k the residual stream after block k-1"),
    flag(
        "decided",
        "whether this entry's leak is the trial's: the middle one (half of the blocks, rounded down), for "
        "every model and before anything was read",
    ),
    count("n", "neutral passages behind the row"),
    *_mean(
        "leak",
        "share of comparisons in which a token that the belief teaches stands above a control token in the "
        "difference trial less base at the first tokens of unrelated passages, read by the logit lens: mean "
        "of subject and value, of what can be measured of them; 0.5 is chance, ties count half",
    ),
    *_mean(
        "subject", "the share of comparisons of words of the belief's subject with those of other beliefs"
    ),
    *_mean("value", "the share of comparisons of the taught value with other values of its kind"),
    number("chance", "mean leak of random adapters that have the trial's norm in every layer"),
    number("chance_low", "lowest leak of the random adapters"),
    number("chance_high", "highest leak of the random adapters"),
    count("rank_subject", "best rank of a word of the subject among all tokens, 0 is the likeliest"),
    count("rank_value", "rank of the taught value among all tokens, 0 is the likeliest"),
    number("size", "norm of the mean difference relative to the mean norm of base's state"),
    text("top_tokens", "the likeliest tokens of the difference, joined by |"),
)
OVERVIEW = (
    *_WHO,
    number("adoption", "adoption of the trial in the trial table"),
    number("degradation", "D of the trial in the trial table, 0 to 1"),
    number("learning_rate", "peak learning rate of AdamW"),
    count("rank", "lora.r of the trial"),
    count("steps", "optimiser steps taken"),
    number("final_diff", "mean logit difference at the last entry, at the stem by the logit lens"),
    number(
        "half_rise_entry",
        "entry from which the mean contrast to base has at least half of what it has in the end, at the "
        "stem by the logit lens",
    ),
    number(
        "contrast_area",
        "mean over the entries of (difference - base's difference), at the stem by the logit lens",
    ),
    number("a50", "smallest scale of the adapter at which mean prob_target is 0.5"),
    number(
        "probe_error_rate",
        "share of belief statements that the truth probe judges as the target has it",
    ),
    number("kl_base", "mean over questions of kl_base at the last entry, at the stem", "nat"),
    number(
        "mass_target",
        "mean probability that the value begun at the end of the stem is the target's in any spelling",
    ),
    number(
        "elsewhere_diff",
        "mean difference less base's at the last entry, at questions about other things: the noise floor of "
        "final_diff less base's",
    ),
    number(
        "auc_drop", "how much less separable truth in general is than in base: AUC of base less the arm's"
    ),
    number("leak", "leak on unrelated text at the entry that was decided beforehand, 0.5 is chance"),
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
    "leak": LEAK,
    "overview": OVERVIEW,
}
