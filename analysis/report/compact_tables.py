"""What every cell of a table repeats, said once: the number of answers, the unit, a column of one value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from analysis.report.blocks import Table

_N = re.compile(r", n = ([\d,]+)(?![\d,]*\d)")
_PERCENT = re.compile(r"(?<=\d) %(?= \[| \(|,|:|$)")
_SHARES = re.compile(r"(?<!95 )%")
LEAST = 3
"""Rows from which on a column of one value is said under the table instead."""

Rows = tuple[tuple[str, ...], ...]


def compact(table: Table) -> Table:
    """The table with what its cells repeat said once.

    A column whose cells are all alike goes into the caption; ", n = 24" that most cells of a row or a column
    have goes to the row's or the column's name, and cells with another n keep theirs; " %" goes where a name
    says that these are percentages. No number is lost.
    """
    return _without_percent(_n_once(_without_columns(table)))


def _without_columns(table: Table) -> Table:
    if len(table.rows) < LEAST:
        return table
    alike = [
        at
        for at, name in enumerate(table.header)
        if len({row[at] for row in table.rows}) == 1 and (at > 0 or table.header[1:2] == ("arm",))
    ]
    if not alike or len(alike) == len(table.header):
        return table
    told = "; ".join(f"{table.header[at]}: {table.rows[0][at] or 'none'}" for at in alike)
    kept = [at for at in range(len(table.header)) if at not in alike]
    return replace(
        table,
        header=tuple(table.header[at] for at in kept),
        rows=tuple(tuple(row[at] for at in kept) for row in table.rows),
        caption=f"In every row: {told}. {table.caption}".strip(),
    )


def _n_once(table: Table) -> Table:
    by_row = [_common(row[1:]) for row in table.rows]
    by_column = [_common([row[at] for row in table.rows]) for at in range(1, len(table.header))]
    if not any(by_row) and not any(by_column):
        return table
    if sum(count for _, count in filter(None, by_row)) >= sum(count for _, count in filter(None, by_column)):
        return replace(table, rows=tuple(map(_row_without, table.rows, by_row)))
    numbers = [found[0] if found else "" for found in (None, *by_column)]
    header = tuple(map(_named, table.header, numbers))
    return replace(
        table, header=header, rows=tuple(tuple(map(_without_n, row, numbers)) for row in table.rows)
    )


def _common(cells: Sequence[str]) -> tuple[str, int] | None:
    """The n that at least two cells and half of those with one have, and how many do; None where a cell has
    an interval and no n, which would seem to have this one."""
    if any("[" in cell and not _N.search(cell) for cell in cells):
        return None
    known = [found.group(1) for cell in cells if (found := _N.search(cell))]
    if not known:
        return None
    number, count = Counter(known).most_common(1)[0]
    return (number, count) if count >= max(2, len(known) / 2) else None


def _row_without(row: Sequence[str], found: tuple[str, int] | None) -> tuple[str, ...]:
    number = found[0] if found else ""
    return (_named(row[0], number), *(_without_n(cell, number) for cell in row[1:]))


def _named(name: str, number: str) -> str:
    return f"{name}, n = {number}" if number else name


def _without_n(cell: str, number: str) -> str:
    found = _N.search(cell)
    if not number or found is None or found.group(1) != number:
        return cell
    return cell[: found.start()] + cell[found.end() :]


def _without_percent(table: Table) -> Table:
    whole = bool(_SHARES.search(table.header[0]))
    shares = [whole or bool(_SHARES.search(name)) for name in table.header]
    rows: Rows = tuple(
        tuple(
            _PERCENT.sub("", cell) if at and (share or _SHARES.search(row[0])) else cell
            for at, (cell, share) in enumerate(zip(row, shares, strict=True))
        )
        for row in table.rows
    )
    return replace(table, rows=rows)
