"""`beliefmod report` and `beliefmod columns` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import typer
from typer.testing import CliRunner

from beliefmod.cli.app import Commands
from beliefmod.cli.report import columns, report
from beliefmod.run.tables.trial_tables import TABLES
from tests.analysis.synthetic import write_run

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
app.command()(report)
app.command()(columns)
cli = CliRunner()


def test_report_prints_the_paths(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0)
    result = cli.invoke(app, ["report", str(run), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    paths = result.stdout.split()
    assert paths[0] == str(tmp_path / "report.html") and all(Path(path).is_file() for path in paths)
    assert "drawing frontier" in result.stderr


def test_quiet_prints_only_the_paths(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    result = cli.invoke(app, ["report", str(run), "--quiet"])
    assert result.stderr == "" and result.stdout.split()[:2] == [
        str(run / "report.html"),
        str(run / "report.md"),
    ]


def test_not_a_run_is_a_sentence(tmp_path: Path) -> None:
    result = cli.invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert "not a run folder" in result.stderr and "Traceback" not in result.output


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    file = tmp_path / "file"
    file.write_text("kept")
    judged = ["--judge-url", "http://127.0.0.1:9"]
    for out in (file, file / "folder"):
        for more in ([], judged):
            result = cli.invoke(app, ["report", str(run), "--out", str(out), *more])
            assert result.exit_code == 2 and result.stdout == ""
            assert result.stderr.strip().startswith(f"{out}: cannot be written") and "--out" in result.stderr
    assert file.read_text() == "kept" and not (run / "report.md").exists()


def test_columns_prints_every_column() -> None:
    result = cli.invoke(app, ["columns"])
    lines = result.stdout.splitlines()
    for name, table in TABLES.items():
        assert f"{name}: {len(table)} columns" in lines
        for column in table:
            assert any(
                line.split("  ")[0].strip() == column.name and line.endswith(column.meaning) for line in lines
            )


def test_columns_of_one_table_as_json() -> None:
    result = cli.invoke(app, ["columns", "steps", "--json"])
    shown = json.loads(result.stdout)
    assert [column["name"] for column in shown["steps"]] == [column.name for column in TABLES["steps"]]
    assert list(shown) == ["steps"] and set(shown["steps"][0]) == {"name", "dtype", "unit", "meaning"}


def test_unknown_table() -> None:
    result = cli.invoke(app, ["columns", "trial"])
    assert result.exit_code == 2 and 'did you mean "trials"?' in result.stderr


def test_help_is_light() -> None:
    code = (
        "import sys, beliefmod.cli.report\n"
        "print([m for m in ('polars', 'altair', 'analysis', 'numpy', 'torch') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_analysis_knows_neither_torch_nor_ray() -> None:
    code = (
        "import sys, analysis.report.write\n"
        "from analysis.report.compose import sections\n"
        "sections()\n"
        "print([m for m in ('torch', 'ray', 'transformers', 'peft') if m in sys.modules])\n"
        "rooms = tuple(f'beliefmod.{room}' for room in ('engine', 'fleet', 'model', 'cli'))\n"
        "print([m for m in sys.modules if m.startswith(rooms)])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["[]", "[]"]
