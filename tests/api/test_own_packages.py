"""A user's own `analysis/` and `interp.py` are neither run nor taken for beliefmod's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with modules of these names that say when they are run."""
    (tmp_path / "analysis").mkdir()
    for file in (tmp_path / "analysis" / "__init__.py", tmp_path / "interp.py"):
        file.write_text("raise RuntimeError('the user\\'s own was run')\n")
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python started in a folder, which it looks into first, with beliefmod installed behind that."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_users_own_come_first_in_that_folder(theirs: Path):
    assert "own was run" in python(theirs, "-c", "import analysis").stderr


def test_a_command_takes_our_own(theirs: Path):
    done = python(
        theirs,
        "-c",
        "from beliefmod.cli.app import app\n"
        "try:\n    app(['columns', 'judge'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "import analysis, interp\nprint(analysis.__file__)\nprint(interp.__file__)",
    )
    assert done.stdout.splitlines()[-2:] == [
        str(ROOT / name / "__init__.py") for name in ("analysis", "interp")
    ], done.stderr


def test_opening_a_run_warns_whose_names_are_taken(theirs: Path):
    program = (
        "import beliefmod\ntry:\n    beliefmod.open('gone')\nexcept Exception as error:\n    print(error)"
    )
    done = python(theirs, "-W", "always", "-c", program)
    assert "gone: there is no such folder" in done.stdout
    assert f'"interp" is now beliefmod\'s package in this Python, not {theirs / "interp.py"}' in done.stderr


def test_one_that_was_imported_before_is_a_sentence(theirs: Path):
    (theirs / "analysis" / "__init__.py").write_text("")
    (theirs / "interp.py").unlink()
    done = python(
        theirs,
        "-c",
        "import analysis\nfrom beliefmod.api.own_packages import use_own_packages\nuse_own_packages()",
    )
    [*_, last] = done.stderr.splitlines()
    assert f'"analysis" has been imported from {theirs / "analysis" / "__init__.py"}' in last
    assert "rename yours" in last
