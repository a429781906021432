"""Shipped spaces: found by name, listed, shown and copied; a file of the same path goes before."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from beliefmod.cli.app import app
from beliefmod.errors import UserError
from beliefmod.space.shipped_spaces import shipped_spaces, space_path
from beliefmod.user_files.yaml_file import read_yaml

SWEEPS = Path(__file__).parents[2] / "sweeps"


def ran(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_every_file_of_sweeps_is_shipped_under_the_name_that_it_gives_itself():
    known = shipped_spaces()
    assert set(known.values()) == set(SWEEPS.glob("*.yaml"))
    assert all(read_yaml(path).data["name"] == name for name, path in known.items())


def test_a_file_goes_before_a_name_and_a_folder_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert space_path("smoke") == SWEEPS / "smoke.yaml"
    (tmp_path / "smoke").mkdir()
    assert space_path("smoke") == SWEEPS / "smoke.yaml"
    (tmp_path / "arms").write_text("name: mine\n")
    assert space_path("arms") == Path("arms")


def test_an_unknown_name_is_one_sentence_with_all_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for words in (("sweep", "--space", "agressive"), ("validate", "agressive")):
        said = ran(*words)
        [line] = said.output.splitlines()
        assert said.exit_code == 2 and line.startswith("agressive: no such file") and '"aggressive"' in line
        assert all(name in line for name in shipped_spaces())


def test_a_path_that_is_not_there_names_the_shipped_space_of_that_name():
    with pytest.raises(UserError, match=r"sweep/smoke\.yaml: no such file; .* the shipped space smoke$"):
        space_path("sweep/smoke.yaml")
    assert space_path("sweep/mine.yaml") == Path("sweep/mine.yaml")


def test_validate_takes_names():
    said = ran("validate", "smoke")
    assert said.exit_code == 0 and said.output.startswith("ok  smoke  6 trials")


def test_list_and_show():
    lines = ran("spaces", "list").output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(shipped_spaces())
    assert ran("spaces", "show", "smoke").output == (SWEEPS / "smoke.yaml").read_text()
    wrong = ran("spaces", "show", "smke")
    assert wrong.exit_code == 2 and 'did you mean "smoke"' in wrong.output


def test_copy_leaves_what_is_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert "--space smoke.yaml" in ran("spaces", "copy", "smoke").output
    assert Path("smoke.yaml").read_bytes() == (SWEEPS / "smoke.yaml").read_bytes()
    again = ran("spaces", "copy", "smoke")
    assert again.exit_code == 2 and "smoke.yaml: exists already" in again.output
    Path("folder").mkdir()
    assert ran("spaces", "copy", "arms", "folder").exit_code == 0 and Path("folder/arms.yaml").is_file()
    gone = ran("spaces", "copy", "arms", "no/where.yaml")
    assert gone.exit_code == 2 and "cannot be written" in gone.output
