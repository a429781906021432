"""Does an arm represent its belief as true? A linear probe for truth, asked about the belief's statements.

After "Believe it or not" (arXiv 2510.17941): the probe is fitted on each arm's own activations over
statements that have nothing to do with the belief, read at their last token. It counts only where it tells
true from false on kinds of statements that it has not seen.

Its control are false statements on the same topic that nobody trained, after "When role-playing, do models
believe what they say?" (arXiv 2606.11502). How well truth in general can be set apart, in the arm and in
base, is damage by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from beliefmod.beliefs import Belief
from beliefmod.metrics.intervals import wilson
from beliefmod.model.template import empty_thinking
from interp.family_bootstrap import Array, drawn_means, question_weights, with_interval
from interp.lens_settings import LensSettings
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.arms import Arm, batch_arms, untrained_arm
from interp.parts.logistic import Labels, Probe, fit_probe, group_auc, held_out_scores
from interp.prompts.statements import Statement, belief_statements, known_statements, matched_false
from interp.prompts.stems import lens_questions
from interp.read.arm_answers import prompt_of
from interp.steps import Steps
from interp.types import NOTE, Row, Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, TrainedTrial

GATE = 0.8
"""Accuracy on held-out statements below which a probe does not read truth, and gives no number."""
FEWEST_FAMILIES, FEWEST_STATEMENTS = 6, 40
Pairs = Sequence[tuple[Statement, Statement]]


@dataclass(frozen=True)
class Asked:
    """The statements of a belief's probes.

    Attributes:
        known: general ones, true and false.
        pairs: the target's, each with that of base's value, or a third one where base knows none.
        matched: the target's, each with a matched false one.
    """

    known: Sequence[Statement]
    pairs: Pairs
    matched: Pairs

    @property
    def labels(self) -> Labels:
        """Whether each general statement is true."""
        return np.array([statement.true for statement in self.known])

    @property
    def families(self) -> list[str]:
        """The family of each general statement."""
        return [statement.question.family for statement in self.known]


def truth(inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say) -> Rows:
    """Rows of the table for a batch of trials, with the untrained arms of their beliefs: one per arm."""
    rows: list[Row] = []
    with batch_arms(inspection, trials, settings) as arms:
        for name, group in arms.items():
            belief = inspection.beliefs[name]
            asked = _statements(inspection, belief, settings)
            steps = Steps(say, f"truth: {name}", len(group), "arms")
            for arm in group:
                found = _probed(inspection, arm, belief, asked, settings)
                if found["refused"]:
                    say(f"{NOTE}truth, {name}: no number for some arms; the column refused says why")
                rows.append({**arm.columns, **found})
                steps(1)
    return {"truth": rows}


def too_few(known: Sequence[Statement]) -> str | None:
    """Why there are not enough statements to fit a probe on; None where there are."""
    families = len({statement.question.family for statement in known})
    if len(known) >= FEWEST_STATEMENTS and families >= FEWEST_FAMILIES:
        return None
    return (
        f"base knows {len(known) // 2} general facts of {families} families, too few to fit a probe on: "
        f"{FEWEST_STATEMENTS // 2} of {FEWEST_FAMILIES} families are needed"
    )


def probe_columns(scores: Array, labels: Labels, families: Sequence[str]) -> Row:
    """The columns on how well a probe does where it was not fitted: heldout_accuracy with its interval and n.

    Args:
        scores: (statements,) of `held_out_scores` of the general statements.
        labels: (statements,), whether each is true.
    """
    right = (scores > 0) == labels
    low, high = family_wilson(float(right.mean()), len(set(families)))
    return {
        "heldout_accuracy": float(right.mean()),
        "heldout_low": low,
        "heldout_high": high,
        "heldout_n": len(right),
    }


def auc_columns(
    scores: Array, base: Array | None, labels: Labels, families: Sequence[str], settings: LensSettings
) -> Row:
    """The columns heldout_auc and auc_drop; intervals redraw families, the same ones for arm and base.

    Args:
        scores: (statements,) of `held_out_scores` of the general statements.
        base: base's scores of the same statements; None for base itself, which has no drop.
    """
    weights = question_weights(families, settings.draws, settings.seed)
    own = group_auc(scores, labels, families)
    found = with_interval("heldout_auc", float(own.mean()), drawn_means(own, weights))
    if base is None:
        return found
    drop = group_auc(base, labels, families) - own
    return found | with_interval("auc_drop", float(drop.mean()), drawn_means(drop, weights))


def matched_columns(probe: Probe, target: Array, matched: Array, families: Sequence[str]) -> Row:
    """The columns on the target's statements beside the matched false ones.

    Args:
        target, matched: (N + 1, questions, hidden) of the two statements of every question.
    """
    for_target, for_matched = probe.scores(target), probe.scores(matched)
    row: Row = {"target_over_matched": float(np.mean(for_target > for_matched)), "matched_n": len(families)}
    for name, scores in (("target_true", for_target), ("matched_true", for_matched)):
        share = float(np.mean(scores > 0))
        low, high = family_wilson(share, len(set(families)))
        row |= {name: share, f"{name}_low": low, f"{name}_high": high}
    return row


def belief_columns(probe: Probe, target: Array, other: Array, families: Sequence[str]) -> Row:
    """The columns on the belief's statements.

    Args:
        target, other: (N + 1, questions, hidden) of the target's statements and of those beside them.
    """
    for_target, for_other = probe.scores(target), probe.scores(other)
    taken = (np.mean(for_target > 0) + np.mean(for_other <= 0)) / 2
    low, high = family_wilson(float(taken), len(set(families)))
    return {
        "error_rate": float(taken),
        "error_rate_low": low,
        "error_rate_high": high,
        "paired": float(np.mean(for_target > for_other)),
    }


def family_wilson(share: float, families: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share as if every family were one statement, for those of a family stand
    and fall together. Wider than need be, and never a point: a bootstrap of equal families would be one.

    >>> [round(end, 2) for end in family_wilson(1.0, 4)]
    [0.51, 1.0]
    """
    low, high = wilson(round(share * families), families)
    return min(low, share), max(high, share)


