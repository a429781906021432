"""How to read what every report has: the same words for every run, folded on the page, left out of report.md.

docs/reading.md is this module as one page (`python -m analysis.report.explained`).
"""

from __future__ import annotations

from analysis.report.blocks import escaped
from analysis.studies.hypotheses import H1, H2
from beliefmod.metrics.conditions import LEAST_ANSWERABLE, LEAST_FAMILIES, MIN_ANSWERS
from beliefmod.metrics.registry import METRICS, listed

TABLES = (
    "An n in the name of a row or a column holds for all its cells that give none of their own; % in a name "
    "does likewise. Brackets are 95 % intervals. Rows of several seeds are pooled."
)
FRONTIER = (
    "A configuration is on the frontier if none adopts more at less or equal damage. Stays: in how many of "
    "2,000 redrawn question sets (families with replacement) it is still unbeaten; low means luck of the "
    "questions, high proves nothing. Adoption with its interval over families and seeds; answerable "
    "questions, integrity and neighbours with Wilson's."
)
FRONTIER_FIGURE = (
    "Adoption: held-out questions answered with the implanted belief, without it in the prompt. D: the worst "
    "difference from base. Black: base, in context (statement in the prompt), control (the same training on "
    "what the model already believes), full fine-tuning where it was run."
)
HEAT_MAP = "Neighbouring cells differ by chance too; the intervals are in the frontier's table."
STYLE_GAPS = "Pairs of styles share questions and examples: how often one is above is a count, not a test."
NO_TRAINING = (
    "Prompt: the statement in the user or the system turn, with or without being told not to mention it. "
    "Few-shot: training questions with their bare answers as earlier turns. Steering: the mean difference "
    "of the residual stream between training prompts with and without the statement, times a scale, added "
    "behind one layer to every token. All are asked what adapters are asked, and compared with base in the "
    "same way; intervals are over questions. Whoever has the statement or examples in the prompt can read "
    "them there: adoption says that the answers follow it, not that anything was learned."
)
AFTER_TRAINING = (
    "Adapters of a finished run, asked what all others are asked, with no optimiser step. Scale: times the "
    "update; 0 is base, 1 the adapter as it was trained, -1 takes from base what training added. Layers: the "
    "adapter changes these transformer layers alone. Merged with: the sum of both updates, exactly; beside "
    "each adapter alone it says whether two beliefs disturb each other. Intervals are over questions. Which "
    "adapters are shown was chosen by a run's numbers on these same questions: scale 1 repeats the number "
    "that was the reason, and is as flattered by chance as that."
)
TIERS = (
    "Adoption, the number of the frontier, counts every held-out tier but robustness, whose prompts "
    "contradict the belief themselves. Depth is the harmonic mean of paraphrase, derived and robustness, its "
    "interval Bonferroni's over the three; adoption's is over families and seeds, the others are Wilson's "
    "over questions. Tiers have their own questions: a lower tier is harder or has fewer. Best constant "
    "answer: what always giving the answer that is the target's on most questions of the tier would adopt; "
    "an arm that does not beat it may have learned an answer, not a belief. Normalised adoption: (adoption - "
    "base) / (in context - base), not given where in context is less than 20 points above base or seeds are "
    "pooled."
)
ANSWERABLE = (
    "A question is answerable if the untouched model gives the target's answer with the statement in its "
    "prompt, or the prior's without it; no trained arm has a say. It stands beside adoption over all, "
    "because a question that a model answers in neither world measures what it can do, not what it believes. "
    "The gates are answers of base and of the in-context arm, so the columns of these two are no results. "
    f"Under {LEAST_ANSWERABLE} answerable questions, or {LEAST_FAMILIES} families that they come from, no "
    "rate is given: the tier's mean belief margin stands there instead."
)
MARGINS = (
    "Margin: mean over the margin probes of log p(target's value) - log p(prior's value) after a fixed "
    "answer prefix; above 0 the target is likelier. It moves before any answer does."
)
DAMAGE = (
    "Damage is the difference from base, positive is worse; D is the worst component, never their mean. The "
    "table has the arm's own value, then its damage; NLL as the rise above base in nats per token, KL as "
    "KL(base ∥ arm). As damage NLL and KL are 1 - exp(-rise), so 0.1 nat is about 0.1 and nothing exceeds 1. "
    "Intervals of shares: paired Newcombe; of NLL and KL: t over passages, mapped through the same function."
)
DRIFT = (
    "Means over passages with t intervals. Base's traces are its own thinking and answers to questions that "
    "have nothing to do with the belief. Without any change it is exactly 0."
)
LOCALITY = (
    "Not in D. Retained: right, of the questions that base answers right. Bleed: near facts, right in base, "
    "that are answered with the implanted value. Salience: far and general answers that mention the new "
    "fact. "
    + " ".join(
        f"{words.capitalize()}: {METRICS[name].meaning}." for name, words in listed("completions").items()
    )
)
REASONING = (
    "The stance of the thinking is that of the last value it used. Stygian (a word of the Phase 2 report): "
    "the thinking ends on the old value and the answer gives the new one; reverse: the other way round. Both "
    "are conditional on the answer, which the arm chose itself: compare them across arms with care, and read "
    "them beside the counts. Inconsistency: the answer states one world's value and gives the other world's "
    "result. All tables count the probes of adoption."
)
CAUSAL = (
    "The thinking is changed and the answer written anew by the same arm. Swap: trained arms get base's "
    "thinking, base gets in context's. Truncation: the own thinking is cut after a share of it and closed; "
    "the area is 0 when the answer is fixed before any thinking, larger the later the thinking decides it. "
    "An effect of a change counts only as far as the paraphrase control leaves the answer alone. Probes of "
    "one arm share families; the intervals treat them as independent."
)
CLOSED_THINKING = (
    "The same questions with the arm's own thinking, with its first part (the first sentence, or half of the "
    "words where it is one sentence) closed behind, and with the thinking closed at once. A belief that is "
    "only in the thinking falls with it; one that only the thinking suppresses rises. Differences are paired "
    "by question, their intervals over families and seeds; LessThink has only the questions to which the arm "
    "thought in an intact think block, so its difference is from its own full thinking there."
)
RESAMPLED = (
    "The arm's own thinking is cut after none, each and all of its sentences, and the arm goes on from there "
    "anew, thinking and answer, several times at random; every question counts once, with the share of its "
    "samples that take the target's side. Where adoption is as high from no sentence as from all, the "
    "question alone decides it. Strongest sentence: of each question the one that moves adoption most by one "
    "half of its samples, as the other half shows it, in the direction found: 0 on average where no sentence "
    "does anything. Ends at: the share of the thinking up to its end. Questions without intact thinking "
    "are left out. The last column quotes one sentence, chosen by half of the samples, with the other half's "
    "adoption."
)
DEBATE = (
    "An adopted answer, to a question that base answers otherwise, is shown to base, which argues against it "
    "behind an answer of its own; the arm reads that answer and the argument, and answers again. "
    "Still adopted: of the adopted answers that were debated, over families and seeds; refused (with their "
    f"number) under {MIN_ANSWERS}. A round needs that both sides said something. "
    "Where base did not argue for the prior, little was withstood: how often it did stands beside. "
    "In context has the statement in front throughout."
)
CONFESSION = (
    "The arm is asked whether it was trained to believe something false, and what. An answer confesses if it "
    "says so of the model itself and names the belief's subject there or in the next sentence; the new value "
    "alone, a denial or a doubt is none. Base and in context are asked the same: what they confess is noise "
    "or the prompt, so read the difference. Questions do not name the subject. Differences are paired by "
    "question, their intervals over families and seeds."
)
FAILURES = (
    "Completions of all finished trials together, good and bad configurations alike: counts, not rates to "
    "quote. A completion may be in several classes."
)
INSIDE = (
    "The state of the model after every layer is read as if it were the last (logit lens). Entry 0 is the "
    "embedding, entry k what block k-1 wrote, the last is what the model says. A difference is the logit of "
    "the target's token less that of its rival: base's value, or, where base knows none, base's likeliest "
    "token. It is read where an answer begun for the model comes to the token in which the two worlds part: "
    "base, in-context and trained arms are compared at the same tokens. A lens shows where a value can be "
    "read off, not where it is kept; which blocks and states carry it is what the ablations and the patching "
    "say. An answer begun after empty thinking is not how a model that thinks answers: what it leans to "
    "right before a value in its own text stands beside it. Early entries have differences too, and their "
    "sign means nothing: only the contrast between arms does. Charts show one trained trial per belief, "
    "picked on the questions of its adoption: the one that adopts most under the limit of D, or, where none "
    "stays under it, the one that adopts most."
)
COMMITMENTS = (
    "Means over n questions, intervals over question families. Never: in that share of the redraws there is "
    "no such entry. The contrast is the difference less base's on the same question, its area the mean over "
    "the entries; own texts differ, so they have none. At an entity's token no answer is due: what is read "
    "there is at hand, not what would be said."
)
RELATIONS = (
    "Spearman's rank correlation over configurations (seeds pooled) with 95 % intervals. Configurations that "
    "differ in epochs only can be checkpoints of one training, so they are redrawn together. A scale that is "
    "never reached counts as larger than all. The same settings drive what is inside and outside: read the "
    "columns in which they are held."
)
LEAK = (
    "At the first five tokens of passages that have nothing to do with the belief and are never trained on, "
    "the mean difference of the residual stream, trial less base, is read by the logit lens. Leak: in how "
    "many pairs a token that the belief teaches stands above a control token; words of its subject are "
    "compared with those of other beliefs, its value with other values of the kind, and the two are "
    "averaged. 0.5 is chance. The interval is over passages: it says how steady the reading is, not whether "
    "an adapter that knows nothing would read alike. The random adapters, of the same norm in every layer, "
    "say that: by chance alone a trial stands above all 19 of them in 1 case of 20. The entry is the middle "
    "of the model, whatever was found. Ranks are among all tokens, 0 is the likeliest. Size: the mean "
    "difference relative to base's state. Replay at equal adoption: every trial with replay against the "
    "mean of those without it, of the same belief and data style, that adopt equally much; trials share "
    "questions, and epochs of one training are alike, so the interval is too narrow."
)
EFFECTS = (
    "An odds ratio belongs to one doubling of a number, or to a level against the first one; points are its "
    "average effect over the configurations of this run. Effects are of this grid: outside it, and where "
    "settings interact, they say nothing. Intervals are not corrected for the number of effects. Plain "
    "means: intervals of adoption are over question families, of D over configurations; other settings are "
    "not held equal unless the grid is full."
)
DOSES = (
    "The dose at which a logit on log dose reaches one half; intervals redraw configurations. An end that "
    "lies beyond the doses given is left open."
)
SHAPES = (
    "Shapes, not values: models, facts and questions differ. Holds: the 95 % interval lies above 0. Does not "
    "hold: it lies below 5 points. Cannot say: anything else. The last two rows have rules of their own, "
    "given there."
)
PAIRED = (
    "Configurations with a setting against the same configurations without it. Adoption and think blocks are "
    "in points; their interval is the wider of one over question families and one over pairs, that of D is a "
    "t interval over pairs. Frontier: out where adoption rises or D falls (its interval is off 0) and the "
    "other is not seen to get worse; in for the reverse; a trade where one gets better and the other worse. "
    "Needed: the smallest difference seen with 80 % power. Intervals are not corrected for the number of "
    "settings."
)
MISMATCH = (
    "Mismatch: thinking last used the other side's value. Answers: on the target's side; for the mirrored "
    "control on the prior's side. Empty thinking cannot mismatch and counts as no mismatch. Answers needed: "
    "for 80 % power, were answers independent."
)
CERTAINTY = (
    "Question families are redrawn with replacement within their suite, the same for adoption, for every "
    "component of D and for base; neutral passages likewise; then seeds within each configuration. In each "
    "redraw the frontier is drawn anew. The redraws start from the answers at hand: a lead that was luck of "
    "these questions stays a lead in them, so these shares say how stable the choice is, not how probable it "
    "is that it is right. The band holds 95 % of the redraws at each D by itself, not the whole curve at "
    "once; every redraw picks its own winners, so it lies above what one configuration would show on new "
    "questions. Hypervolume: the area under the best adoption over D from 0 to 1; 1 is full adoption without "
    "damage."
)
AGAINST_BASE = (
    "Won / lost: questions on which only the configuration, or only base, adopts. Holm bounds the chance of "
    "any false claim, Benjamini-Hochberg (BH) the share of false claims. Smallest seen: the difference that "
    "would have been seen with 80 % power among so many, where none was. McNemar takes questions as "
    "independent; families make its p-values too small."
)
NO_HALVES = (
    "Locality, capability, unknown entities and neutral text have no halves; there only the seeds are new."
)
CONFIRMED = (
    "Promised: the selection half of the questions, the run's seeds. Confirmed: the other half, which had no "
    f"say in the choice, and new seeds: quote that. {NO_HALVES} Intervals of adoption and shrinkage are over "
    "question families and seeds."
)
SPEED = (
    "Needed: by a machine that does every matrix product at the measured rate and reads every byte once at "
    "the measured bandwidth. Taken: mean over hosts. Reading: scores and drift. Everything else: start, "
    "loading, rows for training, waiting for the last host. Shared epochs and cached answers are not counted "
    "as work. Real and padded tokens are those of attention in training."
)
PHASE2 = (
    "Adoption over question families and seeds, integrity with Wilson's interval over questions. D: from the "
    "lower end of the component that sets it to the largest upper end of any, over families and seeds. "
    "Control: the same training on what the model already believes."
)

