"""The structure of the code: who may import whom, what is light, and what `beliefmod --help` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the ground floor up. A room imports only rooms on floors below its own, `if TYPE_CHECKING` included;
# rooms of one floor know nothing of each other. A module belongs to the longest name that it begins with.
FLOORS = (
    ("beliefmod", "beliefmod.errors"),
    ("beliefmod.config", "beliefmod.metrics.metric"),
    ("beliefmod.user_files", "beliefmod.metrics.conditions"),
    ("beliefmod.metrics.makers",),
    ("beliefmod.metrics.registry",),
    ("beliefmod.run.tables",),
    ("beliefmod.beliefs", "beliefmod.catalog"),
    ("beliefmod.space",),
    ("beliefmod.bundled",),
    ("beliefmod.model",),
    ("beliefmod.run",),
    ("beliefmod.reading",),
    ("beliefmod.metrics",),
    ("beliefmod.engine",),
    ("beliefmod.vllm",),
    ("beliefmod.data",),
    ("beliefmod.probing",),
    ("beliefmod.bundled.evaluation",),
    ("beliefmod.catalog.thinking",),
    ("beliefmod.capacity", "beliefmod.trial", "beliefmod.judge"),
    ("beliefmod.worker", "beliefmod.drafting"),
    ("beliefmod.monitor",),
    ("beliefmod.fleet",),
    ("interp", "interp.types", "interp.lens_settings", "interp.family_bootstrap"),
    ("interp.steps",),
    ("interp.lenses", "interp.prompts"),
    ("interp.opened",),
    ("interp.read",),
    ("interp.parts",),
    ("interp.run",),
    ("analysis.wording",),
    ("analysis.stats",),
    ("analysis.published", "analysis.recompute"),
    ("analysis.frontier", "analysis.fingerprints"),
    ("analysis.findings",),
    ("analysis.told_apart",),
    ("analysis.find", "analysis.read_lens"),
    ("analysis.studies",),
    ("analysis.report",),
    ("analysis", "analysis.verify"),
    ("beliefmod.api",),
    ("beliefmod.cli",),
    ("beliefmod.__main__",),
)
FACED = "beliefmod.api"
"""What the package itself gives on, when it is asked for."""
RANK = {room: rank for rank, floor in enumerate(FLOORS) for room in floor}
LIGHT = (
    "beliefmod",
    "beliefmod.api",
    "beliefmod.config",
    "beliefmod.errors",
    "beliefmod.space",
    "beliefmod.space.load",
    "beliefmod.metrics.registry",
    "beliefmod.run.tables.trial_tables",
    "beliefmod.user_files.yaml_file",
    "beliefmod.beliefs",
)
HEAVY = ("torch", "ray", "transformers", "peft", "bitsandbytes", "polars", "altair", "pint", "scipy", "numpy")
# library -> the rooms that may import it, at any depth
ONLY_IN = {
    "ray": {"beliefmod.fleet", "beliefmod.cli"},
    "bitsandbytes": {"beliefmod.model"},
    "torch": {
        "beliefmod.bundled",
        "beliefmod.bundled.evaluation",
        "beliefmod.catalog.thinking",
        "beliefmod.model",
        "beliefmod.engine",
        "beliefmod.probing",
        "beliefmod.capacity",
        "beliefmod.worker",
        "beliefmod.fleet",
        "interp.lenses",
        "interp.opened",
        "interp.read",
        "interp.parts",
        "beliefmod.cli",
    },
    "altair": {"analysis.report"},
}


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the product."""
    found = {}
    for top in ("beliefmod", "analysis", "interp"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at any depth; a name taken from a package is `package.name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(target: str, known: Mapping[str, object]) -> str | None:
    """The module of ours that a dotted name is, or is in; None for a library."""
    parts = target.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in known), None)


def room(module: str) -> str:
    """The room that a module of ours belongs to."""
    found = module_of(module, RANK)
    assert found is not None, f"{module} is in no room; add it to FLOORS"
    return found


def circle(paths: Mapping[str, Path]) -> list[str]:
    """Modules that import each other in a circle, the first again last; empty where there are none."""
    graph = {
        name: {there for target in imports(path) if (there := module_of(target, paths)) not in (None, name)}
        for name, path in paths.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize(("name", "path"), MODULES.items(), ids=MODULES)
def test_imports_go_down_only(name: str, path: Path):
    here = room(name)
    for target in imports(path):
        there = module_of(target, MODULES)
        if there is None or room(there) == here or (name == "beliefmod" and room(there) == FACED):
            continue
        assert RANK[room(there)] < RANK[here], f"{name} imports {target}, which is not below it"


def test_no_modules_import_each_other_in_a_circle():
    # a package's face re-exports its modules, which is no import of theirs
    faces = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert not circle({name: path for name, path in MODULES.items() if name not in faces})


def test_a_circle_is_found_also_where_only_types_are_imported(tmp_path: Path):
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from second import Name\n")
    second.write_text("def late():\n    import first\n")
    assert sorted(set(circle({"first": first, "second": second}))) == ["first", "second"]
    second.write_text("")
    assert not circle({"first": first, "second": second})


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("beliefmod.fleet.")])
def test_the_fleet_holds_only_what_deals_with_ray(name: str):
    targets = list(imports(MODULES[name]))
    assert any(t.split(".")[0] == "ray" or t.startswith("beliefmod.fleet.") for t in targets), name


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_rooms(library: str):
    def uses(path: Path) -> bool:
        return any(t.split(".")[0] == library for t in imports(path))

    assert {room(name) for name, path in MODULES.items() if uses(path)} <= ONLY_IN[library]


def test_only_the_command_line_and_the_api_import_analysis_and_interp():
    for name, path in MODULES.items():
        if not name.startswith("beliefmod") or name.startswith(("beliefmod.cli", "beliefmod.api")):
            continue
        assert not [t for t in imports(path) if t.split(".")[0] in ("analysis", "interp")], name


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
