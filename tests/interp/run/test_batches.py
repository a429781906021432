"""A part that is stopped goes on behind its last whole batch, and only for what it was asked before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interp.lens_settings import LensSettings
from interp.opened.inspection import Inspection
from interp.run.batches import NoteKeeper, PartSpec, Progress, batches
from interp.run.run_parts import PART_SPECS, run_parts
from tests.interp.random_run import random_inspection

ASKED = LensSettings(parts=("truth",), draws=50)


@pytest.fixture
def inspection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspection:
    """Four trials, one to a batch, and a folder that lists them."""
    found = random_inspection(tmp_path, adapters=4)
    monkeypatch.setattr("interp.opened.inspection.ADAPTERS", 1)
    monkeypatch.setattr("interp.run.run_parts.finished_trials", lambda folder: found)
    return found


def part(stop_at: int | None, seen: list[str], value: float = 0.5):
    """A part that notes whom it looked at, and is interrupted at the trial of that number."""

    def found(inspection: Inspection, trials: Any, settings: LensSettings, say: Any) -> dict[str, Any]:
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        [trial] = trials
        seen.append(trial.trial_id)
        say(f"note: looked at {trial.trial_id}")
        who = {"trial_id": trial.trial_id, "arm": "lora", "belief": trial.belief}
        return {"truth": [{**who, "error_rate": value}]}

    return found


def run(inspection: Inspection, function: Any, settings: LensSettings = ASKED) -> list[str]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PART_SPECS, "truth", replace(PART_SPECS["truth"], run=function))
        run_parts(inspection, settings, said.append)
    return said


def names(inspection: Inspection) -> list[str]:
    return [trial.trial_id for [trial], _ in batches(inspection.trained, PART_SPECS["truth"], ())]


def kept_files(inspection: Inspection) -> list[Path]:
    return sorted((Path(inspection.folder.root) / "lens").rglob("unfinished/*/*.json"))


def stopped(inspection: Inspection, at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(inspection, part(at, []))


def test_it_goes_on_where_it_was_stopped_and_keeps_notes(inspection: Inspection):
    stopped(inspection, 2)
    assert len(kept_files(inspection)) == 2
    seen: list[str] = []
    said = run(inspection, part(None, seen, 0.75))
    assert seen == names(inspection)[2:]
    table = inspection.folder.read_frame("lens", "truth.parquet")
    assert table["trial_id"].to_list() == names(inspection)
    assert table["error_rate"].to_list() == [0.5, 0.5, 0.75, 0.75]
    notes = [line for line in said if line.startswith("note: ")]
    assert notes == [f"note: looked at {name}" for name in names(inspection)]
    assert not (Path(inspection.folder.root) / "lens" / "unfinished").exists()


@pytest.mark.parametrize("other", [{"prompts": 5}, {"draws": 60}, {"arms": ("base", "lora")}, {"seed": 1}])
def test_other_settings_find_nothing(inspection: Inspection, other: dict[str, Any]):
    stopped(inspection, 3)
    seen: list[str] = []
    run(inspection, part(None, seen), replace(ASKED, **other))
    assert seen == names(inspection)


def test_another_model_finds_nothing(inspection: Inspection):
    stopped(inspection, 3)
    loaded = replace(inspection.session.loaded, fingerprint="another")
    changed = replace(inspection, session=replace(inspection.session, loaded=loaded))
    seen: list[str] = []
    run(changed, part(None, seen))
    assert seen == names(inspection)


def test_a_damaged_batch_is_looked_at_again(inspection: Inspection):
    stopped(inspection, 3)
    kept = Path(inspection.folder.root) / "lens" / "unfinished" / "truth"
    first = sorted(kept.glob("*.parquet"))[0]
    first.write_bytes(b"PAR1 cut")
    seen: list[str] = []
    run(inspection, part(None, seen))
    assert len(seen) == 2 and set(seen) <= set(names(inspection))
    table = inspection.folder.read_frame("lens", "truth.parquet")
    assert table["trial_id"].to_list() == names(inspection)


def test_the_time_left_counts_what_costly_trials_cost(inspection: Inspection):
    """One costly trial of 9 and three others: after the first, three twelfths are left."""
    spec = PartSpec(lambda *given: {}, ("doses",), deep_cost=9.0)
    parts = batches(inspection.trained, spec, inspection.trained[-1:])
    assert [cost for _, cost in parts] == [9.0, 1.0, 1.0, 1.0]
    assert parts[0][0] == [inspection.trained[-1]]
    times = iter([0.0, 90.0, 91.0, 100.0, 110.0])
    said: list[str] = []
    work = Progress("doses (1 of 1)", parts, lambda: next(times), NoteKeeper(said.append))
    assert [more for _, more in work.each()] == [True, True, True, False]
    assert said == [
        "doses (1 of 1): 1 of 4 trials, about 30 s left",
        "doses (1 of 1): 3 of 4 trials, about 9 s left",
    ]
