"""Storage that fails under a sweep, told by the command line."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from typer.testing import CliRunner

from beliefmod.cli import prepare_sweep
from beliefmod.cli.app import app
from beliefmod.cli.prepare_sweep import new_run
from beliefmod.errors import StorageTrouble, UserError
from beliefmod.run.lock import sole_driver
from beliefmod.space.load import load_space
from tests.cli.test_endurance_cli import write_space


@pytest.fixture
def run(tmp_path):
    return new_run(load_space(write_space(tmp_path / "space", [2])), str(tmp_path / "runs"))


@pytest.fixture
def fails(monkeypatch):
    """run_sweep raises what is in the list."""
    import beliefmod.fleet.sweep as fleet

    errors: list[Exception] = []

    def run_sweep(*arguments, **options):
        raise errors[0]

    monkeypatch.setattr(fleet, "run_sweep", run_sweep)
    return errors


def test_one_sentence_names_folder_reason_and_the_way_on(run, fails):
    fails.append(StorageTrouble.of(run.url, OSError(28, "No space left on device")))
    done = CliRunner().invoke(app, ["resume", run.url])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        f"{run.url}: cannot be written (No space left on device); finished trials are kept: put the folder "
        f"right, then go on with: beliefmod resume {run.url}"
    )
    assert run.read_json("manifest.json")["status"] == "interrupted"


def test_a_run_that_another_driver_works_on_is_left_alone(run):
    with sole_driver(run):
        done = CliRunner().invoke(app, ["resume", run.url])
    assert done.exit_code == 2
    assert "works on this run" in done.stderr
    assert run.exists("manifest.json")


def test_a_run_in_which_nothing_could_start_is_removed_only_if_it_is_new(run, fails, tmp_path):
    fails.append(UserError("no model"))
    assert CliRunner().invoke(app, ["resume", run.url]).exit_code == 2
    assert run.exists("manifest.json")  # it may hold checkpoints, and a wrong --address is soon typed
    space = write_space(tmp_path / "other", [2])
    new = ["sweep", "--space", str(space), "--out", str(tmp_path / "others")]
    assert CliRunner().invoke(app, new).exit_code == 2
    assert not list((tmp_path / "others").glob("*/manifest.json"))


def test_sweeps_that_start_in_the_same_moment_get_a_folder_each(tmp_path: Path, monkeypatch):
    space = load_space(write_space(tmp_path / "space", [2]))
    monkeypatch.setattr(prepare_sweep.time, "strftime", lambda form: "20261129-111323")
    monkeypatch.setattr(prepare_sweep, "create_run", lambda *given: None)
    barrier = Barrier(8)

    def start(_: int) -> str:
        barrier.wait()
        return new_run(space, str(tmp_path / "runs")).url

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 8
