"""`beliefmod report --judge-url` from end to end, against a server on this machine."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from beliefmod.cli.app import app
from beliefmod.cli.report import judge_answers
from tests.analysis.synthetic import grid, write_run
from tests.judge.server import completion, serve


@pytest.fixture
def run(tmp_path: Path) -> Path:
    configs = list(grid(examples=(10,), epochs=(3,), rates=(2e-4,)))
    return write_run(tmp_path / "EXP-judged", beliefs=("gravity",), configs=configs)


def report(run: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["report", str(run), *arguments], env=environment)


@pytest.mark.long
def test_a_judged_run_says_so_in_its_report(run: Path):
    with serve(lambda body: completion("FIRST")) as server:
        done = report(run, "--judge-url", server.url, "--judge-key-env", "JUDGE_KEY", JUDGE_KEY="s3cret")
        assert done.exit_code == 0, done.output
        assert "judge reader:" in done.stderr and "unread" in done.stderr and "doubtful" in done.stderr
        first = len(server.requests)
        assert first > 0 and server.headers[0]["Authorization"] == "Bearer s3cret"
        judge_answers(str(run), server.url, None, None, quiet=True)
        assert len(server.requests) == first
    assert "The parser against a judge" in (run / "report.md").read_text()
    for path in (run / "report.md", run / "report.html"):
        assert "s3cret" not in path.read_text()
    found = pl.read_parquet(run / "judge.parquet")
    assert set(found["reason"]) == {"doubtful", "sample"}
    trials = set(pl.read_parquet(run / "trials.parquet").filter(pl.col("status") == "finished")["trial_id"])
    assert set(found["trial_id"]) <= trials
    for text in server.requests:
        assert not any(trial in text for trial in trials)


@pytest.mark.slow
@pytest.mark.long
def test_the_stances_of_the_report_stay_the_parsers(run: Path):
    before = report(run)
    assert before.exit_code == 0
    old = (run / "report.md").read_text()
    with serve(lambda body: completion("OTHER")) as server:
        assert report(run, "--judge-url", server.url).exit_code == 0
    new = (run / "report.md").read_text()
    start = new.index("## The parser against a judge")
    section = new[start : new.index("\n## ", start + 5)]
    assert new.replace(section + "\n", "") == old


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--judge-url", "localhost:8000"), "must be an http or https address"),
        (("--judge-url", "http://127.0.0.1:9", "--judge-key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
        (("--judge-model", "reader"), "need --judge-url"),
    ],
)
def test_mistakes_are_sentences(run: Path, arguments: tuple[str, ...], complaint: str):
    done = report(run, *arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_several_models_and_none_named(run: Path):
    with serve(lambda body: completion("FIRST"), models=("one", "two")) as server:
        done = report(run, "--judge-url", server.url)
    assert done.exit_code == 2 and "2 models (one, two)" in done.stderr


def test_a_refusing_judge_writes_no_report(run: Path):
    with serve(lambda body: (401, "no")) as server:
        done = report(run, "--judge-url", server.url)
    assert done.exit_code == 2 and "HTTP 401" in done.stderr
    assert not (run / "report.md").exists()
