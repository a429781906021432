"""Which configurations nobody beats: seeds pooled, then the non-dominated set per belief. Pure df -> df."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from beliefmod.config import REFERENCE_ARMS, leaf_fields
from beliefmod.metrics.intervals import newcombe, wilson
from beliefmod.metrics.measure import depth_of
from beliefmod.metrics.registry import COMPONENTS, METRICS
from beliefmod.run.by_hand import ADDED

CONFIG = tuple(name for name in leaf_fields() if name not in ("belief", "arm", "seed"))
IDENTITY = ("arm", "belief", "kind", "model")
# of an arm that is asked alike whatever the seed there is one for each way in which trials are asked
WAYS = ("template", *(name for name in CONFIG if name.startswith(("context.", "adapter."))))
REFERENCE = (*IDENTITY, *WAYS)
# two values that differ by rounding of the last bits are a tie, not a victory
DECIMALS = 9


def finished(trials: pl.DataFrame) -> pl.DataFrame:
    """The rows that carry numbers."""
    return trials.filter(pl.col("status") == "finished")


def by_hand() -> pl.Expr:
    """Whether a row is of a trial that somebody added by hand."""
    return pl.col("by_hand").fill_null("").str.starts_with(ADDED)


def planned(trials: pl.DataFrame) -> pl.DataFrame:
    """The rows of trials that were planned, or chosen by a search: all but those added by hand."""
    return trials.filter(~by_hand()) if "by_hand" in trials.columns else trials


def pool_seeds(trials: pl.DataFrame) -> pl.DataFrame:
    """One row per arm, belief and configuration out of finished rows; `seeds` counts what was pooled. Trials
    added by hand are left out.

    One seed: the row's own numbers, unchanged. Several seeds: a rate is all successes over all questions
    (with equal n the mean over seeds) and its Wilson interval comes from those counts, so it covers
    questions, not seeds; `adoption_seed_min/max` show the spread. Means are averaged with their ends. Damage
    is averaged over seeds for each component, D is the worst of these averages, and its interval is
    Newcombe's on the pooled counts against base.

    Reference arms, a statement in the prompt and a saved adapter answer the same questions with the same
    weights whatever the seed, so pooling would count one answer twice: the lowest seed stands for all
    (`seeds` is 1).

    Returns:
        columns trial_id (of the lowest seed), trial_ids, seeds, identity, configuration, rates, degradation.
    """
    rows = planned(finished(trials)).sort("seed", "trial_id")
    untrained = pl.col("arm").is_in([*REFERENCE_ARMS, "prompt", "adapter"])
    base_n = {
        (row["model"], row["belief"], row["template"]): {name: row.get(f"{name}_n") for name in COMPONENTS}
        for row in rows.filter(pl.col("arm") == "base").reverse().iter_rows(named=True)
    }
    key = [*IDENTITY, *CONFIG]
    trained = rows.filter(~untrained).with_columns(pl.len().over(key).alias("seeds"))
    # one seed has nothing to pool, and a table of 100,000 such trials is too long for a loop
    alone = pl.concat(
        [
            rows.filter(untrained).unique(REFERENCE, keep="first", maintain_order=True),
            trained.filter(pl.col("seeds") == 1).drop("seeds"),
        ]
    ).with_columns(
        pl.concat_list("trial_id").alias("trial_ids"),
        pl.lit(1, pl.Int64).alias("seeds"),
        *(pl.col("adoption").cast(pl.Float64).alias(f"adoption_seed_{end}") for end in ("min", "max")),
    )
    several = trained.filter(pl.col("seeds") > 1).drop("seeds")
    groups = several.partition_by(key, maintain_order=True) if several.height else []
    pooled = pl.DataFrame([_pool(group, base_n) for group in groups], schema=alone.schema, orient="row")
    return pl.concat([alone, pooled]).sort(["model", "belief", "arm", *CONFIG], nulls_last=True)


def same_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows have the same settings, but for seed and belief, where both say something.

    A setting that does nothing in a trial is null in a table where it does nothing anywhere, and has its
    default where some trials use it.
    """
    pairs = ((one.get(name), other.get(name)) for name in CONFIG)
    return all(a == b or a is None or b is None for a, b in pairs)


def _pool(group: pl.DataFrame, base_n: dict) -> dict:
    first = group.row(0, named=True)
    adoption = group["adoption"].drop_nulls()
    first |= {
        "trial_ids": group["trial_id"].to_list(),
        "seeds": group.height,
        "adoption_seed_min": adoption.min(),
        "adoption_seed_max": adoption.max(),
    }
    kept = {
        *IDENTITY,
        *CONFIG,
        "trial_id",
        "trial_ids",
        "seeds",
        "status",
        "adoption_seed_min",
        "adoption_seed_max",
    }
    pooled = {name: value for name, value in first.items() if name in kept}
    for name, metric in METRICS.items():
        pooled |= pooled_rate(group, name) if "rate" in metric.kind else pooled_mean(group, name)
    pooled |= depth_of(lambda name: (pooled.get(name), pooled.get(f"{name}_n")))
    asked_alike = (first["model"], first["belief"], first["template"])
    return pooled | _pooled_damage(group, pooled, base_n.get(asked_alike, {}))


