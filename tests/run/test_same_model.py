"""A run is gone on with by the model that its results are of, or by nobody; seen before any host starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from beliefmod.bundled import weights_dir
from beliefmod.capacity.resources import Capacity
from beliefmod.errors import UserError
from beliefmod.fleet import sweep
from beliefmod.model.identity import WORDS, model_identity
from beliefmod.model.load import load_tokenizer
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.manifest import update_manifest
from beliefmod.run.same_model import check_before_hosts, check_same_model, source_of
from beliefmod.space import Space, SpaceFile
from tests.model.test_identity import CHANGES


@pytest.fixture
def space(tmp_path: Path) -> Space:
    shutil.copytree(weights_dir(), tmp_path / "model")
    spec = SpaceFile(name="mine", beliefs=("gravity",), model=str(tmp_path / "model"))
    return Space(spec, "space.yaml")


@pytest.fixture
def folder(space: Space, tmp_path: Path) -> RunFolder:
    """A run of the space with a result, that keeps what its model was."""
    made = RunFolder(str(tmp_path / "run"))
    made.create()
    made.write_json({}, MANIFEST)
    source = source_of(made, space.spec)
    update_manifest(made, model={"identity": model_identity(source, load_tokenizer(source))})
    made.write_trial({"trial_id": "t", "belief": "gravity", "arm": "base", "seed": 0, "status": "stopped"})
    return made


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_any_part_stops_a_resume_before_a_cluster_or_host_is_started(
    part: str, space: Space, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
):
    class Started(Exception):
        pass

    def started(*_: object):
        raise Started

    monkeypatch.setattr(sweep, "session", started)

    def gone_on_with() -> None:
        sweep.run_sweep(space, folder, address=None, capacity=Capacity(), dashboard=False, quiet=True)

    with pytest.raises(Started):  # the model as it was
        gone_on_with()
    CHANGES[part](Path(space.spec.model))
    before = folder.read_bytes(MANIFEST)
    with pytest.raises(UserError) as caught:
        gone_on_with()
    [problem] = caught.value.problems
    assert problem.startswith(f"{folder.url}: {space.spec.model} is not the model that its results are of")
    assert f"changed: {WORDS[part]} (" in problem and problem.count(" then, ") == 1 and "\n" not in problem
    assert folder.read_bytes(MANIFEST) == before


def test_a_run_without_results_may_have_any_model(space: Space, folder: RunFolder):
    folder.delete("rows")
    CHANGES["weights"](Path(space.spec.model))
    check_same_model(folder, source_of(folder, space.spec))
    update_manifest(folder, confirmation={"top": 5})  # which has results to be compared with
    with pytest.raises(UserError, match="changed: weights"):
        check_same_model(folder, source_of(folder, space.spec))


def test_a_model_that_is_gone_is_said_before_a_host_starts(space: Space, folder: RunFolder):
    shutil.rmtree(space.spec.model)
    with pytest.raises(UserError, match=r"model folder .*model does not exist"):
        check_before_hosts(folder, space.spec, elsewhere=False)
    check_before_hosts(folder, space.spec, elsewhere=True)  # it lies on the hosts' machines


def test_nothing_is_fetched_for_hosts_on_other_machines(folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
    from beliefmod.model import hub

    monkeypatch.setattr(hub, "hub_folder", lambda *_: pytest.fail("asked the hub"))
    spec = SpaceFile(name="mine", beliefs=("gravity",), model="Qwen/Qwen3-4B")
    check_before_hosts(folder, spec, elsewhere=True)


def test_of_an_older_run_what_it_kept_is_compared(space: Space, folder: RunFolder):
    known = json.loads(folder.read_bytes(MANIFEST))["model"]["identity"]
    update_manifest(folder, model={"fingerprint": known["weights"]})
    CHANGES["generation"](Path(space.spec.model))  # which it did not keep
    check_same_model(folder, source_of(folder, space.spec))
    CHANGES["weights"](Path(space.spec.model))
    with pytest.raises(UserError, match=rf"changed: weights \({known['weights'][:12]} then"):
        check_same_model(folder, source_of(folder, space.spec))
