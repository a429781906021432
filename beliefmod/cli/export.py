"""`beliefmod export`: a run's tables for other tools."""

from __future__ import annotations

from typing import Annotated

import typer

from beliefmod.cli.options import UnfinishedRun
from beliefmod.errors import UserError


def export(
    run: UnfinishedRun,
    csv: Annotated[
        bool, typer.Option("--csv/--parquet", help="CSV for spreadsheets, parquet is exact.")
    ] = True,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write there instead of into RUN/export.")
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Out of trials,probes,steps,causal,drift,judge, and lens_readings to lens_overview, as "
            "beliefmod columns names them; default: all that are there.",
        ),
    ] = None,
) -> None:
    """Write every table of a run as one file, with a file that explains its columns.

    In CSV a null is an empty cell, an empty text is "", lists are JSON. Text that
    a spreadsheet could take for a formula (it begins with = + - @, a tab or a
    line break) or that begins with ' gets one ' in front; take one ' off to have
    it back. Parquet holds everything as it is.
    """
    from analysis.export import export_run

    names = None if tables is None else [name for part in tables.split(",") if (name := part.strip())]
    if names == []:
        raise UserError("--tables: names no table; give some of those that beliefmod columns lists")
    done = export_run(run, out, "csv" if csv else "parquet", names)
    if not done:
        raise UserError(f"{run}: has no rows of any table yet; nothing was written")
    for table in done:
        typer.echo(f"{table.path}  {table.rows:,} rows; columns in {table.columns}")
