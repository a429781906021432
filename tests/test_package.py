"""The wheel and the sdist: built, checked, complete, small, and at work in an environment of their own.

The environment borrows the libraries of this one, which a plain `pip install` would fetch again.
"""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import beliefmod

ROOT = Path(__file__).parent.parent
LIMIT = 12_000_000
"""Bytes of a file; half of them are the adapter that teaches SmolLM2 to think."""
PACKAGES = ("beliefmod", "analysis", "interp")


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """The standard output of a command that must succeed, without this checkout on its path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [*map(str, words)],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked(*folders: str) -> set[str]:
    """The files of these folders that git has."""
    return set(run("git", "ls-files", "--", *folders, cwd=ROOT).split("\n")) - {""}


def installed(wheel: Path, folder: Path) -> Path:
    """The `bin` of a new environment with the wheel, and with the libraries of this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "libraries-of-the-tests.pth").write_text("\n".join(ours))
    pip = ("-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(sys.executable, *pip[:2], "--python", folder / "bin" / "python", *pip[2:], wheel, cwd=folder)
    return folder / "bin"


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "beliefmod/__init__.py"
    assert f"({beliefmod.__version__})" in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_has_what_its_format_requires():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["type"] == "software" and all(author.get("name") for author in cited["authors"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist of what git has, built apart from this checkout."""
    place = tmp_path_factory.mktemp("package")
    for name in tracked():
        (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / "source" / name)
    run(sys.executable, "-m", "build", "--outdir", place / "dist", place / "source", cwd=place)
    [wheel], [sdist] = place.glob("dist/*.whl"), place.glob("dist/*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def programs(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel."""
    return installed(built[0], tmp_path_factory.mktemp("environment"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder without a checkout, with modules of the user's that must not be run."""
    (tmp_path / "analysis").mkdir(parents=True)
    for own in (tmp_path / "analysis" / "__init__.py", tmp_path / "interp.py"):
        own.write_text("raise RuntimeError('the user\\'s own was run')\n")
    return tmp_path


@pytest.mark.long
def test_wheel_and_sdist_are_valid_complete_and_small(built: tuple[Path, Path], tmp_path: Path):
    wheel, sdist = built
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=tmp_path)
    assert max(wheel.stat().st_size, sdist.stat().st_size) < LIMIT

    spaces = {name.replace("sweeps/", "beliefmod/space/sweeps/") for name in tracked("sweeps")}
    pages = {"README.md", "CHANGELOG.md", "SECURITY.md", *tracked("docs/*.md", "docs/recipes")}
    pages = {f"beliefmod/pages/{name}" for name in pages if not name.startswith("docs/example")}
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
        [about] = [name for name in file.namelist() if name.endswith("/METADATA")]
        assert email.message_from_bytes(file.read(about))["Version"] == beliefmod.__version__
    assert held == tracked(*PACKAGES) | spaces | pages
    with tarfile.open(sdist) as file:
        inside = {name.partition("/")[2] for name in file.getnames()}
    assert tracked(*PACKAGES, "sweeps") <= inside and "constraints.txt" in inside
    assert not [name for name in inside if name.startswith(("tests/", "docs/example", ".git/"))]


@pytest.mark.long
def test_commands_of_the_installed_package_need_no_checkout(programs: Path, elsewhere: Path):
    command = programs / "beliefmod"
    where = run(programs / "python", "-c", "import beliefmod; print(beliefmod.__file__)", cwd=elsewhere)
    assert where.startswith(str(programs.parent))
    assert "aggressive" in run(command, "spaces", "list", cwd=elsewhere)
    assert "reading" in run(command, "docs", cwd=elsewhere)
    assert "gravity" in run(programs / "python", "-m", "beliefmod", "beliefs", "list", cwd=elsewhere)
    planned = run(command, "sweep", "--space", "smoke", "--dry-run", "--no-sample", cwd=elsewhere)
    assert planned.startswith("trials            6")


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_of_the_installed_package(programs: Path, elsewhere: Path):
    command = programs / "beliefmod"
    quick = ("--set", "num_train_epochs=1", "--hosts", "1", "--no-dashboard")
    said = run(command, "sweep", "--space", "smoke", *quick, cwd=elsewhere)
    [folder] = (elsewhere / "runs").glob("EXP-*")
    assert said.strip().endswith("report.html") and (folder / "report.html").is_file()
    assert json.loads((folder / "manifest.json").read_text())["git_commit"] is None
    run(programs / "python", "-m", "beliefmod", "verify", folder, "--quick", "--quiet", cwd=elsewhere)
