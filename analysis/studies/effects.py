"""What each setting does to adoption and damage: logit regressions, and plain means per setting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.findings import Findings
from analysis.frontier.non_dominated import varying
from analysis.stats.designs import Refused, build_design
from analysis.stats.regression import Effect, effects, fit_logit
from analysis.stats.resample import Counts, adoption_hits, family_interval
from analysis.studies.long_table import LongTable, adoption_by_family, counted, trained
from analysis.told_apart import by_belief

EVERY = "all beliefs"
NEARLY_NONE = 0.005  # a D below this is no damage
DRAWS = 1000
MOST_LEVELS = 12  # more values than this are ranges, not levels


@dataclass(frozen=True)
class Regression:
    """The effects of the settings on one outcome in one belief, or in all with a level of its own for each.

    outcome: "adoption" or "damage". clusters: what the intervals allow for, such as {"families": 24}.
    notes: sentences on what was left out.
    """

    outcome: str
    scope: str
    effects: tuple[Effect, ...]
    clusters: dict[str, int]
    questions: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoRegression:
    """Why an outcome has no regression in a scope, without a full stop."""

    outcome: str
    scope: str
    reason: str


@dataclass(frozen=True)
class Mean:
    """Mean over the configurations with a setting at one level, 0 to 1, with its 95 % interval.

    Adoption: the interval redraws question families. Damage: it redraws configurations; None with fewer
    than two.
    """

    belief: str
    outcome: str
    axis: str
    level: object
    value: float
    low: float | None
    high: float | None
    configurations: int


def regressions(found: Findings) -> list[Regression | NoRegression]:
    """Adoption and damage on the varying settings: over all beliefs first, then each belief."""
    found = by_belief(found)
    table, rows = adoption_by_family(found), trained(found).filter(pl.col("degradation").is_not_null())
    beliefs = sorted(trained(found)["belief"].unique())
    scopes = [(EVERY, beliefs)] if len(beliefs) > 1 else []
    scopes += [(belief, [belief]) for belief in beliefs]
    out: list[Regression | NoRegression] = [_adoption(table, scope, names) for scope, names in scopes]
    return out + [_damage(rows, scope, names) for scope, names in scopes]


def _adoption(table: LongTable, scope: str, beliefs: list[str]) -> Regression | NoRegression:
    part, notes = table.of(beliefs), []
    if not part.points.height:
        return NoRegression("adoption", scope, "no configuration has a measured adoption")
    if len(beliefs) > 1:
        totals = part.points.select("belief").with_columns(
            pl.Series("hits", np.bincount(part.place, part.hits, part.points.height)),
            pl.Series("asked", np.bincount(part.place, part.asked, part.points.height)),
        )
        flat = (
            totals.group_by("belief")
            .sum()
            .filter((pl.col("hits") == 0) | (pl.col("hits") == pl.col("asked")))
        )
        if flat.height:
            notes.append(
                f"{', '.join(sorted(flat['belief']))} left out: the same answer in every configuration"
            )
            part = part.of([name for name in beliefs if name not in set(flat["belief"])])
            if not part.points.height:
                return NoRegression("adoption", scope, "in no belief does adoption vary")
    design = build_design(part.points, varying(part.points)).spread(part.place)
    clusters = {"configurations": part.points["configuration"].to_numpy()[part.place]}
    if part.family is not None:
        clusters["families"] = part.family
    else:
        notes.append("probe files are missing, so the intervals do not allow for question families")
    fit = fit_logit(design, part.hits, part.asked, clusters)
    if isinstance(fit, Refused):
        return NoRegression("adoption", scope, fit.reason)
    return Regression(
        "adoption",
        scope,
        effects(fit, part.asked),
        dict(fit.clusters),
        int(part.asked.sum()),
        (*notes, *_aliased(design.aliased)),
    )


def _damage(rows: pl.DataFrame, scope: str, beliefs: list[str]) -> Regression | NoRegression:
    rows = rows.filter(pl.col("belief").is_in(beliefs))
    if rows.is_empty():
        return NoRegression("damage", scope, "no configuration has a measured D")
    damage = rows["degradation"].to_numpy()
    if (none := int((damage < NEARLY_NONE).sum())) > 0.5 * len(damage):
        return NoRegression(
            "damage",
            scope,
            f"D is below {NEARLY_NONE:g} in {none} of {len(damage)} configurations, too few are damaged to "
            "say by what",
        )
    notes = []
    if len(beliefs) > 1:
        flat = rows.group_by("belief").agg(pl.col("degradation").max()).filter(pl.col("degradation") <= 0)
        if flat.height:
            notes.append(f"{', '.join(sorted(flat['belief']))} left out: no damage at all")
            rows = rows.filter(~pl.col("belief").is_in(flat["belief"].to_list()))
            damage = rows["degradation"].to_numpy()
    design, ones = build_design(rows, varying(rows)), np.ones(len(damage))
    fit = fit_logit(design, damage, ones, {"configurations": rows["configuration"].to_numpy()})
    if isinstance(fit, Refused):
        return NoRegression("damage", scope, fit.reason)
    notes += _aliased(design.aliased)
    return Regression("damage", scope, effects(fit, ones), dict(fit.clusters), None, tuple(notes))


def _aliased(axes: tuple[str, ...]) -> list[str]:
    return [
        f"{axis} moves together with the other settings, so its own effect cannot be seen" for axis in axes
    ]


def marginal_means(found: Findings) -> list[Mean]:
    """Plain means of adoption and D per belief and level of the varying settings of at most twelve levels."""
    found = by_belief(found)
    rows = trained(found)
    cells = counted(found.probes, rows, *adoption_hits())
    means = []
    for belief in sorted(rows["belief"].unique()):
        here = rows.with_row_index("place").filter(pl.col("belief") == belief)
        for axis in varying(here):
            if here[axis].n_unique() > MOST_LEVELS:
                continue
            for level in here[axis].unique().sort().to_list():
                part = here.filter(pl.col(axis).eq_missing(pl.lit(level, dtype=here.schema[axis])))
                means += _means(part, cells, belief, axis, level)
    return means


def _means(part: pl.DataFrame, cells: pl.DataFrame, belief: str, axis: str, level: object) -> list[Mean]:
    out = []
    if len(values := part["adoption"].drop_nulls()):
        summed = (
            cells.filter(pl.col("place").is_in(part["place"].to_list()))
            .group_by("cluster")
            .agg(pl.col("hits").sum(), pl.col("asked").sum())
            .sort("cluster")
        )
        interval = None
        if summed.height:
            # one suite, so that all families are drawn together
            names = tuple(f"belief/{name}" for name in summed["cluster"])
            hits, asked = (summed[x].cast(pl.Float64).to_numpy()[None, None] for x in ("hits", "asked"))
            interval = family_interval(Counts(names, hits, asked), 0)
        mean = float(np.mean(values.to_numpy()))
        low, high = interval if interval else (None, None)
        out.append(Mean(belief, "adoption", axis, level, mean, low, high, len(values)))
    if len(damage := part["degradation"].drop_nulls().to_numpy()):
        low, high = _redrawn(damage)
        out.append(Mean(belief, "damage", axis, level, float(damage.mean()), low, high, len(damage)))
    return out


def _redrawn(values: np.ndarray) -> tuple[float | None, float | None]:
    """Percentile interval of a mean over redrawn configurations."""
    if len(values) < 2:
        return None, None
    size = len(values)
    drawn = np.random.default_rng(6).multinomial(size, np.full(size, 1 / size), size=DRAWS) @ values / size
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