def pooled_rate(group: pl.DataFrame, name: str) -> dict[str, Any]:
    """All successes over all questions, with Wilson's interval; nothing where no seed measured it.

    A seed that refused the rate (it has an n and no value) makes the pooled rate unknown, not smaller: only
    the n is given then.
    """
    asked = group.filter(pl.col(f"{name}_n") > 0)
    if asked.is_empty():
        return {}
    n = int(asked[f"{name}_n"].sum())
    if asked[name].null_count():
        return {f"{name}_n": n}
    k = int((asked[name] * asked[f"{name}_n"]).round().sum())
    low, high = wilson(k, n)
    return {name: k / n, f"{name}_n": n, f"{name}_low": float(low), f"{name}_high": float(high)}


def pooled_mean(group: pl.DataFrame, name: str) -> dict[str, Any]:
    """The seeds' means and interval ends averaged: they measure the same questions, so nothing narrows.

    `n` is that of one seed, the smallest. Nothing unless every seed measured it; no interval unless every
    seed has one.
    """
    if group[name].null_count():
        return {}
    ends = group.select(f"{name}_low", f"{name}_high")
    low, high = (None, None) if ends.null_count().sum_horizontal().item() else ends.mean().row(0)
    return {
        name: group[name].mean(),
        f"{name}_n": group[f"{name}_n"].min(),
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _pooled_damage(group: pl.DataFrame, pooled: dict, base_n: dict) -> dict:
    found, ends = {}, {}
    # one base for all seeds, so one rule; rows of older runs do not have the column
    no_room = group["degradation_no_room"][0] or ""
    found["degradation_no_room"] = no_room or None
    found["degradation_status"] = group["degradation_status"][0]
    for name in COMPONENTS:
        found[f"{name}_base"] = group[f"{name}_base"].mean()
        found[f"{name}_damage"] = group[f"{name}_damage"].mean()
        ends[name] = _damage_interval(name, group, pooled, found, base_n.get(name))
        found[f"{name}_damage_low"], found[f"{name}_damage_high"] = ends[name] or (None, None)
    counted = [name for name in COMPONENTS if name not in no_room.split(",")]
    known = {name: found[f"{name}_damage"] for name in counted if found[f"{name}_damage"] is not None}
    # a component missing in one seed would make D a maximum over fewer things than elsewhere
    if group["degradation"].null_count() or not known:
        return found
    worst = max(known, key=lambda name: known[name])
    found |= {"degradation": max(0.0, known[worst]), "degradation_by": worst if known[worst] > 0 else None}
    low = high = None
    if all(ends[name] for name in known):
        # the worst of several damages can be any of them, so D may be as high as any of them allows
        low = ends[worst][0] if found["degradation"] > 0 else 0.0
        high = max(ends[name][1] for name in known)
    # D is never below 0
    found["degradation_low"] = None if low is None else max(0.0, low)
    found["degradation_high"] = None if high is None else max(0.0, high)
    return found


def _damage_interval(
    name: str, group: pl.DataFrame, pooled: dict, damage: dict, n_base: int | None
) -> tuple[float, float] | None:
    """The interval of one component's damage; None without the numbers for it.

    Newcombe's on the pooled counts against base. For drift, which is no share, the seeds' own intervals
    averaged: they come from the same passages, so averaging does not narrow them.
    """
    if COMPONENTS[name].kind == "mean":
        ends = group.select(f"{name}_damage_low", f"{name}_damage_high")
        return None if ends.null_count().sum_horizontal().item() else ends.mean().row(0)
    n, rate = pooled.get(f"{name}_n"), damage[f"{name}_base"]
    if not n or not n_base or rate is None:
        return None
    _, low, high = newcombe(round(rate * n_base), n_base, round(pooled[name] * n), n)
    return (low, high) if COMPONENTS[name].better == "higher" else (-high, -low)


def non_dominated(adoption: np.ndarray, degradation: np.ndarray) -> np.ndarray:
    """True where no other point adopts at least as much at no more damage and is better in one of the two.

    Args:
        adoption, degradation: shape [points]; NaN marks a point without a number, which is never on the
        frontier.

    Equal points stand or fall together. O(n log n): sorted by damage, a point must beat everything cheaper.
    """
    up, down = np.round(adoption, DECIMALS), np.round(degradation, DECIMALS)
    on = np.zeros(len(up), dtype=bool)
    valid = np.flatnonzero(~(np.isnan(up) | np.isnan(down)))
    if not len(valid):
        return on
    order = valid[np.lexsort((-up[valid], down[valid]))]
    best_so_far = np.concatenate(([-np.inf], np.maximum.accumulate(up[order])[:-1]))
    first_of_tie = np.concatenate(([True], (np.diff(up[order]) != 0) | (np.diff(down[order]) != 0)))
    wins = first_of_tie & (up[order] > best_so_far)
    # the duplicates of a winner follow it directly
    on[order] = wins[np.maximum.accumulate(np.where(first_of_tie, np.arange(len(order)), 0))]
    return on


def frontier(pooled: pl.DataFrame) -> pl.DataFrame:
    """The LoRA configurations of `pool_seeds` with a flag `non_dominated`, per model and belief."""
    rows = pooled.filter(pl.col("arm") == "lora")
    if rows.is_empty():
        return rows.with_columns(pl.lit(False).alias("non_dominated"))
    parts = []
    for part in rows.partition_by("model", "belief", maintain_order=True):
        flag = non_dominated(_array(part["adoption"]), _array(part["degradation"]))
        parts.append(part.with_columns(pl.Series("non_dominated", flag)))
    return pl.concat(parts)


def _array(values: pl.Series) -> np.ndarray:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def varying(rows: pl.DataFrame) -> list[str]:
    """The settings that take more than one value among these rows, in the order of `TrialConfig`."""
    return [name for name in CONFIG if name in rows.columns and rows[name].n_unique() > 1]
