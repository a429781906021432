"""What the page holds about each trial: its numbers, all of its answers, the words that the scorer used."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.report.blocks import Explorer, to_markdown
from analysis.report.explorer import explorer, trial_answers
from analysis.report.trial_answers import answers_of, marker_of
from beliefmod.run.read_run import read_run
from tests.test_example_run import EXAMPLE


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


def test_every_answer_of_a_trial_is_on_the_page(run: Path, found: Findings) -> None:
    answers, trials = trial_answers(found)
    assert trials == len(answers) and set(answers) == set(found.probes["trial_id"])
    for trial in list(answers)[:4]:
        rows = pl.read_parquet(run / "probes" / f"{trial}.parquet")
        shown = unpacked(answers[trial])
        assert len(shown) == rows.height
        there = {(row["suite"], row["tier"], row["probe_id"]): row for row in rows.to_dicts()}
        for one in shown:
            row = there[one["suite"], one.get("tier"), one["probe_id"]]
            assert one["completion"] == row["completion"]
            assert ("loop" in one["classes"]) == row["loop"]
            assert one.get("answer_stance") == row["answer_stance"]


def test_what_does_not_fit_is_left_out_and_said(found: Findings) -> None:
    whole, trials = trial_answers(found)
    half = sum(map(len, whole.values())) // 2
    kept, _ = trial_answers(found, cap=half)
    assert 0 < len(kept) < len(whole) and sum(map(len, kept.values())) <= half
    # the arms that every other one is read beside come first
    untrained = found.pooled.filter(pl.col("arm").is_in(["base", "icl"]))["trial_id"]
    assert set(untrained) <= set(kept)
    [_, block] = explorer(found, cap=half)
    assert isinstance(block, Explorer) and f"answers of {len(kept)} of {trials} trials" in block.note
    assert "probes/TRIAL.parquet" in to_markdown([block])


def test_the_words_that_decided_are_marked() -> None:
    run = read_run(str(EXAMPLE))
    trial = run.trials.filter(pl.col("arm") == "base").row(0, named=True)["trial_id"]
    [(_, rows)] = answers_of(run, [trial], marker_of(run))
    asked = [row for row in rows if row["suite"] == "belief" and row["answer_stance"] == "prior"]
    assert len(asked) > 50
    for row in asked:
        deciding = [mark for mark in row["marks"]["answer"] if mark[3].endswith("decides")]
        assert [mark[2] for mark in deciding] == ["prior"], row
        [(begin, end, *_)] = deciding
        assert row["answer"][begin:end] and row["answer"][begin:end] in row["answer"]
    # marks stand in order and never overlap, or the page could not draw them
    for row in rows:
        for marks in row["marks"].values():
            ends = [0, *(end for _, end, *_ in marks)]
            assert all(before <= begin < end for before, (begin, end, *_) in zip(ends, marks, strict=False))


def unpacked(text: str) -> list[dict]:
    return json.loads(gzip.decompress(base64.b64decode(text)))