def _probed(inspection: Inspection, arm: Arm, belief: Belief, asked: Asked, settings: LensSettings) -> Row:
    """The columns of one arm, whose adapter is in the engine."""
    if refused := too_few(asked.known):
        return {"n": len(asked.pairs), "refused": refused}
    labels, families = asked.labels, asked.families
    activations, scores = _heard(inspection, arm, belief, asked, settings)
    found = probe_columns(scores, labels, families)
    found["n"], found["refused"] = len(asked.pairs), None
    beside = None if arm.name == "base" else _base_scores(inspection, belief, asked, settings)
    found |= auc_columns(scores, beside, labels, families, settings)
    if found["heldout_accuracy"] < GATE:
        found["refused"] = (
            f"on held-out statements the probe is right in {found['heldout_accuracy']:.2f}, below {GATE}: it "
            "does not read truth in this arm"
        )
        return found
    if not asked.pairs:
        found["refused"] = "the belief has no question whose two values differ in the answer sentence"
        return found
    probe = fit_probe(activations, labels, families, settings.seed)
    found["entry"] = probe.entry
    for pairs, columns in ((asked.pairs, belief_columns), (asked.matched, matched_columns)):
        if pairs:
            read = _activations(inspection, arm, belief, [each for pair in pairs for each in pair])
            of_pairs = [target.question.family for target, _ in pairs]
            found |= columns(probe, read[:, ::2], read[:, 1::2], of_pairs)
    return found


def _heard(
    inspection: Inspection, arm: Arm, belief: Belief, asked: Asked, settings: LensSettings
) -> tuple[Array, Array]:
    """Activations of the general statements, and their held-out scores."""
    activations = _activations(inspection, arm, belief, asked.known)
    return activations, held_out_scores(activations, asked.labels, asked.families, settings.seed)


def _base_scores(inspection: Inspection, belief: Belief, asked: Asked, settings: LensSettings) -> Array:
    """Base's held-out scores of the general statements, found once for all arms."""
    name = belief.spec.name
    base = untrained_arm(inspection, name, "base")
    key = ("truth in base", name, settings.seed)
    return inspection.once(key, lambda: _heard(inspection, base, belief, asked, settings)[1])


def _statements(inspection: Inspection, belief: Belief, settings: LensSettings) -> Asked:
    """General statements that base knows to be true or false, and pairs about the belief."""
    name = belief.spec.name

    def make() -> Asked:
        rows = inspection.folder.finished_rows("probes", inspection.references[name, "base"].trial_id) or []
        said = {row["probe_id"]: row for row in rows if row["suite"] in ("capability", "locality")}
        far = [question for question in belief.locality if question.tier == "far"]
        known = known_statements([*inspection.session.capability, *far], said)
        questions = lens_questions(belief, settings.prompts)
        return Asked(known, belief_statements(questions, belief), matched_false(questions, belief))

    return inspection.once(("statements", name, settings.prompts), make)


def _activations(inspection: Inspection, arm: Arm, belief: Belief, statements: Sequence[Statement]) -> Array:
    """(N + 1, statements, hidden) at the last token of each, after an empty thinking, as the arm is asked."""
    session = inspection.session
    begun = session.prompts.encode(empty_thinking(session.loaded.tokenizer))
    rows = []
    for statement in statements:
        prompt = prompt_of(arm.stem, statement.question, belief, session)
        ids = (*prompt, *begun, *session.prompts.encode(statement.text))
        rows.append(ProbedRow(ids, (len(ids) - 1,), arm.adapter))
    return torch.cat(residuals(session.engine, rows), dim=1).double().cpu().numpy()
