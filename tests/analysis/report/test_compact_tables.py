"""What a table says once it still says of every cell."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from analysis.report.blocks import Table
from analysis.report.compact_tables import compact

RATES = st.builds(
    lambda k, n: f"{k} % [0, {k + 5}]" + (f", n = {n:,}" if n else ""),
    st.integers(0, 95),
    st.sampled_from([0, 24, 48, 1848]),
)
CELLS = st.one_of(RATES, st.sampled_from(["not measured", "refused (3)", "D 0.167 [0.000, 0.416] by loops"]))
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.tuples(*[CELLS] * width), min_size=1, max_size=6).map(
        lambda rows: Table(
            ("tier, % [95 %]", *(f"arm {i}" for i in range(width))),
            tuple((f"row {i}", *row) for i, row in enumerate(rows)),
            "Up to 2 seeds, pooled.",
        )
    )
)
N = re.compile(r", n = ([\d,]+\d|\d)$")


def spread(table: Table, width: int) -> dict[tuple[str, str], str]:
    """(row, column) -> cell, with what names and caption say of it put back."""
    said = re.match(r"In every row: (.*?)\. (?=Up to 2)", table.caption)
    every = dict(part.split(": ", 1) for part in said.group(1).split("; ")) if said else {}
    cells = {}
    for name, *row in table.rows:
        row_name, row_n = N.sub("", name), N.search(name)
        for head, cell in zip(table.header[1:], row, strict=True):
            column_n = N.search(head)
            n = row_n or column_n
            if n and re.match(r"\d+ \[", cell) and not N.search(cell):
                cell += f", n = {n.group(1)}"
            cells[row_name, N.sub("", head)] = re.sub(r"^(\d+) \[", r"\1 % [", cell)
        for head, cell in every.items():
            cells[row_name, head] = cell
    return cells


@given(TABLES)
def test_no_cell_loses_a_number(table: Table) -> None:
    short = compact(table)
    asked = {
        (row[0], head): cell
        for row in table.rows
        for head, cell in zip(table.header[1:], row[1:], strict=True)
    }
    found = spread(short, len(table.header))
    assert found == asked


def test_by_hand() -> None:
    rows = (
        (
            "paraphrase",
            "100 % (5.0 m/s^2)",
            "62 % [43, 79], n = 24",
            "0 % [0, 7], n = 48",
            "0 % [0, 14], n = 24",
        ),
        ("depth", "", "7 % [1, 35]", "not measured", "0 % [0, 17]"),
    )
    short = compact(Table(("tier, % adopting [95 %]", "best constant answer", "icl", "lora", "base"), rows))
    assert short.rows == (
        ("paraphrase, n = 24", "100 (5.0 m/s^2)", "62 [43, 79]", "0 [0, 7], n = 48", "0 [0, 14]"),
        ("depth", "", "7 [1, 35]", "not measured", "0 [0, 17]"),
    )
    arms = (("base", "0 % [0, 3], n = 108", "-1.2"), ("icl", "41 % [32, 50], n = 108", "3.4"))
    short = compact(Table(("arm", "adoption, % [95 %]", "margin"), arms))
    assert short.header == ("arm", "adoption, % [95 %], n = 108", "margin")
    assert short.rows == (("base", "0 [0, 3]", "-1.2"), ("icl", "41 [32, 50]", "3.4"))


def test_a_column_of_one_value_goes_under_the_table() -> None:
    rows = tuple(("gravity", arm, "logit", value) for arm, value in (("a", "1"), ("b", "2"), ("c", "3")))
    short = compact(Table(("belief", "arm", "lens", "value"), rows, "Means."))
    assert short.header == ("arm", "value") and short.rows == (("a", "1"), ("b", "2"), ("c", "3"))
    assert short.caption == "In every row: belief: gravity; lens: logit. Means."
    assert compact(Table(("a", "b"), (("x", "1"), ("y", "1")))).rows == (("x", "1"), ("y", "1"))
