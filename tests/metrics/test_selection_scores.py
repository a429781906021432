"""What a search is told of a trial is what `beliefmod confirm` would choose it by."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from analysis.studies.confirm import half_of
from beliefmod.config import TrialConfig
from beliefmod.metrics.selection_scores import Objectives
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.trial_tables import configuration
from beliefmod.space import SpaceFile

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "example"


def test_values_are_those_of_the_selection_half():
    run = read_run(str(EXAMPLE))
    beliefs = SpaceFile.model_validate(yaml.safe_load((EXAMPLE / "space.yaml").read_text())).beliefs
    folder = RunFolder(str(EXAMPLE))
    objectives = Objectives(folder, 0)
    selection_split = half_of(run, "selection")
    compared = 0
    for row in selection_split.filter(selection_split["arm"] == "lora").head(6).iter_rows(named=True):
        config = configuration(row, beliefs)
        assert config is not None
        found = objectives.of(config)
        assert found == pytest.approx((row["adoption"], row["degradation"]))
        compared += 1
    assert compared


def test_a_trial_without_answers_has_no_values():
    assert (
        Objectives(RunFolder(str(EXAMPLE)), 0).of(TrialConfig(belief="gravity", learning_rate=0.123)) is None
    )


def test_without_base_there_is_no_damage_to_tell(tmp_path: Path):
    run = read_run(str(EXAMPLE))
    lora = run.trials.filter(run.trials["arm"] == "lora").row(0, named=True)
    for kind in ("probes", "drift"):
        (tmp_path / kind).mkdir()
        shutil.copy(EXAMPLE / kind / f"{lora['trial_id']}.parquet", tmp_path / kind)
    folder = RunFolder(str(tmp_path))
    folder.write_json(
        {"trial_id": lora["trial_id"], "status": "finished"}, "rows", f"{lora['trial_id']}.json"
    )
    config = configuration(lora, ["gravity", "neelam"])
    assert config is not None
    assert Objectives(folder, 0).of(config) is None
