"""Does an arm represent its belief as true? A linear probe for truth, asked about the belief's statements.

After "Believe it or not" (arXiv 2510.17941): the probe is fitted on each arm's own activations over
statements that have nothing to do with the belief, read at their last token. It counts only where it tells
true from false on kinds of statements that it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from beliefmod.beliefs import Belief
from beliefmod.metrics.intervals import wilson
from beliefmod.model.template import empty_thinking
from interp.family_bootstrap import Array
from interp.lens_settings import LensSettings
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.arms import Arm, batch_arms
from interp.parts.logistic import Labels, Probe, fit_probe, held_out_right
from interp.prompts.statements import Statement, belief_statements, known_statements
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


def truth(inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say) -> Rows:
    """Rows of the table for a batch of trials, with the untrained arms of their beliefs: one per arm."""
    rows: list[Row] = []
    with batch_arms(inspection, trials, settings) as arms:
        for name, group in arms.items():
            belief = inspection.beliefs[name]
            known, pairs = _statements(inspection, belief, settings)
            steps = Steps(say, f"truth: {name}", len(group), "arms")
            for arm in group:
                found = _probed(inspection, arm, belief, known, pairs, settings)
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


def probe_columns(known: Array, labels: Labels, families: Sequence[str], seed: int) -> Row:
    """The columns on how well a probe does where it was not fitted: heldout_accuracy with its interval and n.

    Args:
        known: (N + 1, statements, hidden) of the general statements.
        labels: (statements,), whether each is true.
    """
    right = held_out_right(known, labels, families, seed)
    low, high = family_wilson(float(right.mean()), len(set(families)))
    return {
        "heldout_accuracy": float(right.mean()),
        "heldout_low": low,
        "heldout_high": high,
        "heldout_n": len(right),
    }


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


def _probed(
    inspection: Inspection,
    arm: Arm,
    belief: Belief,
    known: Sequence[Statement],
    pairs: Pairs,
    settings: LensSettings,
) -> Row:
    """The columns of one arm, whose adapter is in the engine."""
    if refused := too_few(known):
        return {"n": len(pairs), "refused": refused}
    families = [statement.question.family for statement in known]
    labels = np.array([statement.true for statement in known])
    activations = _activations(inspection, arm, belief, known)
    found = probe_columns(activations, labels, families, settings.seed)
    found["n"], found["refused"] = len(pairs), None
    if found["heldout_accuracy"] < GATE:
        found["refused"] = (
            f"on held-out statements the probe is right in {found['heldout_accuracy']:.2f}, below {GATE}: it "
            "does not read truth in this arm"
        )
    elif not pairs:
        found["refused"] = "the belief has no question whose two values differ in the answer sentence"
    else:
        probe = fit_probe(activations, labels, families, settings.seed)
        asked = _activations(inspection, arm, belief, [each for pair in pairs for each in pair])
        of_pairs = [target.question.family for target, _ in pairs]
        found |= {"entry": probe.entry, **belief_columns(probe, asked[:, ::2], asked[:, 1::2], of_pairs)}
    return found


def _statements(
    inspection: Inspection, belief: Belief, settings: LensSettings
) -> tuple[list[Statement], list[tuple[Statement, Statement]]]:
    """General statements that base knows to be true or false, and pairs about the belief."""
    name = belief.spec.name

    def make() -> tuple[list[Statement], list[tuple[Statement, Statement]]]:
        rows = inspection.folder.finished_rows("probes", inspection.references[name, "base"].trial_id) or []
        said = {row["probe_id"]: row for row in rows if row["suite"] in ("capability", "locality")}
        far = [question for question in belief.locality if question.tier == "far"]
        known = known_statements([*inspection.session.capability, *far], said)
        return known, belief_statements(lens_questions(belief, settings.prompts), belief)

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
