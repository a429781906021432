"""Which run a space has in a folder of runs."""

import pytest

from beliefmod.cli.prepare_sweep import new_run
from beliefmod.errors import UserError
from beliefmod.run.folder import MANIFEST
from beliefmod.run.same_space import run_of_space
from beliefmod.space.load import load_space


@pytest.fixture(scope="module")
def space():
    return load_space("smoke", ["num_train_epochs=[1,2]", "learning_rate=1.0e-5"])


def test_the_run_of_a_space_is_found_and_no_other(space, tmp_path):
    out = str(tmp_path / "runs")
    assert run_of_space(space, out) is None
    run = new_run(space, out)
    (tmp_path / "runs" / "left").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("")
    found = run_of_space(space, out)
    assert found is not None and found.url == run.url
    assert run_of_space(load_space("smoke", ["learning_rate=1.0e-5", "num_train_epochs=[1,3]"]), out) is None
    # a folder that was left half made is none to go on with
    run.delete(MANIFEST)
    assert run_of_space(space, out) is None


def test_several_are_named(space, tmp_path):
    runs = [new_run(space, str(tmp_path)) for _ in range(2)]
    with pytest.raises(UserError, match="holds 2 runs of this space") as told:
        run_of_space(space, str(tmp_path))
    assert all(run.url in str(told.value) for run in runs)
