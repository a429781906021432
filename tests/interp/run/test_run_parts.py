"""The runner: what a part leaves, what it leaves alone, and the overview of whatever tables there are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from beliefmod.errors import UserError
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import PARTS, LensSettings
from interp.opened.inspection import Inspection, opened
from interp.opened.listing import list_run
from interp.parts.overview import SOURCES, overview, read_table
from interp.run.run_parts import PART_SPECS, kept, run_parts
from tests.interp.example_run import ADOPTED, CONTROL, HALF, example_run


@pytest.fixture(scope="module")
def inspection(tmp_path_factory) -> Inspection:
    return opened(list_run(str(example_run(tmp_path_factory.mktemp("runner"), ADOPTED, HALF, CONTROL))))


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Parts by name that stand in for the real ones, which have tests of their own."""
    known: dict[str, Any] = {}
    for name, spec in list(PART_SPECS.items()):
        stand_in = replace(spec, run=lambda *given, name=name: known[name](*given))
        monkeypatch.setitem(PART_SPECS, name, stand_in)
    return known


def truths(value: float):
    """A part that gives every trial this error rate."""
    return lambda inspection, trials, settings, say: {
        "truth": [
            {"trial_id": t.trial_id, "arm": t.config.arm, "belief": t.belief, "error_rate": value}
            for t in trials
        ]
    }


def table(inspection: Inspection, name: str) -> pl.DataFrame:
    return inspection.folder.read_frame("lens", f"{name}.parquet")


def some(inspection: Inspection, *trials: str) -> Inspection:
    chosen = tuple(trial for trial in inspection.trained if trial.trial_id in trials)
    return Inspection(inspection.folder, inspection.session, inspection.beliefs, inspection.untrained, chosen)


def manifest(inspection: Inspection) -> dict[str, Any]:
    return json.loads((Path(inspection.folder.root) / "lens" / "manifest.json").read_text())


def test_every_part_writes_known_tables():
    assert tuple(PART_SPECS) == PARTS
    for spec in PART_SPECS.values():
        assert callable(spec.run)
        assert set(spec.tables) <= set(LENS_TABLES)
    written = [name for spec in PART_SPECS.values() for name in spec.tables]
    assert sorted([*written, "overview"]) == sorted(LENS_TABLES)


def test_a_part_is_written_whole_and_noted(inspection, parts):
    def noting(inspection, trials, settings, say):
        for _ in range(3):
            say("note: two families only")
        say("half way")
        return truths(0.5)(inspection, trials, settings, say)

    parts["truth"] = noting
    said: list[str] = []
    complete: list[str] = []
    run_parts(inspection, LensSettings(parts=("truth",)), said.append, complete)
    assert complete == ["truth"]
    assert table(inspection, "truth")["trial_id"].to_list() == [t.trial_id for t in inspection.trained]
    assert said[:2] == ["note: two families only", "half way"] and len(said) == 3
    assert said[2].startswith("truth (1 of 1): 3 trials in")
    found = manifest(inspection)
    assert found["notes"] == ["two families only"]
    assert found["model"]["fingerprint"] == inspection.session.loaded.fingerprint
    assert found["parts"]["truth"]["settings"]["prompts"] == 24
    assert {"torch", "transformers", "beliefmod"} <= set(found["versions"])


def test_a_part_that_is_cut_short_leaves_what_was_there(inspection, parts):
    parts["truth"], parts["chain"] = truths(0.25), lambda *arguments: {}
    run_parts(inspection, LensSettings(parts=("truth",)), lambda line: None)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    parts["truth"] = interrupted
    complete: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_parts(inspection, LensSettings(parts=("chain", "truth")), lambda line: None, complete)
    assert complete == ["chain"]
    assert table(inspection, "truth")["error_rate"].to_list() == [0.25] * 3
    assert table(inspection, "chain").is_empty()
    assert list(manifest(inspection)["parts"]) == ["chain", "truth"]


def test_named_trials_replace_their_own_rows_only(inspection, parts):
    parts["truth"] = truths(0.1)
    run_parts(inspection, LensSettings(parts=("truth",)), lambda line: None)
    parts["truth"] = truths(0.9)
    named = LensSettings(parts=("truth",), named=(HALF,))
    run_parts(some(inspection, HALF), named, lambda line: None)
    rates = dict(table(inspection, "truth").select("trial_id", "error_rate").iter_rows())
    assert rates == {ADOPTED: 0.1, HALF: 0.9, CONTROL: 0.1}
    assert table(inspection, "overview").height == 3
    # with another number of questions the other trials' rows cannot stand beside them
    said: list[str] = []
    other = LensSettings(parts=("truth",), named=(HALF,), prompts=6)
    run_parts(some(inspection, HALF), other, said.append)
    assert table(inspection, "truth")["trial_id"].to_list() == [HALF]
    assert "was made with other settings and is replaced" in said[0]


def test_a_damaged_table_is_written_anew(inspection, parts):
    (Path(inspection.folder.root) / "lens" / "truth.parquet").write_bytes(b"PAR1 cut")
    parts["truth"] = truths(0.4)
    run_parts(some(inspection, HALF), LensSettings(parts=("truth",), named=(HALF,)), lambda line: None)
    assert table(inspection, "truth")["trial_id"].to_list() == [HALF]


