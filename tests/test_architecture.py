"""The code is laid out as docs/architecture.md says, and its words can be understood where they stand."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from beliefmod.run.tables import RUN_TABLES
from tests.test_imports import FLOORS, MODULES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted(
    set(re.findall(r"`((?:beliefmod|analysis|interp|tests|sweeps|benchmarks|docs)/[\w./-]*)`", PAGE))
)
LOOSE = {"__init__.py", "__main__.py", "errors.py", "trial.py"}
# one thing at several levels: a command and what it runs, a study with its section and its charts
SHARED_NAMES = {
    "confirm", "doses", "effects", "export", "hypotheses", "certainty", "frontier", "tiers", "damage", "load",
    "power", "search", "with_and_without", "status", "sweep", "trial",
}  # fmt: skip
LEANS_ON_ANOTHER = re.compile(r"\blikewise\b|\bthe same of\b|\bas above\b|\bditto\b", re.IGNORECASE)


@pytest.mark.parametrize("path", PATHS)
def test_what_the_page_names_exists(path: str):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("room", [name for floor in FLOORS for name in floor if name.count(".") == 1])
def test_every_room_is_on_the_page(room: str):
    assert f"{room.replace('.', '/')}" in PAGE or (ROOT / f"{room.replace('.', '/')}.py").exists()


def test_no_module_stands_loose():
    assert {path.name for path in (ROOT / "beliefmod").glob("*.py")} == LOOSE


def test_names_of_modules_tell_them_apart():
    places = defaultdict(list)
    for name, path in MODULES.items():
        if path.name != "__init__.py":
            places[path.stem].append(name)
    shared = {stem: names for stem, names in places.items() if len(names) > 1}
    assert set(shared) <= SHARED_NAMES, shared


@pytest.mark.parametrize("path", MODULES.values(), ids=MODULES)
def test_docstrings_stand_alone(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            assert not LEANS_ON_ANOTHER.search(text), f"{path}: {text}"


@pytest.mark.parametrize("table", RUN_TABLES)
def test_meanings_of_columns_stand_alone(table: str):
    for column in RUN_TABLES[table]:
        assert column.meaning and not LEANS_ON_ANOTHER.search(column.meaning), column.name
