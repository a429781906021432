"""Replay against none at equal adoption: by hand, against a plain loop, and in the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from analysis.find import find
from analysis.read_lens import read_lens
from analysis.report.blocks import Folded, Paragraph, Table, to_markdown
from analysis.report.inside.leak_words import against_chance, leak_blocks, leak_sentence
from analysis.report.sections import inside
from analysis.studies.leaks import EQUAL, REPLAY, leaks, replay_gaps
from beliefmod.run.read_run import read_run
from tests.analysis.synthetic_lens import leaked, write_lens

Trial = tuple[float, float, float]
"""Replay ratio, adoption, leak."""


def table(*trials: Trial, damage: float | None = 0.1, arm: str = "lora") -> pl.DataFrame:
    rows = [
        {"trial_id": f"t{place}", "belief": "gravity", "arm": arm, "data.style": "own_trace"}
        | {REPLAY: replay, "adoption": adoption, "leak": leak, "degradation": damage}
        for place, (replay, adoption, leak) in enumerate(trials)
    ]
    return pl.DataFrame(rows, schema_overrides={"degradation": pl.Float64})


def test_by_hand() -> None:
    """0.50 has the partners 0.48 and 0.54, 0.9 has 0.87, 0.7 has none."""
    found = table(
        (0.5, 0.50, 0.6), (0.5, 0.90, 0.7), (0.5, 0.70, 0.1),
        (0.0, 0.48, 0.7), (0.0, 0.54, 0.9), (0.0, 0.87, 0.8), (0.0, 0.20, 0.0),
    )  # fmt: skip
    [gap] = replay_gaps(found)
    assert (gap.trials, gap.without) == (2, 3)
    assert gap.leak == pytest.approx(((0.6 - 0.8) + (0.7 - 0.8)) / 2)
    assert gap.adoption == pytest.approx(((0.50 - 0.51) + (0.90 - 0.87)) / 2)
    assert gap.damage == pytest.approx(0.0) and gap.low is None and gap.high is None
    [unknown] = replay_gaps(found.with_columns(degradation=pl.lit(None, pl.Float64)))
    assert unknown.damage is None and unknown.leak == gap.leak


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5]), st.integers(0, 20), st.floats(0, 1)), min_size=1, max_size=14
    )
)
def test_as_a_plain_loop_and_scipy_have_it(trials: list[tuple[float, int, float]]) -> None:
    rows = [(replay, adoption / 20, leak) for replay, adoption, leak in trials]
    gaps = []
    for replay, adoption, leak in rows:
        partners = [o[2] for o in rows if o[0] == 0 and round(abs(o[1] - adoption), 9) <= EQUAL]
        if replay > 0 and partners:
            gaps.append(leak - np.mean(partners))
    found = replay_gaps(table(*rows))
    if not gaps:
        assert found == []
        return
    assert found[0].trials == len(gaps) and found[0].leak == pytest.approx(np.mean(gaps))
    if len(gaps) < 3:
        assert found[0].low is None
    elif np.std(gaps) > 1e-6:
        ends = ttest_1samp(gaps, 0).confidence_interval(0.95)
        assert (found[0].low, found[0].high) == pytest.approx((ends.low, ends.high))


def test_a_run_from_before_the_leak_is_not_said_to_lack_it(run: Path, tmp_path: Path) -> None:
    """Neither in the notes nor among the correlations, so the text of an old report stays."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("steps", "drift", "causal", "probes"))
    write_lens(folder, leave_out=("leak",))
    overview = folder / "lens" / "overview.parquet"
    pl.read_parquet(overview).drop("leak").write_parquet(overview)
    found = find(read_run(str(folder)))
    text = to_markdown(inside.blocks(found))
    assert "| " in text and "leak" not in text.lower()
    assert "inside-leak" not in inside.figures(found)


def test_controls_and_trials_without_adoption_have_no_say() -> None:
    pair = ((0.5, 0.5, 0.6), (0.0, 0.5, 0.7))
    assert replay_gaps(table(*pair, arm="control")) == []
    assert replay_gaps(table(*pair).with_columns(adoption=pl.lit(None, pl.Float64))) == []


@pytest.mark.parametrize(
    ("leak", "words"), [(0.7, "above all random"), (0.3, "below all random"), (0.5, "within the random")]
)
def test_chance_is_what_random_adapters_leak(leak: float, words: str) -> None:
    assert against_chance({"leak": leak, "chance_low": 0.4, "chance_high": 0.6}).startswith(words)
    assert (
        against_chance({"leak": leak, "chance_low": None, "chance_high": None})
        == "no random adapter was read"
    )


def test_in_a_run(run: Path, tmp_path: Path) -> None:
    """Every trained trial with the leak that the law gives it at the middle entry."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("steps", "drift", "causal", "probes"))
    found = find(read_run(str(write_lens(folder))))
    lens = read_lens(found)
    assert lens is not None
    rows = leaks(lens, found)
    done = found.run.trials.filter(
        pl.col("arm").is_in(["lora", "control"]) & (pl.col("status") == "finished")
    )
    assert set(rows["trial_id"]) == set(done["trial_id"])
    for row in rows.to_dicts():
        assert row["leak"] == pytest.approx(leaked(row)) and row["entry"] == 2 and row["last"] == 4
    blocks = leak_blocks(rows, replay_gaps(rows))
    assert [type(block) for block in blocks] == [Paragraph, Folded]  # no trial had replay
    above = rows.filter(pl.col("leak") > 0.6).height
    assert isinstance(blocks[0], Paragraph) and blocks[0].text.startswith(
        f"{above} of {rows.height} trials leak"
    )
    sentence = leak_sentence(lens, lens.shown[0])
    assert sentence and "chance 0.5; n = 20 passages" in sentence and "above all random adapters" in sentence
    some = rows.with_columns(pl.when(pl.col("adoption") > 0.5).then(0.5).otherwise(0.0).alias(REPLAY))
    assert any(
        "cannot be said" in block.text for block in leak_blocks(some, []) if isinstance(block, Paragraph)
    )
    gaps = replay_gaps(table((0.5, 0.5, 0.6), (0.0, 0.5, 0.7)))
    [shown] = [block for block in leak_blocks(some, gaps) if isinstance(block, Table)]
    assert shown.rows[0][4] == "-0.100 (no interval under 3 trials)"
    assert leak_blocks(rows.clear(), []) == []
