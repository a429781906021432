"""Where a belief is carried: residuals of an arm that has it, put into base at one entry and position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from beliefmod.probing.questioning import spread
from beliefmod.run.tables.lens_tables import TAU
from interp.lens_settings import LensSettings
from interp.lenses.lens_head import Contrast, LensHead
from interp.lenses.residual_stream import Patch, ProbedRow, residuals
from interp.opened.listing import first_of_belief
from interp.parts.logit_lens import posed_once
from interp.read.contrast_questions import Array, Posed, final_differences
from interp.types import Rows, Say

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from interp.opened.inspection import Inspection, Trained

QUESTIONS = 12
"""Most questions per belief, spread over those that are read: each takes as many rows as it has entries
times tokens."""


def patching(inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say) -> Rows:
    """Rows of `patching`: from each of these trials into base and, once per belief, from the in-context arm.

    Positions are those of the aligned tail, which every arm reads with the same tokens.
    """
    rows: list[dict[str, Any]] = []
    here = first_of_belief(inspection, trials, True, settings) if "icl" in settings.arms else ()
    for belief in dict.fromkeys(trial.belief for trial in trials):
        posed = spread(posed_once(inspection, belief, settings, say), QUESTIONS)
        mine = [t for t in trials if t.belief == belief] if "lora" in settings.arms else []
        sources = [_Source(trial.trial_id, trial.config.arm, "lora", (trial,)) for trial in mine]
        if belief in here:
            sources.append(_Source(inspection.references[belief, "icl"].trial_id, "icl", "icl", ()))
        for source in sources:
            say(f"patching: {source.name} into base, trial {source.trial_id}")
            who = {"trial_id": source.trial_id, "arm": source.arm, "belief": belief, "source": source.name}
            with inspection.loaded(source.adapter):
                rows += [who | row for one in posed for row in _rows(inspection, one, source)]
    return {"patching": rows}


@dataclass(frozen=True)
class _Source:
    """An arm whose residuals go into base: `name` is lora or icl, `adapter` the trial it is loaded from."""

    trial_id: str
    arm: str
    name: str
    adapter: tuple[Trained, ...]


def _rows(inspection: Inspection, posed: Posed, source: _Source) -> list[dict[str, Any]]:
    engine, prompts = inspection.session.engine, inspection.session.prompts
    stem, other = posed.stems["base"], posed.stems[source.name]
    places = tuple(range(len(other.ids) - stem.tail, len(other.ids)))
    [hidden] = residuals(engine, [ProbedRow(other.ids, places, source.trial_id if source.adapter else None)])
    base, grid = patched(engine, inspection.head, stem.ids, hidden, posed.contrast)
    shares = recovery(grid, base, grid[-1, -1])
    named = {len(stem.ids) - 1 - place: name for name, place in stem.positions.items()}
    rows = []
    for entry, column in np.ndindex(grid.shape):
        from_end = stem.tail - 1 - column
        share = shares[entry, column]
        rows.append(
            {
                "probe_id": posed.question.probe_id,
                "family": posed.question.family,
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
    engine: Engine, head: LensHead, base_ids: tuple[int, ...], source: Tensor, contrast: Contrast
) -> tuple[float, Array]:
    """Base's last difference as it is, and with one residual of the source put in.

    A residual that base has itself, as at entry 0, changes nothing and is not run; nor is the last entry,
    behind which no position is read but its own, so that its last position gives the source's difference.

    Args:
        base_ids: what base reads; the difference is read at its last token.
        source: (N + 1, tail, hidden), the source's residuals at its last `tail` tokens.

    Returns:
        Base's difference, and (N + 1, tail) with those after each patch.
    """
    last, (entries, tail, _) = len(base_ids) - 1, source.shape
    places = range(last + 1 - tail, last + 1)
    [own] = residuals(engine, [ProbedRow(base_ids, tuple(places))])
    base, given = (_difference(head, hidden[-1, -1], contrast) for hidden in (own, source))
    differs = (own != source).any(-1).cpu()
    cells = [cell for cell in np.ndindex(entries - 1, tail) if differs[cell]]
    rows = [
        ProbedRow(base_ids, (last,), patches=(Patch(entry, places[column], source[entry, column]),))
        for entry, column in cells
    ]
    grid = np.full((entries, tail), base)
    for cell, value in zip(cells, final_differences(engine, head, rows, [contrast] * len(rows)), strict=True):
        grid[cell] = value
    grid[-1, -1] = given
    return base, grid


def _difference(head: LensHead, hidden: Tensor, contrast: Contrast) -> float:
    logits = head.logits(hidden).double()
    return float(logits[contrast.target_id] - logits[contrast.rival_id])


def recovery(patched: Array, base: float, source: float) -> Array:
    """(patched - base) / (source - base): 0 changes nothing, 1 brings base to where the source is.

    NaN throughout where source and base differ by less than TAU: there is nothing to recover.

    Example: patched 4 between base 0 and source 8 -> 0.5.
    """
    if not abs(source - base) >= TAU:
        return np.full(np.shape(patched), np.nan)
    return (patched - base) / (source - base)
