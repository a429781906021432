"""The side-by-side sweep: its parts of the grid, and that it notices when the sides did different work."""

from pathlib import Path

import pytest

from beliefmod.run.folder import RunFolder
from beliefmod.space.load import load_space
from benchmarks.against_trl import ONLY_PROBES, SIZES, SPACE, adoption, differences

PROBE = {
    "trial_id": "aaaa",
    "probe_id": "p1",
    "suite": "belief",
    "tier": "derived",
    "prompt": "user: how heavy?",
    "question": "how heavy?",
    "first_turn": None,
}


@pytest.mark.parametrize(("size", "trials"), [("tiny", 5), ("small", 22), ("medium", 58), ("full", 116)])
def test_the_sizes_are_parts_of_the_aggressive_grid(size: str, trials: int):
    found = {config.trial_id for config in load_space(SPACE, [*SIZES[size], *ONLY_PROBES]).trials()}
    assert len(found) == trials


def run(folder: Path, steps: int = 9, trial_id: str = "aaaa", **probe: object) -> Path:
    folder.mkdir()
    RunFolder(str(folder)).write_trial(
        {"trial_id": trial_id, "status": "finished", "steps": steps, "adoption": 0.25},
        [{**PROBE, "trial_id": trial_id, **probe}],
    )
    return folder


def test_equal_work_has_no_differences(tmp_path: Path):
    one, other = run(tmp_path / "one"), run(tmp_path / "other")
    assert differences(one, other) == []
    assert adoption(one) == {"aaaa": 0.25}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 10}, "aaaa: 9 and 10 optimiser steps"),
        ({"prompt": "user: how light?"}, "aaaa: other prompts"),
        ({"trial_id": "bbbb"}, "trials: ['aaaa', 'bbbb']"),
    ],
)
def test_different_work_is_told(tmp_path: Path, changes: dict, told: str):
    assert differences(run(tmp_path / "one"), run(tmp_path / "other", **changes)) == [told]


def test_a_second_turns_prompt_holds_the_trials_own_answer_and_is_compared_by_its_question(tmp_path: Path):
    one = run(tmp_path / "one", first_turn="50 N", prompt="user: a assistant: 50 N user: how heavy?")
    other = run(tmp_path / "other", first_turn="98 N", prompt="user: a assistant: 98 N user: how heavy?")
    assert differences(one, other) == []
    third = run(tmp_path / "third", first_turn="98 N", question="how light?")
    assert differences(one, third) == ["aaaa: other prompts"]
