"""`beliefmod report` and `beliefmod columns`: what a run says, and what its tables hold."""

from __future__ import annotations

from typing import Annotated

import typer


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder, or its URL; the run may be unfinished.")
    ],
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write there instead of into the run folder.")
    ] = None,
    limit: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Damage D up to which the best configuration is named."),
    ] = 0.05,
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
    from beliefmod.cli.judge import judge_answers
    from beliefmod.errors import UserError

    if judge_url is not None:
        judge_answers(run, judge_url, judge_model, judge_key_env, quiet)
    elif judge_model is not None or judge_key_env is not None:
        raise UserError("--judge-model and --judge-key-env need --judge-url")

    def progress(message: str) -> None:
        if not quiet:
            typer.echo(message, err=True)

    paths = write_report(run, out, limit=limit, progress=progress)
    for path in (paths.html, paths.markdown, *paths.figures):
        typer.echo(path)


def columns(
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", help="trials, probes, ..., lens_readings; all if left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of aligned text.")] = False,
) -> None:
    """Print every column of a run's tables: name, type, unit, meaning."""
    from beliefmod.errors import UserError, did_you_mean
    from beliefmod.run.tables import RUN_TABLES

    if table is not None and table not in RUN_TABLES:
        raise UserError(f"there is no table {table}{did_you_mean(table, RUN_TABLES)}")
    chosen = {table: RUN_TABLES[table]} if table is not None else RUN_TABLES
    if as_json:
        import json
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
