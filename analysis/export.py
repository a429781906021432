"""A run's tables as one file each, for spreadsheets and other tools.

Parquet is exact. In CSV a null is an empty cell and an empty text is `""`, lists are JSON, and text that a
spreadsheet could take for a formula (or that begins with `'`) gets one `'` in front: a `'` at the start of a
cell is always ours to remove.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from beliefmod.errors import UserError, did_you_mean
from beliefmod.run.read_run import Run, read_run
from beliefmod.run.storage import file_system
from beliefmod.run.tables import LENS, RUN_TABLES

Kind = Literal["csv", "parquet"]
BATCH = 32  # trials in memory at once
# what a spreadsheet reads as the start of a formula (OWASP, "CSV injection"), with the full-width forms
FORMULA = r"^['=+\-@\t\r\n＝＋－＠]"


@dataclass(frozen=True)
class Exported:
    """A table's file, its rows, and the file that explains its columns."""

    table: str
    path: str
    rows: int
    columns: str


def export_run(
    location: str, out: str | None = None, kind: Kind = "csv", tables: Sequence[str] | None = None
) -> list[Exported]:
    """Write each table of a run as `out/TABLE.csv` or `.parquet`, with `TABLE.columns.csv` beside it.

    Args:
        location: a run folder or its URL; rows that a sweep under way has just written are included.
        out: a folder or URL; default `export` in the run folder.
        tables: which; default all that the run has.

    Raises:
        UserError: no run folder, an unknown table, or a table asked for that the run does not have.
    """
    for name in tables or ():
        if name not in RUN_TABLES:
            raise UserError(
                f"--tables: there is no table {name}{did_you_mean(name, RUN_TABLES)}; "
                f"the tables are {', '.join(RUN_TABLES)}"
            )
    run = read_run(location)
    target = out if out is not None else f"{location.rstrip('/')}/export"
    done = []
    for name in dict.fromkeys(tables or RUN_TABLES):
        parts = _parts(run, name)
        first = next(parts, None)
        if first is None:
            if tables:
                raise UserError(f"{location}: has no rows of the table {name}; leave it out of --tables")
            continue
        done.append(_write(target, name, kind, first, parts))
    return done


def spreadsheet_safe(table: pl.DataFrame) -> pl.DataFrame:
    """The table as CSV cells: lists as JSON, formula-like text with a `'` in front, the rest as it is."""
    columns = []
    for name, dtype in table.schema.items():
        column = pl.col(name)
        if isinstance(dtype, pl.List):
            # JSON of integers is what joining them gives
            inner = column.list.eval(pl.element().cast(pl.String).fill_null("null")).list.join(",")
            columns.append(pl.concat_str(pl.lit("["), inner, pl.lit("]")).alias(name))
        elif dtype == pl.String:
            prefixed = pl.concat_str(pl.lit("'"), column)
            columns.append(pl.when(column.str.contains(FORMULA)).then(prefixed).otherwise(column).alias(name))
        else:
            columns.append(column)
    return table.select(columns)


def _parts(run: Run, name: str) -> Iterator[pl.DataFrame]:
    """The table in pieces that fit into memory; nothing when the run has no row of it."""
    if (table := _whole(run, name)) is not None:
        if table.height:
            yield table
        return
    ids = run.trials["trial_id"].to_list()
    read = {"probes": run.probes, "steps": run.steps, "causal": run.causal, "drift": run.drift}[name]
    for start in range(0, len(ids), BATCH):
        table = read(ids[start : start + BATCH])
        if table.height:
            yield table


def _whole(run: Run, name: str) -> pl.DataFrame | None:
    """A table that the run has one of; None for those of which every trial has its own."""
    if name.startswith(LENS):
        return run.lens(name.removeprefix(LENS))
    if name == "trials":
        return run.trials
    return run.judge() if name == "judge" else None


def _write(target: str, name: str, kind: Kind, first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Exported:
    files, root = file_system(target)
    root = root.rstrip("/") or "/"
    try:
        files.makedirs(root, exist_ok=True)
        # written elsewhere first: whoever reads the folder sees a whole table or none
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / f"{name}.{kind}"
            rows = _csv(local, first, rest) if kind == "csv" else _parquet(local, first, rest)
            files.put_file(str(local), posixpath.join(root, f".{local.name}.part"))
            files.mv(posixpath.join(root, f".{local.name}.part"), posixpath.join(root, local.name))
        meanings = pl.DataFrame([asdict(column) for column in RUN_TABLES[name]])
        with files.open(posixpath.join(root, f"{name}.columns.csv"), "wb") as file:
            file.write(spreadsheet_safe(meanings).write_csv().encode())
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror or error}); choose another folder with --out"
        ) from None
    return Exported(name, _shown(target, f"{name}.{kind}"), rows, _shown(target, f"{name}.columns.csv"))


def _shown(target: str, name: str) -> str:
    return f"{target.rstrip('/')}/{name}"


def _csv(path: Path, first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> int:
    rows = first.height
    with open(path, "wb") as file:
        spreadsheet_safe(first).write_csv(file)
        for part in rest:
            spreadsheet_safe(part).write_csv(file, include_header=False)
            rows += part.height
    return rows


def _parquet(path: Path, first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> int:
    import pyarrow.parquet as pq

    table = first.to_arrow()
    rows = first.height
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        for part in rest:
            writer.write_table(part.to_arrow().cast(table.schema))
            rows += part.height
    return rows
