"""H1 on a run: adoption of novel against existing beliefs at equal settings, the belief as the unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG, finished
from analysis.stats.resample import adoption_hits
from analysis.studies.hypotheses import (
    MARGIN,
    MIN_BELIEFS,
    beliefs_needed,
    permutation,
    prompts_needed,
    stated_margin,
    verdict,
    welch,
)
from analysis.told_apart import by_belief

Array = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True)
class Value:
    """One belief's number, a share; `kind` is existing or novel."""

    belief: str
    kind: str
    value: float


@dataclass(frozen=True)
class Contrast:
    """Novel minus existing. Shares; `difference` is None and `refused` says why where it cannot be tested.

    needed_smallest, needed_seen: beliefs per class for 80 % power at the smallest effect of interest and at
    the effect seen; prompts: per class, were prompts the unit. None where the data give no spread or no
    effect.
    """

    name: str
    values: tuple[Value, ...] = ()
    difference: float | None = None
    low: float = -1.0
    high: float = 1.0
    p: float = 1.0
    arrangements: int = 0
    verdict: str = "undecided"
    needed_smallest: int | None = None
    needed_seen: int | None = None
    prompts: int | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Novelty:
    """The pre-stated contrast first. cells: configurations times seeds that all beliefs share."""

    contrasts: tuple[Contrast, ...]
    cells: int
    notes: tuple[str, ...] = ()


def novelty(found: Findings) -> Novelty:
    """Test H1 on the finished LoRA trials."""
    found = by_belief(found)
    rows = _cells(found)
    kinds = {
        str(belief): str(kind)
        for belief, kind in rows.select("belief", "kind").drop_nulls().unique().iter_rows()
    }
    counts = {kind: sum(value == kind for value in kinds.values()) for kind in ("novel", "existing")}
    if min(counts.values()) < MIN_BELIEFS:
        have = f"{counts['novel']} novel and {counts['existing']} existing with a finished LoRA trial"
        reason = f"it needs at least {MIN_BELIEFS} beliefs in each class, and has {have}"
        return Novelty((Contrast("at the same settings", refused=reason),), 0)
    shared = (
        rows.group_by("cell").agg(pl.col("belief").n_unique().alias("n")).filter(pl.col("n") == len(kinds))
    )
    matched = rows.filter(pl.col("cell").is_in(shared["cell"].to_list()))
    if matched.is_empty():
        reason = f"no configuration and seed has finished for all {len(kinds)} beliefs"
        return Novelty((Contrast("at the same settings", refused=reason),), 0)
    means = dict(matched.group_by("belief").agg(pl.col("adoption").mean()).iter_rows())
    notes = []
    if (lost := rows["cell"].n_unique() - shared.height) > 0:
        notes.append(f"{lost} combinations of configuration and seed lack a belief and are left out")
    margin, redrawn = stated_margin(found.run), _redrawn(found, matched, kinds)
    first = contrast("at the same settings", _values(means, kinds), redrawn, margin)
    others = (_equal_damage(found, matched, kinds), _without_control(found, means, kinds))
    return Novelty((first, *others), shared.height, tuple(notes))


def contrast(
    name: str,
    values: Sequence[Value],
    bootstrap: tuple[float, float] | None = None,
    margin: float = MARGIN,
) -> Contrast:
    """Permutation, interval and verdict for one value per belief, at least three in each class.

    Args:
        bootstrap: an interval that the result must not be narrower than.
        margin: the smallest effect of interest, as a share.
    """
    sides = [[v.value for v in values if v.kind == kind] for kind in ("novel", "existing")]
    if min(map(len, sides)) < MIN_BELIEFS:
        reason = f"it needs {MIN_BELIEFS} beliefs in each class, and has {len(sides[0])} and {len(sides[1])}"
        return Contrast(name, tuple(values), refused=reason)
    novel, existing = sides
    difference = float(np.mean(novel) - np.mean(existing))
    low, high = welch(novel, existing)
    if bootstrap is not None:
        low, high = min(low, bootstrap[0]), max(high, bootstrap[1])
    p, arrangements = permutation(novel, existing)
    spread = float(np.sqrt((np.var(novel, ddof=1) + np.var(existing, ddof=1)) / 2))
    a, b = (float(np.clip(np.mean(side), 0, 1)) for side in sides)
    return Contrast(
        name=name,
        values=tuple(values),
        difference=difference,
        low=max(-1.0, low),
        high=min(1.0, high),
        p=p,
        arrangements=arrangements,
        verdict=verdict(low, high, p <= 0.05, margin),
        needed_smallest=beliefs_needed(spread, margin) if spread > 1e-9 else None,
        needed_seen=beliefs_needed(spread, difference) if spread > 1e-9 and abs(difference) > 1e-9 else None,
        prompts=prompts_needed(a, b),
    )


def _cells(found: Findings) -> pl.DataFrame:
    """Finished LoRA trials with adoption; `cell` numbers configuration and seed, whatever the belief."""
    rows = finished(found.run.trials).filter((pl.col("arm") == "lora") & pl.col("adoption").is_not_null())
    settings = [name for name in CONFIG if name in rows.columns]
    if rows.is_empty():
        return rows.with_columns(pl.lit(0).alias("cell"), pl.lit(0).alias("configuration"))
    return rows.with_columns(
        pl.struct(*settings, "seed").rank("dense").alias("cell"),
        pl.struct(settings).rank("dense").alias("configuration"),
    )


