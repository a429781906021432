"""A thinned picture keeps the frontier and leaves no place empty that had a mark."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.frontier.thinned import thinned


def table(count: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    adoption, damage = rng.uniform(0, 1, (2, count))
    return pl.DataFrame(
        {
            "trial_id": [f"t{i}" for i in range(count)],
            "belief": rng.choice(["gravity", "neelam"], count),
            "data.style": rng.choice(["answer_only", "own_trace"], count),
            "adoption": adoption,
            "degradation": damage,
            "non_dominated": rng.uniform(0, 1, count) < 0.01,
        }
    )


@pytest.mark.parametrize("count", [500, 20_000])
def test_every_mark_left_out_has_one_beside_it(count: int) -> None:
    rows = table(count)
    kept = thinned(rows, 1000)
    assert kept.height <= 1000 and set(kept["trial_id"]) <= set(rows["trial_id"])
    assert set(rows.filter("non_dominated")["trial_id"]) <= set(kept["trial_id"])
    if count <= 1000:
        assert kept.equals(rows)
        return
    left = rows.join(kept, on="trial_id", how="anti")
    assert left.height == count - kept.height
    for key, part in left.partition_by(["belief", "data.style"], as_dict=True).items():
        alike = kept.filter((pl.col("belief") == key[0]) & (pl.col("data.style") == key[1]))
        there = alike.select("adoption", "degradation").to_numpy()
        for row in part.head(200).select("adoption", "degradation").to_numpy():
            assert np.abs(there - row).max(axis=1).min() <= 1 / 8


def test_rows_without_a_place_are_left_out() -> None:
    rows = table(10).with_columns(pl.when(pl.col("trial_id") != "t3").then("adoption").alias("adoption"))
    assert "t3" not in set(thinned(rows, 1000)["trial_id"])
    assert thinned(rows.clear(), 5).is_empty()
