"""Activation patching: residuals of an arm that has a belief, put into base at one entry and position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from beliefmod.probing.questioning import spread
from beliefmod.run.tables.lens_tables import TAU
from interp.family_bootstrap import Array
from interp.lens_settings import LensSettings
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import Patch, ProbedRow, residuals
from interp.opened.arms import Arm, first_of_belief, trained_arm, untrained_arm
from interp.read.contrast_questions import ContrastQuestion, final_differences, questions_of
from interp.steps import Steps, Told, untold
from interp.types import Row, Rows, Say

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from interp.opened.inspection import Inspection, TrainedTrial

QUESTIONS = 12
"""Most questions per belief, spread over those that are read: each takes as many rows as it has entries
times tokens."""


def patching(
    inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say
) -> Rows:
    """Rows of `patching`: from each of these trials into base and, once per belief, from the in-context arm.

    Positions are those of the aligned tail, which every arm reads with the same tokens.
    """
    rows: list[Row] = []
    here = first_of_belief(inspection, trials, True, settings) if "icl" in settings.arms else ()
    trained = trials if "lora" in settings.arms else ()
    with inspection.loaded(trained):
        for belief in dict.fromkeys(trial.belief for trial in trials):
            asked = spread(questions_of(inspection, belief, settings, say), QUESTIONS)
            sources = [trained_arm(trial) for trial in trained if trial.belief == belief]
            if belief in here:
                sources.append(untrained_arm(inspection, belief, "icl"))
            for source in sources:
                title = f"patching: {source.stem} into base, trial {source.trial_id}"
                say(title)
                steps = Steps(say, title, len(asked), "prompts")
                rows += [row for one in asked for row in _rows(inspection, one, source, steps)]
    return {"patching": rows}


def _rows(inspection: Inspection, asked: ContrastQuestion, source: Arm, told: Told) -> list[Row]:
    engine, prompts = inspection.session.engine, inspection.session.prompts
    stem, other = asked.stems["base"], asked.stems[source.stem]
    positions = tuple(range(len(other.ids) - stem.tail, len(other.ids)))
    [hidden] = residuals(engine, [ProbedRow(other.ids, positions, source.adapter)])
    base, grid = patched(engine, inspection.head, stem.ids, hidden, asked.tokens, told)
    shares = recovery(grid, base, grid[-1, -1])
    named = {len(stem.ids) - 1 - position: name for name, position in stem.positions.items()}
    rows = []
    for entry, column in np.ndindex(grid.shape):
        from_end = stem.tail - 1 - column
        share = shares[entry, column]
        rows.append(
            {
                **source.columns,
                "source": source.stem,
                "probe_id": asked.question.probe_id,
                "family": asked.question.family,
                "entry": entry,
                "from_end": from_end,
                "token": prompts.text((stem.ids[-1 - from_end],)),
                "position": named.get(from_end),
                "logit_diff": float(grid[entry, column]),
                "recovery": None if np.isnan(share) else float(share),
            }
        )
    return rows


def patched(
    engine: Engine,
    head: LensHead,
    base_ids: tuple[int, ...],
    source: Tensor,
    tokens: AnswerTokens,
    told: Told = untold,
) -> tuple[float, Array]:
    """Base's last difference as it is, and with one residual of the source put in.

    A residual that base has itself, as at entry 0, changes nothing and is not run; nor is the last entry,
    behind which no position is read but its own, so that its last position gives the source's difference.

    Args:
        base_ids: what base reads; the difference is read at its last token.
        source: (N + 1, tail, hidden), the source's residuals at its last `tail` tokens.
        told: hears now and then which further share of the patches is run, 0 to 1.

    Returns:
        Base's difference, and (N + 1, tail) with those after each patch.
    """
    last, (entries, tail, _) = len(base_ids) - 1, source.shape
    positions = range(last + 1 - tail, last + 1)
    [own] = residuals(engine, [ProbedRow(base_ids, tuple(positions))])
    base, given = head.logit_diff(torch.stack((own[-1, -1], source[-1, -1])), [tokens] * 2)
    differs = (own != source).any(-1).cpu()
    cells = [cell for cell in np.ndindex(entries - 1, tail) if differs[cell]]
    rows = [
        ProbedRow(base_ids, (last,), patches=(Patch(entry, positions[column], source[entry, column]),))
        for entry, column in cells
    ]
    grid = np.full((entries, tail), base)
    values = final_differences(engine, head, rows, [tokens] * len(rows), lambda done: told(done / len(rows)))
    for cell, value in zip(cells, values, strict=True):
        grid[cell] = value
    grid[-1, -1] = given
    return float(base), grid


def recovery(patched: Array, base: float, source: float) -> Array:
    """(patched - base) / (source - base): 0 changes nothing, 1 brings base to where the source is.

    NaN throughout where source and base differ by less than TAU: there is nothing to recover.

    Example: patched 4 between base 0 and source 8 -> 0.5.
    """
    if not abs(source - base) >= TAU:
        return np.full(np.shape(patched), np.nan)
    return (patched - base) / (source - base)
