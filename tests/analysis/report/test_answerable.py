"""Adoption over answerable questions in the report, against a count over the probe files."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.frontier.answerable_questions import OLDER
from analysis.report.arm_rows import arm_rows
from analysis.report.blocks import Bullets, Paragraph, Table
from analysis.report.sections import frontier, methods, phase2, tiers
from analysis.wording import rate
from beliefmod.metrics.intervals import wilson
from beliefmod.run.read_run import read_run
from tests.analysis.verify.answered import answered_run

HEAD = "tier, % adopting of answerable questions [95 %]"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = answered_run(tmp_path_factory.mktemp("answerable") / "EXP-answered", every=2)
    table = pl.read_parquet(path / "trials.parquet")
    margin = {"": 0.5, "_low": 0.25, "_high": 0.75}
    columns = [pl.lit(value).alias(f"belief_margin_paraphrase{end}") for end, value in margin.items()]
    table.with_columns(*columns, pl.lit(6).alias("belief_margin_paraphrase_n")).write_parquet(
        path / "trials.parquet"
    )
    # what this model answers in no world: all but one family of the paraphrases
    for file in (path / "probes").glob("*.parquet"):
        rows = pl.read_parquet(file)
        tier = pl.col("tier") == "paraphrase"
        first = rows.filter(tier)["family"].min()
        gone = tier & (pl.col("family") != first)
        mark = pl.when(gone).then(pl.lit("neither")).otherwise("answerable")
        rows.with_columns(mark.alias("answerable")).write_parquet(file)
    return path


@pytest.fixture(scope="module")
def found(run: Path) -> Findings:
    return find(read_run(str(run)), limit=1.0)


def rows_of(run: Path, trial: str, tier: str) -> list[dict]:
    rows = pl.read_parquet(run / "probes" / f"{trial}.parquet").to_dicts()
    return [row for row in rows if row["suite"] == "belief" and row["tier"] == tier]


def tables(blocks: list, first: str) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table) and block.header[0] == first]


def test_every_tier_stands_over_the_questions_that_the_model_can_answer(run: Path, found: Findings) -> None:
    [table] = tables(tiers.blocks(found), HEAD)
    arms = arm_rows(found.beliefs[0], found)
    assert table.header[4:] == tuple(arms) and "Best LoRA under the limit" in arms
    cells = {line[0]: line for line in table.rows}
    for tier in ("derived", "robustness"):
        for label, row in arms.items():
            asked = rows_of(run, row["trial_id"], tier)
            able = [one for one in asked if one["answerable"] != "neither"]
            hits = sum(one["answer_stance"] == "target" for one in able)
            low, high = wilson(hits, len(able))
            line = cells[tiers.TIERS[tier]]
            families = len({one["family"] for one in able})
            assert line[1] == f"{len(able)} of {len(asked)} in {families} families"
            assert (
                line[2] == f"{sum(o['answerable'] in ('in_context', 'both') for o in asked)} of {len(asked)}"
            )
            assert line[3] == f"{sum(o['answerable'] in ('prior', 'both') for o in asked)} of {len(asked)}"
            shown = f"{100 * hits / len(able):.0f} % [{100 * low:.0f}, {100 * high:.0f}], n = {len(able)}"
            assert line[table.header.index(label)] == shown


def test_a_tier_of_one_family_shows_its_margin_instead(run: Path, found: Findings) -> None:
    [table] = tables(tiers.blocks(found), HEAD)
    line = {line[0]: line for line in table.rows}["paraphrase"]
    assert line[1].endswith("in 1 family: too few")
    assert set(line[4:]) == {"margin 0.500 nat [0.250, 0.750], n = 6"}
    assert "belief margin" in table.explained and "8 answerable questions, or 2 families" in table.explained


def test_the_answerable_rate_stands_beside_adoption_wherever_that_is_quoted(found: Findings) -> None:
    [belief] = found.beliefs
    best = belief.choice.best
    assert best is not None
    both = rate(best, "adoption"), rate(best, "adoption_answerable")
    told = [item for block in frontier.blocks(found) if isinstance(block, Bullets) for item in block.items]
    assert f"The best under the limit, of the answerable questions: {both[1]}." in told
    [unbeaten] = tables(frontier.blocks(found), "configuration")
    at = unbeaten.header.index("of answerable questions, % [95 %]")
    assert both[1] in [line[at] for line in unbeaten.rows]
    [published] = tables(phase2.blocks(found), "belief")
    assert {len(line) for line in published.rows} == {len(published.header)}
    assert both[1] in [line[4] for line in published.rows]


def test_a_run_without_marks_says_so_and_shows_no_such_column(run: Path, tmp_path: Path) -> None:
    older = answered_run(tmp_path / "EXP-older")
    for file in (older / "probes").glob("*.parquet"):
        pl.read_parquet(file).drop("answerable").write_parquet(file)
    table = pl.read_parquet(older / "trials.parquet")
    gone = [name for name in table.columns if "answerable" in name or "_gate_" in name]
    table.drop(gone).write_parquet(older / "trials.parquet")
    found = find(read_run(str(older)), limit=1.0)
    assert found.notes == () and found.beliefs[0].answerable == {}
    assert Paragraph(OLDER) in methods.blocks(found)
    assert tables(tiers.blocks(found), HEAD) == []
    [unbeaten] = tables(frontier.blocks(found), "configuration")
    assert "of answerable questions, % [95 %]" not in unbeaten.header
