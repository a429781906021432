"""`beliefmod export`: a run's tables for other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from beliefmod.cli.options import AdapterBase, BaseRevision, UnfinishedRun
from beliefmod.errors import UserError


class LayerNames(StrEnum):
    """How the layers of an adapter are called that was trained on the text part of a model that also sees."""

    whole = "whole"
    text = "text"


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
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRIAL", help="Write a trial's adapter instead of tables; its id. May be repeated."
        ),
    ] = None,
    base: AdapterBase = None,
    revision: BaseRevision = None,
    keys: Annotated[
        LayerNames,
        typer.Option(
            help="Of a model that also sees: name layers as in the whole model, or as in its text part alone."
        ),
    ] = LayerNames.whole,
) -> None:
    """Write every table of a run as one file, with a file that explains its columns.

    In CSV a null is an empty cell, an empty text is "", lists are JSON. Text that
    a spreadsheet could take for a formula (it begins with = + - @, a tab or a
    line break) or that begins with ' gets one ' in front; take one ' off to have
    it back. Parquet holds everything as it is.

    With --adapter, write adapters that PEFT and servers open, into RUN/export/adapters
    or --out, a folder for each.
    """
    from analysis.export import export_run

    if adapter:
        _export_adapters(run, adapter, out, base, revision, keys)
        return
    if base or revision or keys is not LayerNames.whole:
        raise UserError("--base, --revision and --keys are for adapters; name one with --adapter TRIAL")
    names = None if tables is None else [name for part in tables.split(",") if (name := part.strip())]
    if names == []:
        raise UserError("--tables: names no table; give some of those that beliefmod columns lists")
    done = export_run(run, out, "csv" if csv else "parquet", names)
    if not done:
        raise UserError(f"{run}: has no rows of any table yet; nothing was written")
    if out is None:
        _sealed(run, tables=[table.table for table in done])
    for table in done:
        typer.echo(f"{table.path}  {table.rows:,} rows; columns in {table.columns}")


def _export_adapters(
    run: str, trials: list[str], out: str | None, base: str | None, revision: str | None, keys: LayerNames
) -> None:
    from beliefmod.run.adapter_export import adapter_of, export_adapter
    from beliefmod.run.folder import RunFolder

    if revision and not base:
        raise UserError("--revision is of the model that --base names; give both")
    folder = RunFolder.open(run)
    if out is None and not folder.local:
        raise UserError(f"{folder.url}: is not on this disk; say with --out FOLDER where adapters are to go")
    place = Path(out) if out is not None else Path(folder.path("export", "adapters"))
    found = [adapter_of(folder, trial) for trial in trials]
    for trial_id in found:
        done = export_adapter(folder, trial_id, place / trial_id, base, revision, keys.value)
        typer.echo(f"{done.folder}  base {done.base}{f' at {done.revision}' if done.revision else ''}")
        if keys is LayerNames.whole:
            typer.echo(f"vLLM: {done.vllm_command(trial_id)}")
        if done.on_this_disk and base is None:
            typer.echo(
                f"{trial_id}: its base is a folder of this machine; for another one name the model as it is "
                "found there, with --base",
                err=True,
            )
    if out is None:
        _sealed(run, adapters=found)


def _sealed(run: str, **what: list[str]) -> None:
    """Say in a sealed run's chain what was exported into it; the run itself is as it was."""
    from beliefmod.run.folder import RunFolder
    from beliefmod.run.seal.ledger import append

    append(RunFolder(run), [{"kind": "export", **what}])
