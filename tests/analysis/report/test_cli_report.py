"""`beliefmod report` and `beliefmod columns` as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from analysis.report import write
from analysis.report.latex.paper import NOTICE
from analysis.verify.verify_page import verify_page
from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_trials import Verification
from beliefmod.cli.app import Commands
from beliefmod.cli.report import columns, report
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import append, chain_of
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


def test_for_a_paper_a_sealed_run_notes_what_was_written(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    folder = RunFolder(str(run))
    append(folder, [{"kind": "session"}], begin=True)
    result = cli.invoke(app, ["report", str(run), "--quiet", "--format", "tex"])
    assert result.exit_code == 0 and result.stderr == "", result.output
    paths = result.stdout.split()
    assert paths[:2] == [str(run / "report.html"), str(run / "report.md")]
    tex = run / "tex"
    assert {str(tex / name) for name in ("main.tex", "methods.tex", "tables.tex")} < set(paths)
    shown = set(re.findall(r"\\includegraphics\[.*?\]\{(.*?)\}", (tex / "main.tex").read_text("utf-8")))
    drawn = {f"figures/{path.name}" for path in (tex / "figures").iterdir()}
    assert shown == drawn == {f"figures/{path.stem}.pdf" for path in (run / "figures").iterdir()} != set()
    assert all((tex / name).read_bytes().startswith(b"%PDF-") for name in drawn)
    last = chain_of(folder).entries[-1]
    assert last["kind"] == "report" and {str(run / name) for name in last["files"]} == set(paths)
    (tex / "figures" / "other.pdf").write_bytes(b"%PDF-")
    (tex / "tables.tex").write_text("12 %")
    done = Verification()
    verify_seal(folder, [], done)
    told = [line for line in done.mismatches if line.startswith("tex")]
    assert len(told) == 2 and told[0].startswith("tex/tables.tex: is not the file that was sealed by report")
    assert told[1].startswith("tex/figures/other.pdf: is in no entry of seal/chain.jsonl")


def test_a_format_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    for given, told in (("pdf", "; known: page, tex"), ("texx", ', did you mean "tex"?')):
        result = cli.invoke(app, ["report", str(run), "--format", given])
        assert result.exit_code == 2 and result.stdout == ""
        assert result.stderr == f"--format {given}: is no format{told}\n"
    assert not (run / "report.md").exists()


@pytest.mark.parametrize("content, again", [(NOTICE, True), ("\\documentclass{mine}", False), (None, False)])
def test_what_was_written_for_a_paper_is_written_with_every_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, again: bool
) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    asked: list[bool] = []

    def files(run: object, limit: float, progress: object, tex: bool) -> dict[str, bytes]:
        asked.append(tex)
        return {"report.html": b"", "report.md": b""}

    monkeypatch.setattr(write, "report_files", files)
    if content is not None:
        (run / "tex").mkdir()
        (run / "tex" / "main.tex").write_text(content)
    write.write_report(run)
    assert asked == [again]


def test_a_table_for_a_paper_that_the_rows_do_not_give(tmp_path: Path) -> None:
    (tmp_path / "tex").mkdir()
    (tmp_path / "report.html").write_bytes(b"page")
    (tmp_path / "tex" / "tables.tex").write_text("% note\n17.0 \\%\n")
    again = {
        "report.html": b"page",
        "tex/tables.tex": b"% note\n16.0 \\%\n",
        "tex/main.tex": b"",
        "tex/figures/f.pdf": b"x",
    }
    done = Verification()
    verify_page(RunFolder(str(tmp_path)), again, {}, done)
    changed, gone, picture = done.mismatches
    assert changed.startswith("tex/tables.tex, line 2: is not what the rows give")
    assert gone.startswith("tex/main.tex: is gone")
    assert picture == "tex/figures/f.pdf: is gone; main.tex shows it"


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