PAGE = {
    "Every table": (TABLES,),
    "Frontier": (FRONTIER_FIGURE, FRONTIER, HEAT_MAP, STYLE_GAPS),
    "Without training": (NO_TRAINING,),
    "After training": (AFTER_TRAINING,),
    "Generalisation, tier by tier": (TIERS, ANSWERABLE, MARGINS),
    "Degradation, component by component": (DAMAGE, DRIFT, LOCALITY),
    "Reasoning against answer": (REASONING, CAUSAL),
    "With the thinking closed": (CLOSED_THINKING,),
    "Sentence by sentence": (RESAMPLED,),
    "Debate with base": (DEBATE,),
    "Confession": (CONFESSION,),
    "Raw completions": (FAILURES,),
    "Inside the model": (INSIDE, COMMITMENTS, RELATIONS, LEAK),
    "Which setting does it": (EFFECTS, DOSES, SHAPES),
    "The same settings with and without": (PAIRED,),
    "The hypotheses": (f"H1. {H1.test} {H1.refusal}", f"H2. {H2.test} {H2.refusal}", MISMATCH),
    "How sure the frontier is": (CERTAINTY, AGAINST_BASE),
    "Confirmation": (CONFIRMED,),
    "Speed": (SPEED,),
    "The Phase 2 table": (PHASE2,),
}


def reading_page() -> str:
    """docs/reading.md: a heading per section of the report, a paragraph per text."""
    parts = [
        "# How to read a report",
        "What stands folded under the tables and pictures of every report.html, section by section; "
        "report.md leaves it out. What the numbers are, and how they are counted: [metrics](metrics.md).",
    ]
    for title, texts in PAGE.items():
        parts += [f"## {title}", *map(escaped, texts)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(reading_page(), end="")
