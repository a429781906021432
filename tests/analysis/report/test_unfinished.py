"""Trials that a scheduler has ended are told, and move no number."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.report.sections.unfinished import stopped_note
from analysis.report.write import report_markdown
from beliefmod.config import TrialConfig
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.trial_tables import STEPS, TRIALS, frame
from tests.analysis.synthetic import grid, write_run

CONFIGS = list(grid(styles=("own_trace",), examples=(10,), epochs=(3,)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Three configurations on two seeds, all finished."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    return write_run(
        folder, beliefs=("gravity",), seeds=(0, 1), configs=CONFIGS, families=6, per_family=4, failed=0
    )


def with_stopped(whole: Path, folder: Path, configs: list[TrialConfig]) -> Path:
    """The same run with rows of trials that were ended, as a pack writes them."""
    import shutil

    shutil.copytree(whole, folder)
    trials = pl.read_parquet(folder / "trials.parquet")
    model = trials["model"][0]
    rows = [
        {
            **{name: value for name, value in config.leaves().items() if name != "lora.target_modules"},
            "lora.target_modules": "all-linear",
            "trial_id": config.trial_id,
            "kind": "existing",
            "model": model,
            "status": "stopped",
            "steps": 3 + place,
            "final_loss": 0.5,
        }
        for place, config in enumerate(configs)
    ]
    pl.concat([trials, frame(rows, TRIALS)]).write_parquet(folder / "trials.parquet")
    for row in rows:
        steps = [{"trial_id": row["trial_id"], "step": 1, "loss": 9.0, "quick_adoption": 0.0}]
        frame(steps, STEPS).write_parquet(folder / "steps" / f"{row['trial_id']}.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["space"] = {
        **manifest.get("space", {}),
        "search": {"scheduler": "asha", "scheduler_metric": "loss"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def ended(seed: int = 0, **changes) -> TrialConfig:
    return TrialConfig.model_validate({"belief": "gravity", "seed": seed, **CONFIGS[0], **changes})


@pytest.mark.long
def test_no_number_moves_and_the_report_says_who_is_missing(whole, tmp_path):
    others = [ended(seed, learning_rate=rate) for seed in (0, 1) for rate in (3e-5, 6e-5)]
    changed = with_stopped(whole, tmp_path / "run", others)
    before, after = find(read_run(str(whole))), find(read_run(str(changed)))
    assert after.pooled.drop("trial_ids").equals(before.pooled.drop("trial_ids"))
    assert after.probes.equals(before.probes)
    text = report_markdown(read_run(str(changed)))
    assert "12 trials finished, 4 ended early." in text
    assert "4 trials ended early by the scheduler (asha, by loss), after 3 to 6 steps" in text
    assert "ended by the scheduler after 3 steps" in text
    # but for the lines that speak of them the two reports are the same
    old = report_markdown(read_run(str(whole))).splitlines()
    new = [line for line in text.splitlines() if line not in old]
    tables = ("| status |", "They are in no rate")  # the table of what has not finished
    about = ("ended early", *(f"| stopped | {config.trial_id}" for config in others), *tables)
    assert [line for line in new if not any(words in line for words in about)] == []


def test_a_configuration_of_which_only_the_better_seeds_are_left_is_named(whole, tmp_path):
    changed = with_stopped(whole, tmp_path / "run", [ended(seed=2)])
    note = stopped_note(read_run(str(changed)))
    assert note is not None
    assert "Of 1 configuration some seeds were ended and others finished" in note


def test_nothing_is_said_where_nothing_was_ended(whole):
    assert stopped_note(read_run(str(whole))) is None