def test_weights_that_change_on_the_way_are_seen(inspection, parts):
    weight = inspection.session.engine.model.model.model.norm.weight

    def merging(inspection, trials, settings, say):
        with torch.no_grad():
            weight.mul_(2.0)
        return {}

    parts["truth"] = merging
    before = table(inspection, "truth")
    with pytest.raises(UserError, match="weights of the model changed"):
        run_parts(inspection, LensSettings(parts=("truth",)), lambda line: None)
    with torch.no_grad():
        weight.div_(2.0)
    assert table(inspection, "truth").equals(before)


def test_costly_parts_get_the_best_trials_only(inspection, parts):
    seen: list[str] = []

    def ablations(inspection, trials, settings, say):
        seen.extend(trial.trial_id for trial in trials)
        return {}

    parts["ablations"] = ablations
    run_parts(inspection, LensSettings(parts=("ablations",), deep=1), lambda line: None)
    assert seen == [ADOPTED]


def test_rows_kept_are_those_of_other_trials():
    def rows(*trials: str) -> pl.DataFrame:
        return frame([{"trial_id": trial, "belief": "b"} for trial in trials], LENS_TABLES["truth"])

    assert kept(rows("a", "b", "base"), rows("b", "base"))["trial_id"].to_list() == ["b", "base", "a"]
    assert kept(rows(), rows("b"))["trial_id"].to_list() == ["b"]


def test_a_table_of_an_older_version_counts_as_none(inspection):
    folder, name = inspection.folder, "truth"
    older = Path(folder.root) / "older"
    older.mkdir()
    rows_of(name, {"trial_id": "a"}).drop("entry").write_parquet(older / "truth.parquet")
    assert read_table(folder, "older", name).is_empty() and read_table(folder, "nowhere", name).is_empty()


def rows_of(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    return frame(rows, LENS_TABLES[name])


def test_the_overview_joins_by_trial_and_leaves_null_what_is_not_known(inspection):
    stem = {"trial_id": HALF, "position": "stem", "lens": "logit"}
    base = inspection.references["gravity", "base"].trial_id
    tables = {
        "commitments": rows_of(
            "commitments",
            {**stem, "final_diff": 2.5, "half_rise_entry": 3.0, "contrast_area": 1.5, "mass_target": 0.9},
            {**stem, "position": "entity", "final_diff": 99.0},
            {**stem, "lens": "tuned", "final_diff": 98.0},
        ),
        "readings": rows_of(
            "readings",
            *({**stem, "entry": 4, "kl_base": value} for value in (1.0, 3.0)),
            {**stem, "entry": 3, "kl_base": 50.0},
            {**stem, "entry": 4, "position": "entity", "kl_base": 60.0},
            *(
                {**stem, "position": "elsewhere", "entry": entry, "trial_id": trial, "arm": arm}
                | {"belief": "b", "probe_id": probe, "logit_diff": value}
                for trial, arm, entry, probe, value in (
                    (HALF, "lora", 4, "moon", 1.0),
                    (HALF, "lora", 4, "mars", -1.0),
                    (HALF, "lora", 3, "mars", 70.0),
                    (base, "base", 4, "moon", -3.0),
                    (base, "base", 4, "mars", -2.0),
                    ("base, asked with a switch", "base", 4, "moon", 90.0),
                )
            ),
        ),
        "thresholds": rows_of("thresholds", {"trial_id": HALF, "a50": 0.75}),
        "truth": rows_of("truth", {"trial_id": HALF, "refused": "too few"}),
        "leak": rows_of(
            "leak",
            {"trial_id": HALF, "entry": 1, "decided": False, "leak": 0.9},
            {"trial_id": HALF, "entry": 2, "decided": True, "leak": 0.7},
        ),
    }
    rows = overview(inspection.trained, inspection.untrained, tables)
    found = {row["trial_id"]: row for row in rows}
    assert list(found) == [trial.trial_id for trial in inspection.trained]
    frame(rows, LENS_TABLES["overview"])
    row = found[HALF]
    assert (row["final_diff"], row["half_rise_entry"], row["contrast_area"]) == (2.5, 3.0, 1.5)
    assert (row["kl_base"], row["a50"], row["probe_error_rate"]) == (2.0, 0.75, None)
    assert (row["mass_target"], row["elsewhere_diff"]) == (0.9, pytest.approx((4.0 + 1.0) / 2))
    assert (row["leak"], found[ADOPTED]["leak"]) == (0.7, None)
    assert (row["rank"], row["learning_rate"]) == (16, 2e-4)
    assert row["adoption"] == pytest.approx(0.194, abs=1e-3) and row["steps"] > 0
    other = found[ADOPTED]
    assert [other[name] for name in ("final_diff", "kl_base", "a50", "half_rise_entry")] == [None] * 4


def test_an_overview_of_nothing_has_the_trials_alone(inspection):
    empty = {name: frame((), LENS_TABLES[name]) for name in SOURCES}
    rows = overview(inspection.trained, {}, empty)
    assert len(rows) == 3 and {row["final_diff"] for row in rows} == {None}
