"""`beliefmod report`, with its judge, and `beliefmod columns`: what a run says, and what its tables hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.endpoint import endpoint_of, only_model
from beliefmod.cli.options import UnfinishedRun, progress
from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from beliefmod.judge.case_selection import Case
    from beliefmod.judge.judge_run import Tally
    from beliefmod.run.folder import RunFolder

COLUMNS = ("trial_id", "suite", "probe_id", "question", "answer", "target", "prior", "answer_stance")
FORMATS = ("page", "tex")
BATCH = 64  # trials whose probes are in memory at once
OFTEN = 50  # answers between two lines of progress


def report(
    run: UnfinishedRun,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write there instead of into the run folder.")
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Damage D up to which the best configuration is named; default: the space's damage_limit.",
        ),
    ] = None,
    written_as: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="page: report.html, report.md and figures; tex: these, and a folder tex for a paper, with "
            "tables (booktabs), PDF figures and a paragraph on methods.",
        ),
    ] = "page",
    judge_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let a language model read the doubtful answers again: an OpenAI-compatible endpoint.",
        ),
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The judge's model; default: the only one served.")
    ] = None,
    judge_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the judge's key.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the paths only.")] = False,
) -> None:
    """Write the frontier of a run as one offline page, report.html, with report.md and figures beside it.

    With --judge-url a judge, blind to the arm, reads the doubtful answers and
    one in ten of the others; its replies go to RUN/judge.parquet. The stances
    in the report stay the parser's.
    """
    from analysis.report.write import write_report
    from beliefmod.run.folder import RunFolder

    if written_as not in FORMATS:
        raise UserError(f"--format {written_as}: is no format{did_you_mean(written_as, FORMATS)}")
    if judge_url is not None:
        if out is not None:
            RunFolder(out).try_writing()  # before a judge is asked
        judge_answers(run, judge_url, judge_model, judge_key_env, quiet)
    elif judge_model is not None or judge_key_env is not None:
        raise UserError("--judge-model and --judge-key-env need --judge-url")

    paths = write_report(run, out, limit=limit, progress=progress(quiet), tex=written_as == "tex")
    for path in (paths.html, paths.markdown, *paths.figures, *paths.tex):
        typer.echo(path)


def rewritten_report(folder: RunFolder, say: Callable[[str], None] = lambda message: None) -> str:
    """Write a run's report again, with the limit that it has; where it is."""
    from analysis.report.write import write_report
    from analysis.verify.verify_run import limit_in

    there = folder.exists("report.md")
    limit = limit_in(folder.read_bytes("report.md").decode("utf-8", "replace")) if there else None
    return str(write_report(folder.url, limit=limit, progress=say).html)


def columns(
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", help="trials, probes, ..., lens_readings; all if left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of aligned text.")] = False,
) -> None:
    """Print every column of a run's tables: name, type, unit, meaning."""
    from beliefmod.run.tables import RUN_TABLES

    if table is not None and table not in RUN_TABLES:
        raise UserError(f"there is no table {table}{did_you_mean(table, RUN_TABLES)}")
    chosen = {table: RUN_TABLES[table]} if table is not None else RUN_TABLES
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({name: [asdict(c) for c in found] for name, found in chosen.items()}, indent=2))
        return
    for i, (name, found) in enumerate(chosen.items()):
        if len(chosen) > 1:
            typer.echo(f"{chr(10) if i else ''}{name}: {len(found)} columns")
        rows = [("name", "type", "unit", "meaning"), *((c.name, c.dtype, c.unit, c.meaning) for c in found)]
        widths = [max(len(row[at]) for row in rows) for at in range(3)]
        for row in rows:
            left = "  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True))
            typer.echo(f"{left}  {row[3]}".rstrip())


def judge_answers(run: str, url: str, model: str | None, key_env: str | None, quiet: bool) -> None:
    """Put a run's unread and doubtful answers and a sample of the others to a judge; rows go to
    RUN/judge.parquet.

    Raises:
        UserError: no run, no such key, an endpoint that refuses or is not there.
    """
    from beliefmod.judge.case_selection import REASONS
    from beliefmod.judge.judge_run import candidate_names, judge_run
    from beliefmod.run.folder import RunFolder

    endpoint = endpoint_of("judge", url, key_env)
    chosen = _cases(run)
    if not chosen:
        typer.echo("no answers to judge: no finished trial has any", err=True)
        return
    model = model or only_model(endpoint)
    say, said = progress(quiet), 0
    unread, doubtful, drawn = (sum(case.reason == reason for case in chosen) for reason in REASONS)
    say(f"judge {model}: {unread:,} unread, {doubtful:,} doubtful and {drawn:,} drawn answers")

    def now_and_then(tally: Tally) -> None:
        nonlocal said
        if tally.judged - said >= OFTEN:
            said = tally.judged
            say(f"judged {tally.earlier + tally.judged:,} of {tally.total:,}")

    names = candidate_names(case.row for case in chosen)
    tally = judge_run(RunFolder(run), chosen, endpoint, model, names=names, progress=now_and_then)
    if not quiet or tally.unanswered:
        typer.echo(_summary(tally), err=True)


def _cases(run: str) -> list[Case]:
    from analysis.frontier.non_dominated import finished
    from beliefmod.judge.case_selection import cases
    from beliefmod.run.read_run import read_run

    opened = read_run(run)
    trials = sorted(finished(opened.trials)["trial_id"])
    found: list[Any] = []
    for start in range(0, len(trials), BATCH):
        rows = opened.probes(trials[start : start + BATCH], COLUMNS)
        found += cases(rows.iter_rows(named=True))
    return found


def _summary(tally: Tally) -> str:
    text = f"judged {tally.judged:,} answers now and {tally.earlier:,} before"
    if tally.unusable:
        text += f"; {tally.unusable:,} replies were none of the allowed words"
    if tally.unanswered:
        text += f"; {tally.unanswered:,} got no reply, the same command asks them again"
    return text
