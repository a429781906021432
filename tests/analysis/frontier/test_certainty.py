"""Bootstrap data against the tables that the sweep writes; certainty on data whose answer is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analysis.frontier.bootstrap import bootstrap_frontier
from analysis.frontier.certainty import GRID, Recommended, certainty
from analysis.frontier.non_dominated import frontier, pool_seeds
from analysis.frontier.tallies import Built, build
from analysis.stats.draws import redraw
from beliefmod.metrics.summarise import summarise
from beliefmod.run.read_run import Run, read_run
from tests.analysis.stats.test_resample import noise, table


def built(run: Run, belief: str = "gravity", drift: bool = True) -> tuple[Built, pl.DataFrame]:
    rows = frontier(pool_seeds(run.trials)).filter(pl.col("belief") == belief)
    base = run.trials.filter((pl.col("arm") == "base") & (pl.col("belief") == belief)).sort("seed")
    groups = rows["trial_ids"].to_list()
    trials = [trial for group in groups for trial in group]
    rest = run.drift(trials) if drift else None
    found = build(run.probes([*trials, base["trial_id"][0]]), groups, base["trial_id"][0], rest)
    assert found is not None
    return found, rows


def test_every_family_once_gives_the_tables_numbers(run: Path) -> None:
    """The adoption and D that the run states, and that the sweep's own code computes from the same rows."""
    opened = read_run(str(run))
    found, rows = built(opened)
    assert found.absent == () and found.incomplete == 0 and len(found.rows) == rows.height
    adoption, damage = found.data.measure(np.ones((1, len(found.data.clusters))), found.data.once)
    assert adoption[0] == pytest.approx(rows["adoption"].to_numpy())
    assert damage[0] == pytest.approx(rows["degradation"].to_numpy())
    base = opened.trials.filter((pl.col("arm") == "base") & (pl.col("belief") == "gravity"))["trial_id"][0]
    base_rows = opened.probes([base]).to_dicts()
    for i, trial in enumerate(rows["trial_id"][:3]):
        own = summarise(opened.probes([trial]).to_dicts(), base_rows, drift=opened.drift([trial]).to_dicts())
        assert (own["adoption"], own["degradation"]) == (
            pytest.approx(adoption[0, i]),
            pytest.approx(damage[0, i]),
        )


def test_seeds_are_pooled_as_the_frontier_does(seeded: Path) -> None:
    found, rows = built(read_run(str(seeded)))
    assert found.data.seeds.tolist() == [3] * rows.height
    adoption, damage = found.data.measure(np.ones((1, len(found.data.clusters))), found.data.once)
    assert adoption[0] == pytest.approx(rows["adoption"].to_numpy())
    assert damage[0] == pytest.approx(rows["degradation"].to_numpy())


def test_without_drift_files_its_components_are_named(run: Path) -> None:
    found, rows = built(read_run(str(run)), drift=False)
    assert found.absent == ("nll", "kl") and len(found.rows) == rows.height
    assert set(found.data.components) == {"integrity", "truncation", "loop", "capability", "fabrication"}


def test_a_configuration_that_lacks_a_component_is_left_out(run: Path) -> None:
    opened = read_run(str(run))
    _, rows = built(opened)
    groups = rows["trial_ids"].to_list()
    base = opened.trials.filter((pl.col("arm") == "base") & (pl.col("belief") == "gravity"))["trial_id"][0]
    trials = [trial for group in groups for trial in group]
    found = build(opened.probes([*trials, base]), groups, base, opened.drift(trials[1:]))
    assert found is not None and found.incomplete == 1 and found.rows[0] == 1
    sure = certainty(found, len(groups), 0.05, draws=50)
    assert np.isnan(sure.stays[0]) and not np.isnan(sure.stays[1:]).any()


def test_the_band_holds_the_draws(run: Path) -> None:
    found, rows = built(read_run(str(run)))
    sure = certainty(found, rows.height, 0.05, draws=300)
    drawn = redraw(found.data.clusters, found.data.seeds, 300, 1)
    up, down = found.data.measure(drawn.weights)
    for g in (0, 5, 40, 100):
        best = np.where(down <= GRID[g] + 1e-9, up, -np.inf).max(axis=1)
        expected = np.sort(best)[[7, 149, 292]]  # the 8th, 150th and 293rd of 300
        for line, value in zip((sure.band.low, sure.band.middle, sure.band.high), expected, strict=True):
            assert np.isnan(line[g]) if np.isneginf(value) else line[g] == pytest.approx(value)
    assert sure.volume.low <= sure.volume.value <= sure.volume.high
    assert 0 < sure.volume.value < 1
    flags = rows["non_dominated"].to_numpy()
    assert sure.stays[flags].mean() > sure.stays[~flags].mean()


def test_the_recommendation_is_the_best_under_the_limit(run: Path) -> None:
    found, rows = built(read_run(str(run)))
    sure = certainty(found, rows.height, 0.3, draws=300)
    pick = sure.pick
    assert isinstance(pick, Recommended)
    allowed = rows.filter(pl.col("degradation") <= 0.3 + 1e-9)
    assert pick.adoption.value == pytest.approx(allowed["adoption"].max())
    assert rows["adoption"][pick.row] == pytest.approx(pick.adoption.value)
    assert sure.tops[pick.row] <= pick.best <= pick.keeps
    assert pick.adoption.low <= pick.adoption.value <= pick.adoption.high


