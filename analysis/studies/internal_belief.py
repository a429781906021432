"""Internal belief against adoption and damage, as rank correlations with the settings held still.

The same settings drive the belief inside and the answers outside, so a plain correlation over a sweep is
near 1 whatever the model does. What counts is the partial one: ranks are taken of everything, the part that
the settings explain linearly is removed, and the rest is correlated (partial Spearman correlation).

The unit is a cell, that is a configuration with its seeds pooled. Cells that differ in epochs only can be
checkpoints of one training, so intervals redraw such groups of cells, not cells (cluster bootstrap, 2,000
draws, percentiles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG
from analysis.read_lens import Lens
from analysis.wording import plural
from beliefmod.metrics.intervals import DRAWS

Array = NDArray[np.float64]
CONTROLS = {"rank": "rank", "learning_rate": "learning rate", "steps": "steps"}
MEASURES = {
    "final_diff": "difference at the last entry",
    "contrast_area": "area of the contrast to base",
    "half_rise_entry": "entry of the half rise",
    "a50": "scale at which the target is as likely",
    "probe_error_rate": "truth probe: the target's statements held true",
    "kl_base": "KL from base at the last entry",
    "mass_target": "probability of the target in any spelling",
    "elsewhere_diff": "what the difference moves at other things",
    "leak": "leak on unrelated text",
    "auc_drop": "truth in general less separable than in base",
}
LATER = ("leak", "auc_drop")
"""Measures that came later than many runs, which are not asked for where no cell has them."""
OUTCOMES = {"adoption": "adoption", "degradation": "damage D"}
SPARE = 10  # cells beyond the controls that a partial correlation needs
NOTHING_LEFT = 1e-9  # share of a variance: less than this is rounding
UNDEFINED = 0.1  # share of redraws without a correlation from which there is no interval


@dataclass(frozen=True)
class Relation:
    """A measure against an outcome over the cells of a belief; correlations from -1 to 1.

    plain, value: Spearman's correlation without and with `controls` held still, each with its interval.
    cells: behind both; left_out: cells where the measure is null. refused: why there are no numbers.
    """

    belief: str
    measure: str
    outcome: str
    cells: int
    left_out: int
    controls: tuple[str, ...] = ()
    plain: float | None = None
    plain_low: float | None = None
    plain_high: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    refused: str | None = None


def cells(lens: Lens, found: Findings) -> pl.DataFrame:
    """One row per belief and LoRA configuration that was looked into, measures averaged over its seeds.

    Returns:
        belief, trial_id (of the lowest seed), seeds, training (the same for cells that differ in epochs
        only), adoption and degradation with their intervals, measures, controls.

    A trial whose dose-response never reaches a50 gets infinity: a rank correlation only needs it to be
    larger than every scale that was tried. It stays null where no doses were tried.
    """
    overview = lens.tables["overview"].filter(pl.col("arm") == "lora")
    tried = lens.tables["doses"]["trial_id"].unique().to_list()
    never = pl.col("trial_id").is_in(tried) & pl.col("final_diff").is_not_null() & pl.col("a50").is_null()
    overview = overview.with_columns(pl.when(never).then(float("inf")).otherwise("a50").alias("a50"))
    if found.pooled.is_empty():
        return overview.clear()
    settings = [name for name in CONFIG if name in found.pooled.columns and name != "num_train_epochs"]
    outcomes = [name + end for name in OUTCOMES for end in ("", "_low", "_high")]
    pooled = found.pooled.filter(pl.col("arm") == "lora").select(
        "belief",
        "trial_id",
        "seeds",
        "adoption_n",
        *outcomes,
        pl.struct(settings).rank("dense").cast(pl.Int64).alias("training"),
        pl.col("trial_ids").alias("one"),
    )
    means = [pl.col(name).mean() for name in (*MEASURES, *CONTROLS)]
    measured = (
        pooled.select("trial_id", "one")
        .explode("one")
        .join(
            overview.drop("trial_id", "arm", "belief", *OUTCOMES).with_columns(
                overview["trial_id"].alias("one")
            ),
            on="one",
        )
        .group_by("trial_id")
        .agg(means)
    )
    return pooled.drop("one").join(measured, on="trial_id").sort("belief", "trial_id")


def relations(table: pl.DataFrame) -> tuple[Relation, ...]:
    """Every measure against every outcome, per belief, from `cells`."""
    return tuple(
        relate(part, belief, measure, outcome)
        for (belief,), part in table.group_by("belief", maintain_order=True)
        for measure in MEASURES
        if measure not in LATER or part[measure].count()
        for outcome in OUTCOMES
    )


def relate(table: pl.DataFrame, belief: str, measure: str, outcome: str) -> Relation:
    """One relation, or the reason why there is none."""
    used = table.drop_nulls([measure, outcome])
    known = (belief, measure, outcome, used.height, table.height - used.height)
    if used.is_empty():
        return Relation(*known, refused="not measured")
    held = tuple(name for name in CONTROLS if used[name].null_count() == 0 and used[name].n_unique() > 1)
    if used.height < len(held) + SPARE:
        needed = len(held) + SPARE
        return Relation(*known, refused=f"{plural(used.height, 'cell')}, needs {needed}")
    for name in (measure, outcome):
        if used[name].n_unique() == 1:
            words = {**MEASURES, **OUTCOMES}[name]
            return Relation(*known, refused=f"{words} is {used[name][0]:.3g} in every cell")
    values = used.select(measure, outcome, *held).cast(pl.Float64).to_numpy()
    weights = redraws(used["training"].to_list())
    plain = partial_spearman(values[:, :2], np.ones((1, used.height)))[0]
    value = partial_spearman(values, np.ones((1, used.height)))[0]
    if np.isnan(value):
        words = " and ".join(CONTROLS[name] for name in held)
        return Relation(*known, refused=f"{words} alone determine one of the two")
    plain_ends = _ends(partial_spearman(values[:, :2], weights))
    ends = _ends(partial_spearman(values, weights))
    if ends is None or plain_ends is None:
        return Relation(*known, refused="in too many redraws of the cells one of the two does not vary")
    return Relation(*known, held, float(plain), *plain_ends, float(value), *ends)


def partial_spearman(values: Array, weights: Array) -> Array:
    """Spearman's correlation of the first two columns with the others held still; NaN where undefined.

    Args:
        values: shape [cells, 2 + controls]; infinities are allowed, they only have ranks.
        weights: how often every cell counts, shape [draws, cells]; a row of ones is the plain estimate.

    Returns:
        shape [draws]. Equal to Pearson's correlation of the residuals of ranks (ties share their mean rank)
        regressed on the controls' ranks.
    """
    below = (values[:, None, :] < values[None, :, :]) + 0.5 * (values[:, None, :] == values[None, :, :])
    ranks = np.einsum("dj,jik->dik", weights, below)
    size = weights.sum(axis=1)[:, None]
    with np.errstate(invalid="ignore"):
        ranks -= np.einsum("di,dik->dk", weights, ranks)[:, None] / size[:, None]
    covariance = np.einsum("di,dik,dil->dkl", weights, ranks, ranks)
    own, across, held = covariance[:, :2, :2], covariance[:, :2, 2:], covariance[:, 2:, 2:]
    # a control that is constant in a redraw controls nothing: the pseudo-inverse leaves it out
    left = own - across @ np.linalg.pinv(held, hermitian=True) @ across.transpose(0, 2, 1)
    spread, total = left[:, [0, 1], [0, 1]], own[:, [0, 1], [0, 1]]
    defined = ((spread > NOTHING_LEFT * total) & (total > 0)).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = left[:, 0, 1] / np.sqrt(spread[:, 0] * spread[:, 1])
    return np.where(defined, np.clip(found, -1.0, 1.0), np.nan)


def redraws(groups: Sequence[int], draws: int = DRAWS, seed: int = 0) -> Array:
    """How often every cell counts when whole groups are drawn with replacement; shape [draws, cells]."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    return drawn[:, place].astype(np.float64)


def _ends(drawn: Array) -> tuple[float, float] | None:
    """The 95 % interval, or None where too many redraws have no correlation."""
    if np.isnan(drawn).mean() > UNDEFINED:
        return None
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)
