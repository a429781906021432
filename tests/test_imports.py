"""The house's floor plan: who may import whom, what is light, and how long `beliefmod --help` takes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# from the ground floor up; a room imports its own floor and those below
FLOORS = (
    ("beliefmod", "beliefmod.errors"),
    (
        "beliefmod.config",
        "beliefmod.sentences",
        "beliefmod.metric_names",
        "beliefmod.power",
        "beliefmod.limit",
        "beliefmod.model_name",
        "beliefmod.decoding_words",
    ),
    ("beliefmod.yaml_file", "beliefmod.families", "beliefmod.trial_rows"),
    ("beliefmod.axes",),
    ("beliefmod.columns",),
    ("beliefmod.records", "beliefmod.lens_records", "beliefmod.space"),
    ("beliefmod.beliefs",),
    ("beliefmod.space_checks", "beliefmod.search_checks"),
    ("beliefmod.space_file",),
    ("beliefmod.bundled",),
    ("beliefmod.model",),
    ("beliefmod.data",),
    ("beliefmod.evaluate",),
    ("beliefmod.engine",),
    (
        "beliefmod.run_storage",
        "beliefmod.row_index",
        "beliefmod.run_folder",
        "beliefmod.run_lock",
        "beliefmod.run_check",
    ),
    ("beliefmod.run_tables", "beliefmod.run_sources", "beliefmod.manifest"),
    # these question the finished model, so they stand above the rooms that question models
    ("beliefmod.bundled.evaluate", "beliefmod.bundled.card"),
    (
        "beliefmod.decoding",
        "beliefmod.answer_cache",
        "beliefmod.journal",
        "beliefmod.questioning",
        "beliefmod.causal",
        "beliefmod.drift",
        "beliefmod.lab",
        "beliefmod.milestones",
        "beliefmod.trial",
        "beliefmod.plan",
        "beliefmod.host_memory",
        "beliefmod.fit",
        "beliefmod.judge",
    ),
    ("beliefmod.fleet",),
    ("interp",),
    ("analysis",),
    ("beliefmod.cli", "beliefmod.__main__"),
)
RANK = {room: rank for rank, floor in enumerate(FLOORS) for room in floor}
LIGHT = (
    "beliefmod.config",
    "beliefmod.families",
    "beliefmod.axes",
    "beliefmod.space",
    "beliefmod.space_checks",
    "beliefmod.search_checks",
    "beliefmod.space_file",
    "beliefmod.errors",
    "beliefmod.metric_names",
    "beliefmod.records",
    "beliefmod.sentences",
    "beliefmod.yaml_file",
    "beliefmod.beliefs",
)
HEAVY = ("torch", "ray", "transformers", "peft", "bitsandbytes", "polars", "altair", "pint", "scipy", "numpy")
# library -> the rooms that may import it, at any depth
ONLY_IN = {
    "ray": {"beliefmod.fleet", "beliefmod.cli"},
    "bitsandbytes": {"beliefmod.model"},
    "torch": {
        "beliefmod.bundled",
        "beliefmod.bundled.evaluate",
        "beliefmod.model",
        "beliefmod.engine",
        "beliefmod.answer_cache",
        "beliefmod.journal",
        "beliefmod.questioning",
        "beliefmod.lab",
        "beliefmod.trial",
        "beliefmod.plan",
        "beliefmod.host_memory",
        "beliefmod.fleet",
        "interp",
        "beliefmod.cli",
    },
    "altair": {"analysis", "interp"},
}


def modules() -> list[tuple[str, Path]]:
    """(dotted name, file) of every module of the product."""
    found = []
    for top in ("beliefmod", "analysis", "interp"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(part for part in parts if part != "__init__"), path))
    return found


def imports(path: Path) -> Iterator[str]:
    """Dotted names a file imports at run time, at any depth; `if TYPE_CHECKING` blocks do not run."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            # `from beliefmod import space` imports a room, not the package
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The room of a dotted name, None for a library."""
    parts = module.split(".")
    if parts[0] in ("analysis", "interp"):
        return parts[0]
    if parts[0] != "beliefmod":
        return None
    return next((name for length in (3, 2, 1) if (name := ".".join(parts[:length])) in RANK), None)


MODULES = modules()


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_go_down_only(name: str, path: Path):
    here = room(name)
    assert here is not None and (here != "beliefmod" or name == "beliefmod"), (
        f"{name} is in no room; add it to FLOORS"
    )
    for target in imports(path):
        there = room(target)
        if there is None or there == here:
            continue
        assert RANK[there] <= RANK[here], f"{name} imports {target}, which is above it"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_rooms(library: str):
    users = {room(name) for name, path in MODULES if any(t.split(".")[0] == library for t in imports(path))}
    assert users <= ONLY_IN[library]


def test_only_the_command_line_imports_analysis_and_interp():
    for name, path in MODULES:
        if not name.startswith("beliefmod") or name.startswith("beliefmod.cli"):
            continue
        assert not [t for t in imports(path) if t.split(".")[0] in ("analysis", "interp")], name


def test_the_direction_test_sees_nested_imports_and_skips_type_checking(tmp_path: Path):
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nelse:\n    import a.b\n"
        "def f():\n    if True:\n        from ray import tune\n"
    )
    assert set(imports(path)) == {"typing.TYPE_CHECKING", "a.b", "ray.tune"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules loaded after running `code` in a fresh process."""
    program = f"{code}\nimport sys\nsys.stderr.write('\\nRESULT ' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return {name.partition(".")[0] for name in done.stderr.rpartition("RESULT ")[2].split()}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_are_light(name: str):
    assert not set(HEAVY) & loaded_after(f"import {name}")


def test_help_loads_nothing_heavy():
    """What makes it instant; how long it takes is the machine's affair."""
    loaded = loaded_after(
        "from beliefmod.cli.app import app\n"
        "try:\n    app(['--help'], prog_name='beliefmod')\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert "typer" in loaded
    # pydantic would be light enough, but shows that a command module imports too much at its top
    assert not {*HEAVY, "pydantic", "yaml"} & loaded