def clear(**more) -> pl.DataFrame:
    return table(
        {"good": [[True] * 10] * 12, "bad": [[False] * 10] * 12, "base": [[False] * 10] * 12}, **more
    )


def test_a_clear_winner_is_certain() -> None:
    found = build(clear(), [["good"], ["bad"]], "base")
    assert found is not None and found.absent == ("capability", "fabrication", "nll", "kl")
    sure = certainty(found, 2, 0.05, draws=200)
    assert sure.stays.tolist() == [1.0, 0.0] and sure.tops.tolist() == [1.0, 0.0]
    assert (sure.volume.value, sure.volume.low, sure.volume.high) == (1.0, 1.0, 1.0)
    assert isinstance(sure.pick, Recommended) and sure.pick.row == 0
    assert (sure.pick.best, sure.pick.keeps, sure.pick.rivals) == (1.0, 1.0, 0) and sure.pick.refusal is None


def test_equals_share_the_frontier() -> None:
    """All equal: each draw has a winner, and over data sets none of them wins for certain."""
    shares = []
    for seed in range(6):
        found = build(noise(seed, 10), [[f"t{t}"] for t in range(10)], "base")
        assert found is not None
        sure = certainty(found, 10, 0.05, draws=200)
        assert sure.stays.sum() >= 1.0
        assert isinstance(sure.pick, Recommended)
        shares.append(sure.pick.best)
    assert np.mean(shares) < 0.9


def test_no_base_nothing_to_redraw() -> None:
    rows = table({"a": [[True]]})
    assert build(rows, [["a"]], None) is None and build(rows, [["a"]], "base") is None
    assert build(clear(), [], "base") is None


def test_nobody_under_the_budget_is_said() -> None:
    rows = clear().with_columns(
        pl.when(pl.col("trial_id") == "base")
        .then(pl.lit("ok"))
        .otherwise(pl.lit("empty"))
        .alias("think_state")
    )
    found = build(rows, [["good"], ["bad"]], "base")
    assert found is not None
    pick = certainty(found, 2, 0.05, draws=50).pick
    assert isinstance(pick, str) and "none stays at D ≤ 0.05" in pick


def test_few_families_are_refused() -> None:
    rows = table({"good": [[True] * 30] * 3, "base": [[False] * 30] * 3})
    found = build(rows, [["good"]], "base")
    assert found is not None
    pick = certainty(found, 1, 0.05, draws=50).pick
    assert isinstance(pick, Recommended) and pick.refusal is not None
    assert "needs 6 question families, has 3" in pick.refusal


def test_a_budget_kept_by_luck_is_refused() -> None:
    """4 of 120 answers broken, all in one family: D 0.033, over 0.05 when that family is drawn twice."""
    good = [[True] * 10] * 12
    rows = table({"good": good, "base": good}).with_columns(
        pl.when((pl.col("trial_id") == "good") & pl.col("probe_id").is_in([f"0-{i}" for i in range(4)]))
        .then(pl.lit("empty"))
        .otherwise(pl.lit("ok"))
        .alias("think_state")
    )
    found = build(rows, [["good"]], "base")
    assert found is not None
    pick = certainty(found, 1, 0.05).pick
    assert isinstance(pick, Recommended)
    # P(a given family is drawn at most once of 12) = (11/12)^12 + (11/12)^11
    assert pick.keeps == pytest.approx((11 / 12) ** 12 + (11 / 12) ** 11, abs=0.03)
    assert pick.refusal is not None and "breaks that limit" in pick.refusal
    needed = re.search(r"about ([\d,]+) question families", pick.refusal)
    assert needed and int(needed[1]) > 12


def test_seeds_widen_what_families_leave_certain() -> None:
    """Every family alike, one seed of three adopts: only redrawing seeds moves adoption, 0 to 1."""
    rows = table({f"s{s}": [[s == 0] * 5] * 8 for s in range(3)} | {"base": [[False] * 5] * 8})
    found = build(rows, [["s0", "s1", "s2"]], "base")
    assert found is not None
    sure = certainty(found, 1, 0.05)
    assert isinstance(sure.pick, Recommended) and sure.seeds == (3, 3)
    assert sure.pick.adoption.value == pytest.approx(1 / 3)
    assert (sure.pick.adoption.low, sure.pick.adoption.high) == (0.0, 1.0)
    drawn = redraw(found.data.clusters, found.data.seeds, 4000)
    raced = bootstrap_frontier(found.data, drawn, GRID, 0.05)
    # 8 of 27 draws of seeds miss the first one
    assert (raced.under == 0).mean() == pytest.approx(8 / 27, abs=0.03)


def test_robustness_prompts_damage_but_do_not_adopt() -> None:
    rows = pl.concat([clear(), clear(tier="robustness", family="push")])
    found = build(rows, [["good"], ["bad"]], "base")
    assert found is not None and "robustness/push" in found.data.clusters
    place = found.data.clusters.index("robustness/push")
    assert place not in found.data.adoption.clusters.tolist()
    assert place in found.data.components["integrity"].clusters.tolist()