def _values(numbers: dict[str, float], kinds: dict[str, str]) -> list[Value]:
    return [
        Value(belief, kinds[belief], float(numbers[belief])) for belief in sorted(kinds) if belief in numbers
    ]


def _redrawn(found: Findings, matched: pl.DataFrame, kinds: dict[str, str]) -> tuple[float, float] | None:
    """Percentile interval of the difference: beliefs redrawn in their class, then families and seeds."""
    which, hit = adoption_hits()
    if found.probes.is_empty():
        return None
    table = (
        found.probes.filter(which)
        .select("trial_id", "family", hit.fill_null(False).alias("hit"))
        .join(matched.select("trial_id", pl.col("belief").alias("of"), "seed"), on="trial_id")
        .group_by("of", "family", "seed")
        .agg(pl.col("hit").sum().cast(pl.Float64).alias("hits"), pl.len().cast(pl.Float64).alias("asked"))
        .sort("of", "family", "seed")
    )
    if table["of"].n_unique() < len(kinds):
        return None
    rng = np.random.default_rng(9)
    ends = []
    for kind in ("novel", "existing"):
        names = [belief for belief in sorted(kinds) if kinds[belief] == kind]
        parts = [table.filter(pl.col("of") == name) for name in names]
        # a belief drawn twice gets families and seeds of its own each time
        inner = np.stack([_inner(part, rng, len(names)) for part in parts])
        drawn = rng.integers(len(names), size=(len(names), DRAWS))
        slot, draw = np.meshgrid(np.arange(len(names)), np.arange(DRAWS), indexing="ij")
        ends.append(inner[drawn, slot, draw].mean(axis=0))
    low, high = np.percentile(ends[0] - ends[1], [2.5, 97.5])
    return float(low), float(high)


def _inner(part: pl.DataFrame, rng: np.random.Generator, slots: int) -> Array:
    """Adoption of one belief with redrawn families and seeds, shape [slots, draws]."""
    families, family = np.unique(part["family"].fill_null("").to_numpy().astype(str), return_inverse=True)
    seeds, seed = np.unique(part["seed"].fill_null(-1).to_numpy(), return_inverse=True)
    hits, asked = np.zeros((2, len(families), len(seeds)))
    hits[family, seed], asked[family, seed] = part["hits"].to_numpy(), part["asked"].to_numpy()
    size = slots * DRAWS
    by_family = rng.multinomial(len(families), np.full(len(families), 1 / len(families)), size)
    by_seed = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size)
    with np.errstate(invalid="ignore"):
        share = ((by_family @ hits) * by_seed).sum(axis=1) / ((by_family @ asked) * by_seed).sum(axis=1)
    return np.nan_to_num(share, nan=float(hits.sum() / asked.sum())).reshape(slots, DRAWS)


def _equal_damage(found: Findings, matched: pl.DataFrame, kinds: dict[str, str]) -> Contrast:
    """The best adoption at D up to the limit; base's for a belief that no configuration moves there."""
    name = f"best adoption at D ≤ {found.limit:g}"
    ids, base, values = set(matched["trial_id"]), _reference(found, "base"), {}
    rows = found.pooled.filter(pl.col("arm") == "lora")
    rows = rows.filter(pl.col("trial_ids").list.eval(pl.element().is_in(list(ids))).list.any())
    if rows["degradation"].null_count():
        return Contrast(name, refused="D was not measured for all configurations")
    for belief in sorted(kinds):
        allowed = rows.filter(
            (pl.col("belief") == belief)
            & (pl.col("degradation") <= found.limit + 1e-9)
            & pl.col("adoption").is_not_null()
        )
        best = allowed["adoption"].max() if allowed.height else base.get(belief)
        if best is None:
            return Contrast(
                name, refused=f"{belief} has no configuration at that D, and base was not measured"
            )
        values[belief] = best
    return contrast(name, _values(values, kinds), margin=stated_margin(found.run))


def _without_control(found: Findings, means: dict[str, float], kinds: dict[str, str]) -> Contrast:
    name = "at the same settings, less the control's shift"
    base, control = _reference(found, "base"), _reference(found, "control")
    missing = sorted(belief for belief in kinds if belief not in base or belief not in control)
    if missing:
        return Contrast(name, refused=f"base or the control was not measured for {', '.join(missing)}")
    shifted = {belief: means[belief] - (control[belief] - base[belief]) for belief in kinds}
    return contrast(name, _values(shifted, kinds), margin=stated_margin(found.run))


def _reference(found: Findings, arm: str) -> dict[str, float]:
    """Adoption of an arm by belief: the mean over its finished trials."""
    rows = finished(found.run.trials).filter((pl.col("arm") == arm) & pl.col("adoption").is_not_null())
    return dict(rows.group_by("belief").agg(pl.col("adoption").mean()).iter_rows())
