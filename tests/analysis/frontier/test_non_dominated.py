"""The non-dominated set against brute force, by hand, and under seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.frontier.non_dominated import CONFIG, frontier, non_dominated, pool_seeds
from beliefmod.metrics.intervals import newcombe, wilson
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.run.read_run import read_run

# few distinct values, so that ties are common
coarse = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
fine = st.floats(0, 1, allow_nan=False)
points = st.lists(st.tuples(coarse | fine, coarse | fine), max_size=60)


def brute(adoption: list[float], damage: list[float]) -> list[bool]:
    """By the definition: nobody is at least as good in both and better in one."""
    rows = list(zip(np.round(adoption, 9), np.round(damage, 9), strict=True))
    return [not any(a2 >= a and d2 <= d and (a2 > a or d2 < d) for a2, d2 in rows) for a, d in rows]


@given(points)
def test_same_as_the_definition(rows: list[tuple[float, float]]) -> None:
    adoption, damage = [a for a, _ in rows], [d for _, d in rows]
    assert non_dominated(np.array(adoption), np.array(damage)).tolist() == brute(adoption, damage)


@given(points.filter(bool), st.randoms())
def test_order_of_rows_does_not_matter(rows: list[tuple[float, float]], random) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    table = np.array(rows)
    flags = non_dominated(table[:, 0], table[:, 1])
    assert non_dominated(table[order, 0], table[order, 1]).tolist() == flags[order].tolist()
    assert flags.any()


@given(points.filter(bool), fine, fine)
def test_a_dominated_point_changes_nothing(rows: list[tuple[float, float]], less: float, more: float) -> None:
    table = np.array(rows)
    flags = non_dominated(table[:, 0], table[:, 1])
    best = table[np.flatnonzero(flags)[0]]
    worse = np.array([[best[0] - 0.01 - less, best[1] + 0.01 + more]])
    longer = np.vstack([table, worse])
    assert non_dominated(longer[:, 0], longer[:, 1]).tolist() == [*flags.tolist(), False]


def test_by_hand() -> None:
    adoption = np.array([0.0, 0.5, 0.5, 0.5, 0.9, 0.2, np.nan, 0.9])
    damage = np.array([0.0, 0.1, 0.1, 0.2, 0.6, 0.05, 0.0, np.nan])
    assert non_dominated(adoption, damage).tolist() == [True, True, True, False, True, True, False, False]
    assert non_dominated(np.array([]), np.array([])).tolist() == []


def test_last_bits_are_a_tie() -> None:
    assert non_dominated(np.array([0.3, 0.1 + 0.2]), np.array([0.05, 1 - 0.95])).tolist() == [True, True]


def test_one_seed_stays_as_it_was(run: Path) -> None:
    trials = read_run(str(run)).trials
    pooled = pool_seeds(trials)
    assert pooled["seeds"].unique().to_list() == [1]
    assert pooled.height == trials.filter(pl.col("status") == "finished").height
    both = pooled.join(trials, on="trial_id", suffix="_row")
    for name in ("adoption", "adoption_low", "degradation", "degradation_high", "integrity"):
        assert both[name].equals(both[f"{name}_row"].alias(name), null_equal=True)


def test_what_no_seed_changes_is_counted_once(run: Path) -> None:
    trials = read_run(str(run)).trials
    one = trials.filter((pl.col("status") == "finished") & (pl.col("arm") == "lora")).head(1)
    copies = [
        one.with_columns(
            pl.lit("adapter").alias("arm"),
            pl.lit(source).alias("adapter.source"),
            pl.lit(seed, pl.Int64).alias("seed"),
            pl.lit(f"{source}{seed}").alias("trial_id"),
        )
        for source in ("a", "b")
        for seed in (0, 1)
    ]
    pooled = pool_seeds(pl.concat([trials, *copies])).filter(pl.col("arm") == "adapter")
    assert pooled["trial_id"].sort().to_list() == ["a0", "b0"]
    assert pooled["seeds"].to_list() == [1, 1]
    assert pooled["adoption_n"].to_list() == one["adoption_n"].to_list() * 2


def test_seeds_are_pooled_as_counts(seeded: Path) -> None:
    trials = read_run(str(seeded)).trials.filter(pl.col("status") == "finished")
    pooled = pool_seeds(trials)
    lora = pooled.filter(pl.col("arm") == "lora")
    assert lora["seeds"].unique().to_list() == [3] and lora.height == 8
    for row in lora.iter_rows(named=True):
        own = trials.filter(pl.col("trial_id").is_in(row["trial_ids"]))
        assert own.height == 3 and own.select(*CONFIG).unique().height == 1
        k = round(float((own["adoption"] * own["adoption_n"]).sum()))
        low, high = wilson(k, 300)
        assert row["adoption"] == pytest.approx(float(np.mean(own["adoption"].to_list())))
        assert (row["adoption_n"], row["adoption_low"], row["adoption_high"]) == (
            300,
            pytest.approx(float(low)),
            pytest.approx(float(high)),
        )
        assert row["adoption_seed_min"] == own["adoption"].min()
        means = {name: float(np.mean(own[f"{name}_damage"].to_list())) for name in COMPONENTS}
        assert row["degradation"] == pytest.approx(max(0.0, *means.values()))
        assert row["degradation_low"] <= row["degradation"] <= row["degradation_high"]
        wrong = [round(float((own[name] * own[f"{name}_n"]).sum())) for name in ("fabrication", "integrity")]
        base = trials.filter((pl.col("arm") == "base") & (pl.col("belief") == row["belief"])).row(
            0, named=True
        )
        for name, k, sign in zip(("fabrication", "integrity"), wrong, (1, -1), strict=True):
            n, n_base = row[f"{name}_n"], base[f"{name}_n"]
            _, low, high = newcombe(k, n, round(row[f"{name}_base"] * n_base), n_base)
            ends = (low, high) if sign > 0 else (-high, -low)
            assert (row[f"{name}_damage_low"], row[f"{name}_damage_high"]) == pytest.approx(ends)
        assert row["kl_damage_low"] == pytest.approx(float(np.mean(own["kl_damage_low"].to_list())))
    # the same untouched model asked three times is not three times the evidence
    base = pooled.filter((pl.col("arm") == "base") & (pl.col("belief") == "gravity"))
    assert base["adoption_n"].to_list() == [100] and base["seeds"].to_list() == [1]


def test_beliefs_and_arms_do_not_compete(run: Path) -> None:
    rows = frontier(pool_seeds(read_run(str(run)).trials))
    assert rows["arm"].unique().to_list() == ["lora"]
    for part in rows.partition_by("belief"):
        expected = brute(part["adoption"].to_list(), part["degradation"].to_list())
        assert part["non_dominated"].to_list() == expected


def test_no_finished_trial_is_an_empty_frontier(run: Path) -> None:
    failed = read_run(str(run)).trials.filter(pl.col("status") == "failed")
    assert failed.height == 1
    assert frontier(pool_seeds(failed)).is_empty()


def test_a_component_missing_in_one_seed_leaves_d_open(seeded: Path) -> None:
    trials = read_run(str(seeded)).trials
    first = trials.filter((pl.col("arm") == "lora") & (pl.col("status") == "finished"))["trial_id"][0]
    spoiled = trials.with_columns(
        pl.when(pl.col("trial_id") == first).then(None).otherwise(pl.col("degradation")).alias("degradation")
    )
    row = pool_seeds(spoiled).filter(pl.col("trial_ids").list.contains(first)).row(0, named=True)
    assert row["degradation"] is None and row["adoption"] is not None
