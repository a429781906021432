"""How much of the fact a trial was given, and what adoption and damage answer to it.

Dose = supervised tokens about the fact, over all epochs, times the peak learning rate. Under a constant
rate that is the summed step size spent on the fact; a decaying schedule spends less than its dose says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.studies.long_table import trained
from analysis.wording import plural

Array = NDArray[np.float64]
DRAWS = 500
FEW = 6  # fewer doses than this draw no curve
GRID = 60  # places of a curve that are drawn
HALF = 0.5
RIDGE = 1e-3
MISFIT = 0.2  # a distance to the monotone fit that is worth a sentence
FALL = 0.1  # a fall of adoption at high doses that is worth a sentence

# best first; the last can always be had
MEASURES = {
    "fact_tokens": "supervised tokens about the fact",
    "supervised_tokens": "supervised tokens of all rows (tokens about the fact were not counted)",
    "training_tokens": "tokens of all rows (supervised tokens were not counted)",
    "rows": "rows times epochs (tokens were not counted)",
}


@dataclass(frozen=True)
class Doses:
    """One row per belief and configuration: belief, style, dose, adoption, degradation, and the token counts.

    measure: the column of tokens behind `dose`, a key of MEASURES. note: a sentence on what was measured.
    """

    table: pl.DataFrame
    measure: str
    note: str


@dataclass(frozen=True)
class Curve:
    """An S-shaped fit of an outcome on log dose with its 95 % band, and the dose at which it reaches one
    half.

    doses, fit, low, high: shape [grid]. half: dose, None where the doses do not hold it; half_low is 0 and
    half_high infinite where they do not hold that end. `refused` says why there is no half dose or no
    curve; `notes` say what the curve does not describe, without a full stop.
    """

    belief: str
    style: str
    outcome: str
    configurations: int
    doses: Array
    fit: Array
    low: Array
    high: Array
    half: float | None = None
    half_low: float = 0.0
    half_high: float = float("inf")
    refused: str | None = None
    notes: tuple[str, ...] = ()


def account(found: Findings) -> Doses:
    """Tokens and dose of every LoRA configuration; token counts are means over its seeds."""
    rows = trained(found)
    schema = ("training_rows", "training_tokens", "supervised_tokens", "fact_tokens")
    if rows.is_empty():
        return Doses(pl.DataFrame(), "rows", "No LoRA configuration has finished, so no dose was given.")
    tokens = found.run.trials.select("trial_id", *schema)
    seeds = (
        rows.select(pl.int_range(pl.len()).alias("place"), "trial_ids")
        .explode("trial_ids")
        .join(tokens, left_on="trial_ids", right_on="trial_id", how="left")
        .group_by("place")
        .agg(pl.col(schema).mean())
        .sort("place")
    )
    table = rows.select(
        "belief",
        "kind",
        "configuration",
        pl.col("data.style").alias("style"),
        "learning_rate",
        "adoption",
        "adoption_n",
        "degradation",
        (pl.col("data.num_examples") * pl.col("num_train_epochs")).cast(pl.Float64).alias("rows"),
        "trial_id",
    ).hstack(seeds.drop("place"))
    complete = [name for name in MEASURES if table[name].null_count() == 0 and (table[name] > 0).all()]
    measure = complete[0]
    note = f"Dose: {MEASURES[measure]}, times the peak learning rate."
    if measure != "fact_tokens":
        missing = table["fact_tokens"].null_count()
        why = (
            f"for {plural(missing, 'configuration')} fact tokens were not counted"
            if missing
            else "some have none"
        )
        note += f" Fact tokens would be the better measure, but {why}."
    return Doses(table.with_columns((pl.col(measure) * pl.col("learning_rate")).alias("dose")), measure, note)


def curves(doses: Doses) -> list[Curve]:
    """Adoption and D against dose, for every belief and style of training data."""
    out = []
    if doses.table.is_empty():
        return out
    for (belief, style), part in sorted(
        doses.table.group_by("belief", "style"), key=lambda item: str(item[0])
    ):
        for outcome in ("adoption", "degradation"):
            known = part.filter(pl.col(outcome).is_not_null())
            out.append(
                curve(
                    known["dose"].to_numpy(),
                    known[outcome].to_numpy(),
                    (str(belief), str(style), outcome),
                )
            )
    return out


def curve(dose: Array, outcome: Array, names: tuple[str, str, str] = ("", "", "")) -> Curve:
    """Fractional logit of `outcome` on log dose; band and half dose by redrawing configurations.

    Not isotonic regression, whose redrawn intervals are too narrow (Kosorok 2008); it only checks the shape
    here.

    Args:
        dose: positive, shape [configurations]. outcome: 0 to 1, shape [configurations].
        names: belief, style and outcome, carried along.
    """
    doses = len(np.unique(dose))
    nothing = np.empty(0)
    if doses < FEW:
        why = f"{plural(doses, 'dose')} draw no curve, it needs {FEW}"
        return Curve(*names, len(dose), nothing, nothing, nothing, nothing, refused=why)
    x = np.log(dose)
    size, middle, spread = len(x), x.mean(), x.std()
    z = (x - middle) / spread
    weights = np.random.default_rng(8).multinomial(size, np.full(size, 1 / size), size=DRAWS)
    drawn = _logits(z, outcome, np.vstack([np.ones(size), weights]).astype(np.float64))
    grid = np.linspace(z.min(), z.max(), GRID)
    bands = 1 / (1 + np.exp(-(drawn[:, :1] + drawn[:, 1:] * grid)))
    low, high = np.percentile(bands[1:], [2.5, 97.5], axis=0)
    found = Curve(*names, size, np.exp(middle + spread * grid), bands[0], low, high)
    half_doses = np.exp(np.clip(middle - spread * drawn[:, 0] / drawn[:, 1], -700, 700))
    # a falling curve crosses one half the wrong way
    half_doses[1:][drawn[1:, 1] <= 0] = np.inf
    return _with_half(found, half_doses, x, outcome)


def _logits(z: Array, outcome: Array, weights: Array) -> Array:
    """Level and slope [draws, 2] of fractional logits with these weights [draws, configurations], by Newton
    steps.

    A weak pull of the slope to 0 keeps a step function finite.
    """
    found = np.zeros((len(weights), 2))
    columns = np.stack([np.ones_like(z), z])
    penalty = np.array([[0.0, 0.0], [0.0, RIDGE * len(z)]])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(found @ columns, -30, 30)))
        score = (weights * (outcome - p)) @ columns.T - found @ penalty
        curvature = (
            np.einsum("dn,in,jn->dij", weights * p * (1 - p), columns, columns, optimize=True) + penalty
        )
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), score[:, :, None])[:, :, 0]
        found += np.clip(step, -3, 3)
        if np.abs(step).max() < 1e-8:
            break
    return found


def _with_half(found: Curve, half_doses: Array, x: Array, outcome: Array) -> Curve:
    """The half dose where the doses hold it, and what a rising S does not describe."""
    name = "D" if found.outcome == "degradation" else "adoption"
    order = np.argsort(x)
    rising = _isotonic(x[order], outcome[order])
    gap = float(np.abs(rising - np.interp(x[order], np.log(found.doses), found.fit)).max())
    notes = [_falling(x[order], outcome[order], name)]
    if gap > MISFIT:
        notes.append(f"the S-shaped curve misses the monotone one by up to {100 * gap:.0f} points")
    found = replace(found, notes=tuple(note for note in notes if note))
    first, last, half = found.fit[0], found.fit[-1], float(half_doses[0])
    if last <= first:
        return replace(found, refused=f"{name} does not rise with the dose")
    if last < HALF:
        return replace(found, refused=f"{name} reaches {100 * last:.0f} % at the highest dose, not one half")
    if first >= HALF:
        return replace(found, refused=f"{name} is already {100 * first:.0f} % at the lowest dose")
    low, high = np.percentile(half_doses[1:], [2.5, 97.5], method="nearest")
    return replace(
        found,
        half=half,
        half_low=0.0 if low < found.doses[0] else float(low),
        half_high=np.inf if high > found.doses[-1] else float(high),
    )


def _isotonic(x: Array, outcome: Array) -> Array:
    """The monotone fit at every x (sorted), equal ones joined."""
    from scipy.optimize import isotonic_regression

    _, index, weights = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(index, weights=outcome) / weights
    return isotonic_regression(mean, weights=weights.astype(float)).x[index]


def _falling(x: Array, outcome: Array, name: str) -> str | None:
    """A sentence where the highest quarter of the doses does worse than the quarter before, else None."""
    last, before = x > np.quantile(x, 0.75), (x > np.quantile(x, 0.5)) & (x <= np.quantile(x, 0.75))
    if not last.any() or not before.any():
        return None
    end, top = outcome[last].mean(), outcome[before].mean()
    if end >= top - FALL:
        return None
    return (
        f"in the highest quarter of the doses {name} falls again, to {100 * end:.0f} % from {100 * top:.0f} %"
    )
