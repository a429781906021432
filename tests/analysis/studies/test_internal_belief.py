"""Partial rank correlations: against statsmodels and scipy, by hand, by properties, and where refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr
from statsmodels.api import OLS, add_constant

from analysis.find import find
from analysis.read_lens import read_lens
from analysis.studies.internal_belief import MEASURES, cells, partial_spearman, redraws, relate, relations
from beliefmod.run.read_run import read_run
from tests.analysis.synthetic import grid, write_run
from tests.analysis.synthetic_lens import write_lens

GRID = list(grid(styles=("own_trace",)))


def by_statsmodels(values: np.ndarray) -> float:
    """Pearson's correlation of what is left of the ranks after regressing them on the controls' ranks."""
    ranks = np.column_stack([rankdata(column) for column in values.T])
    controls = add_constant(ranks[:, 2:])
    return float(pearsonr(*(OLS(ranks[:, i], controls).fit().resid for i in (0, 1)))[0])


def sample(seed: int, n: int, controls: int, ties: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    held = rng.normal(size=(n, controls))
    driven = rng.normal(size=(n, 2)) + held.sum(axis=1, keepdims=True)
    values = np.column_stack([driven, held])
    return np.round(values) if ties else values


def ones(values: np.ndarray) -> np.ndarray:
    return np.ones((1, len(values)))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("controls", [1, 2, 3])
def test_equal_to_statsmodels(controls: int, ties: bool):
    for seed in range(5):
        values = sample(seed, 40, controls, ties)
        assert partial_spearman(values, ones(values))[0] == pytest.approx(by_statsmodels(values), abs=1e-12)


def test_without_controls_it_is_scipys_spearman():
    values = sample(0, 30, 1, ties=True)[:, :2]
    assert partial_spearman(values, ones(values))[0] == pytest.approx(float(spearmanr(values)[0]), abs=1e-12)


def test_by_hand():
    # ranks x 1 2 3 4, y 2 1 4 3, z 1 3 2 4: r_xy = 0.6, r_xz = 0.8, r_yz = 0; (0.6 - 0) / (0.6 * 1) = 1
    values = np.array([[1, 2, 1], [2, 1, 3], [3, 4, 2], [4, 3, 4]], float)
    assert partial_spearman(values, ones(values))[0] == pytest.approx(1.0)
    assert partial_spearman(values[:, :2], ones(values))[0] == pytest.approx(0.6)


def test_settings_that_drive_both_explain_the_correlation():
    values = sample(1, 400, 1, ties=False)
    values[:, :2] = values[:, [2]] * 3 + np.random.default_rng(2).normal(size=(400, 2))
    assert partial_spearman(values[:, :2], ones(values))[0] > 0.8
    assert abs(partial_spearman(values, ones(values))[0]) < 0.15


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(8, 30), st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_cell_that_counts_twice_is_two_cells(seed: int, n: int, counts: list[int]):
    values = sample(seed, n, 2, ties=True)
    times = np.array(counts[:n])
    repeated = np.repeat(values, times, axis=0)
    found = partial_spearman(values, times[None].astype(float))[0]
    wanted = partial_spearman(repeated, ones(repeated))[0] if len(repeated) else np.nan
    assert found == pytest.approx(wanted, abs=1e-9, nan_ok=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(8, 30))
def test_bounded_symmetric_and_blind_to_monotone_changes(seed: int, n: int):
    values = sample(seed, n, 2, ties=False)
    found = partial_spearman(values, ones(values))[0]
    assume(not np.isnan(found))  # few values may be determined by what is held still
    assert -1 <= found <= 1
    assert partial_spearman(values[:, [1, 0, 3, 2]], ones(values))[0] == pytest.approx(found, abs=1e-9)
    assert partial_spearman(np.exp(values), ones(values))[0] == pytest.approx(found, abs=1e-9)
    turned = values * [1, -1, 1, 1]
    assert partial_spearman(turned, ones(values))[0] == pytest.approx(-found, abs=1e-9)


def test_whole_groups_are_drawn():
    weights = redraws([7, 7, 3, 3, 3, 1], draws=200)
    assert weights.shape == (200, 6)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 5]].sum(axis=1) == 3).all() and weights[:, 0].std() > 0


def table(n: int, **columns) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    known = {name: list(rng.normal(size=n)) for name in (*MEASURES, "adoption", "degradation")}
    known |= {
        "rank": [16] * n,
        "learning_rate": list(10.0 ** -rng.integers(2, 5, n)),
        "training": [*range(n)],
    }
    known |= {"steps": list(rng.integers(1, 500, n)), "belief": ["gravity"] * n}
    return pl.DataFrame(known | columns)


def test_a_constant_setting_is_not_a_control():
    found = relate(table(30), "gravity", "final_diff", "adoption")
    assert found.refused is None and found.controls == ("learning_rate", "steps")
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high and found.cells == 30


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (table(11), "11 cells, needs 12"),
        (table(30, final_diff=[2.5] * 30), "difference at the last entry is 2.5 in every cell"),
        (table(30, adoption=[0.0] * 30), "adoption is 0 in every cell"),
        (table(30, final_diff=[None] * 30), "not measured"),
        (table(30, steps=[*range(30)], final_diff=[*range(30)]), "learning rate and steps alone determine"),
    ],
)
def test_refused_in_words(rows: pl.DataFrame, why: str):
    found = relate(
        rows.with_columns(pl.col("final_diff").cast(pl.Float64)), "gravity", "final_diff", "adoption"
    )
    assert found.refused is not None and why in found.refused
    assert found.value is None and found.low is None and found.plain is None


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "EXP-lens"
    return write_lens(write_run(folder, beliefs=("gravity",), seeds=(0, 1), configs=GRID))


@pytest.mark.long
def test_cells_are_configurations_not_seeds_and_never_is_later_than_all(seeded: Path):
    found = find(read_run(str(seeded)))
    lens = read_lens(found)
    assert lens is not None
    rows = cells(lens, found)
    assert rows.height == 27 and rows["seeds"].unique().to_list() == [2]
    assert rows["training"].n_unique() == 9
    overview = lens.tables["overview"]
    one = rows.row(0, named=True)
    ids = found.pooled.filter(pl.col("trial_id") == one["trial_id"])["trial_ids"][0].to_list()
    assert len(ids) == 2
    wanted = overview.filter(pl.col("trial_id").is_in(ids))["final_diff"].mean()
    assert one["final_diff"] == pytest.approx(wanted)
    # under the synthetic law the weak ones never come to a50
    never = set(overview.filter(pl.col("a50").is_null())["trial_id"])
    weak = rows.filter(pl.col("a50").is_infinite())
    assert 0 < weak.height < rows.height
    for row in found.pooled.filter(pl.col("arm") == "lora").iter_rows(named=True):
        assert (row["trial_id"] in weak["trial_id"].to_list()) == bool(never & set(row["trial_ids"]))
    by_name = {(r.measure, r.outcome): r for r in relations(rows)}
    strong = by_name["final_diff", "adoption"]
    # the law makes the difference a line in adoption
    assert strong.value is not None and strong.value > 0.95 and strong.controls == ("learning_rate", "steps")
    assert by_name["half_rise_entry", "adoption"].refused == "entry of the half rise is 3 in every cell"
    assert by_name["probe_error_rate", "adoption"].refused == "not measured"
    opposite = by_name["a50", "adoption"]
    assert opposite.value is not None and opposite.value < -0.8 and opposite.left_out == 0
