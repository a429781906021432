"""The manifest's account of the model's version, to which a run keeps."""

import subprocess

import pytest

from beliefmod.errors import UserError
from beliefmod.run import manifest
from beliefmod.run.folder import MANIFEST
from beliefmod.run.manifest import commit_in, kept_commit, new_manifest
from beliefmod.space import Space, SpaceFile
from tests.hub_cache import FIRST, NAME, SECOND, add_version
from tests.model.conftest import model_folder as model_folder


def space(**changes: object) -> Space:
    return Space(SpaceFile.model_validate({"name": "s", "beliefs": ["gravity"], **changes}), "s.yaml")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "home"


def test_a_run_keeps_to_the_commit_that_it_began_with(folder, home):
    asked = space(model=NAME, revision="main")
    folder.write_json(new_manifest("run", asked, "now", FIRST), MANIFEST)
    assert folder.read_json(MANIFEST)["model"] == {
        "name": NAME, "revision": "main", "commit": FIRST, "base_storage": "dequantized"
    }  # fmt: skip
    # nothing is looked up: the cache is empty
    assert kept_commit(folder, asked) == commit_in(folder) == FIRST


def test_hosts_are_told_the_commit_and_the_manifest_keeps_it_beside_what_they_tell(folder, home):
    from types import SimpleNamespace

    from beliefmod.capacity.choose import Demand
    from beliefmod.capacity.resources import Capacity
    from beliefmod.fleet.sweep import _note_hosts, _settings

    asked = space(model=NAME, revision="main")
    folder.write_json(new_manifest("run", asked, "now", FIRST), MANIFEST)
    assert _settings(asked, folder, Capacity(), Demand(), 0.0, 30.0).revision == FIRST
    fleet = SimpleNamespace(first={"name": NAME, "dtype": "float32", "self_tests": {}})
    _note_hosts(folder, fleet, Capacity())  # pyright: ignore[reportArgumentType]
    assert folder.read_json(MANIFEST)["model"] == {
        "name": NAME, "revision": "main", "commit": FIRST, "base_storage": "dequantized", "dtype": "float32"
    }  # fmt: skip
    assert _settings(asked, folder, Capacity(), Demand(), 0.0, 30.0).revision == FIRST


def test_a_run_that_does_not_know_its_commit_learns_it_once(folder, home, model_folder):
    asked = space(model=NAME)
    folder.write_json(new_manifest("run", asked, "now"), MANIFEST)
    with pytest.raises(UserError, match="not in the local cache"):
        kept_commit(folder, asked)
    files = model_folder()
    add_version(home, FIRST, files, refs=("main",))
    assert kept_commit(folder, asked) == FIRST
    add_version(home, SECOND, files, refs=("main",))
    assert kept_commit(folder, asked) == FIRST
    assert folder.read_json(MANIFEST)["model"]["revision"] is None


def test_a_confirmation_keeps_to_the_version_of_its_run(folder, home):
    from beliefmod.cli.prepare_sweep import create_run
    from beliefmod.run.folder import RunFolder

    asked = space(model=NAME)
    folder.write_json(new_manifest("run", asked, "now", FIRST), MANIFEST)
    again = RunFolder(f"{folder.url}/confirmation")
    create_run(again, "run-confirmation", asked, commit_in(folder), confirmation={"top": 1})
    assert kept_commit(again, asked) == FIRST
    assert again.read_json(MANIFEST)["confirmation"] == {"top": 1}


def test_what_does_not_come_from_the_hub_has_no_commit(folder):
    asked = space()
    folder.write_json(new_manifest("run", asked, "now"), MANIFEST)
    assert kept_commit(folder, asked) is None
    assert folder.read_json(MANIFEST)["model"] == {"name": "bundled", "base_storage": "dequantized"}


def test_the_commit_of_a_checkout_that_the_environment_merely_lies_in_is_not_ours(tmp_path, monkeypatch):
    packages = tmp_path / "environment"
    packages.mkdir()
    monkeypatch.setattr(manifest, "__file__", str(packages / "manifest.py"))
    (packages / "manifest.py").write_text("")
    (tmp_path / ".gitignore").write_text("environment\n")

    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".gitignore")
    git("commit", "-q", "-m", "Ignore the environment")
    assert manifest.git_commit() is None
    git("add", "--force", "environment")
    git("commit", "-q", "-m", "Keep the environment")
    assert len(manifest.git_commit() or "") == 40
