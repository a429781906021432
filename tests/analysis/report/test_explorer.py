"""What the page holds about each trial: picked by rule, capped, with what is left out counted."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.report.blocks import Explorer, to_markdown
from analysis.report.explorer import PER_TRIAL, explorer, trial_samples
from analysis.report.page import embedded_json
from beliefmod.run.read_run import read_run


@pytest.fixture(scope="module")
def found(run: Path) -> Findings:
    return find(read_run(str(run)))


def test_points_are_the_configurations(found: Findings) -> None:
    _, block = explorer(found)
    assert isinstance(block, Explorer)
    points = block.data["points"]
    assert {point["id"] for point in points} == set(found.pooled["trial_id"])
    assert sum(point["unbeaten"] for point in points) == sum(
        b.choice.on_frontier.height for b in found.beliefs
    )
    axes = {axis["name"]: axis["values"] for axis in block.data["axes"]}
    assert axes["learning_rate"] == ["2e-4", "5e-3"] and axes["arm"] == ["base", "control", "icl", "lora"]
    for point in points:
        assert (point["settings"] is None) == (point["arm"] in ("base", "icl"))
        for name, (shown, _) in (point["settings"] or {}).items():
            assert shown in axes[name]
    json.dumps(block.data, allow_nan=False)


def test_picks_by_hand(run: Path, found: Findings) -> None:
    samples, left_out = trial_samples(found)
    assert left_out == 0 and set(samples) == set(found.pooled["trial_id"])
    for trial, shown in list(samples.items())[:6]:
        rows = pl.read_parquet(run / "probes" / f"{trial}.parquet").sort("probe_id").to_dicts()
        asked = [r for r in rows if r["suite"] == "belief" and r["tier"] != "robustness"]
        assert len(shown) <= PER_TRIAL
        by_label = {label: s for s in shown for label in s["labels"].split(", ")}
        for label, hit in (("first adopting", True), ("first not adopting", False)):
            first = next((r for r in asked if (r["answer_stance"] == "target") is hit), None)
            if first is not None:
                assert f"probe {first['probe_id']}" in by_label[label]["facts"]
                assert by_label[label]["completion"] == first["completion"]


def test_the_cap_gives_every_trial_its_turn(found: Findings) -> None:
    whole, _ = trial_samples(found)
    count = sum(len(shown) for shown in whole.values())
    samples, left_out = trial_samples(found, cap=40_000)
    kept = sum(len(shown) for shown in samples.values())
    assert left_out == count - kept > 0
    assert sum(len(embedded_json(s).encode()) for shown in samples.values() for s in shown) <= 40_000
    # by rank: nobody has a third one while somebody lacks the first adopting one
    assert len(samples) == len(whole)
    [_, block] = explorer(found, cap=40_000)
    assert isinstance(block, Explorer) and f"{left_out:,} that the rule picked did not fit" in block.note
    assert "probes/TRIAL.parquet" in to_markdown([block])
