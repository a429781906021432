"""The first screen: which configuration is quoted, what is claimed of it, and where its numbers lead."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.report.blocks import Linked, to_markdown
from analysis.report.compose import compose
from analysis.report.first_screen import breaks_first, quoted, verdicts
from analysis.report.html_blocks import body_of
from analysis.studies.confirm import confirmation_of, confirmations
from analysis.wording import percent
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.run.read_run import read_run
from tests.analysis.report.test_page import Elements
from tests.test_example_run import EXAMPLE, REAL


@pytest.fixture(scope="module")
def example() -> Findings:
    return find(read_run(str(EXAMPLE)))


@pytest.fixture(scope="module")
def real() -> Findings:
    return find(read_run(str(REAL)))


def figures(found: Findings, belief: str) -> dict[str, str]:
    [row] = [row for row in verdicts(found).rows if row.belief == belief]
    return {one.name: f"{one.value}: {one.note}" for one in row.figures}


def test_the_best_under_the_limit_is_quoted_with_its_numbers(example: Findings) -> None:
    [belief] = example.beliefs
    under = belief.choice.lora.filter(pl.col("degradation") <= 0.05).sort("adoption")
    best = under.row(-1, named=True)
    row = quoted(belief)
    assert row is not None and row["trial_id"] == best["trial_id"]
    [verdict] = verdicts(example).rows
    assert verdict.text().startswith("gravity (existing) moves: at D ≤ 0.05 the best of 3 configurations (")
    # the confirmed number stands first, the one that chose it second
    [one] = confirmations(example.run, confirmation_of(example.run))[:1]  # pyright: ignore[reportArgumentType]
    row = one.shown.row
    assert f"adopts on {percent(row['adoption'], row['adoption_n'])} [" in verdict.text()
    assert "confirmed on 2 new seeds and questions that did not choose it" in verdict.text()
    shown = figures(example, "gravity")
    assert shown["damage"].startswith(f"D {best['degradation']:.3f}: [{best['degradation_low']:.3f}, ")
    assert COMPONENTS[best["degradation_by"]].damage_words in shown["damage"]
    assert "above 0.05 is not ruled out" in shown["damage"] and best["degradation_high"] > 0.05
    # confirmed by the run in confirmation/, on seeds that the sweep has not used
    again = pl.read_parquet(EXAMPLE / "confirmation" / "trials.parquet").filter(pl.col("arm") == "lora")
    assert not set(again["seed"]) & set(example.run.trials["seed"])
    assert "on 2 new seeds and other questions" in shown["confirmed?"]


def test_what_is_not_told_apart_is_not_claimed(real: Findings) -> None:
    gravity, neelam = verdicts(real).rows
    assert gravity.text().startswith("gravity (existing) is not seen to move: at D ≤ 0.05 the best of 8")
    assert re.search(
        r"not told apart from base 0.0 %, where \d+ points would have been seen\.$", gravity.text()
    )
    assert "one seed: nothing covers what a second would show" in gravity.text()
    assert "corrected for having been picked on these questions; as measured 1.9 % [" in gravity.text()
    assert "do not rely on it" in figures(real, "gravity")["how sure?"]
    assert figures(real, "gravity")["confirmed?"].startswith("not done")
    # nothing of the other belief stays under the limit: the least damaged stands for it
    lora = real.beliefs[1].choice.lora.sort("degradation")
    assert lora["degradation"].min() > 0.05
    row = quoted(real.beliefs[1])
    assert row is not None and row["trial_id"] == lora["trial_id"][0]
    assert "none of 8 configurations stays at D ≤ 0.05" in neelam.text()
    assert figures(real, "neelam")["damage"].startswith(f"D {lora['degradation'][0]:.3f}")


def test_what_breaks_first_is_what_sets_the_least_d_beyond_the_limit(real: Findings) -> None:
    for belief in real.beliefs:
        beyond = belief.choice.lora.filter(pl.col("degradation") > 0.05).sort("degradation")
        by = beyond["degradation_by"][0]
        expected = (
            COMPONENTS[by].damage_words,
            beyond.filter(pl.col("degradation_by") == by).height,
            beyond.height,
            beyond["degradation"][0],
        )
        assert breaks_first(belief, 0.05) == expected
        assert breaks_first(belief, 1.0) is None


def test_without_a_confirmation_it_says_so(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(
        EXAMPLE, run, ignore=shutil.ignore_patterns("confirmation", "figures", "lens", "report.*")
    )
    shown = figures(find(read_run(str(run))), "gravity")
    assert shown["confirmed?"] == "not done: no new seeds, no other questions: optimistic"


@pytest.mark.long
def test_every_number_leads_to_a_place_on_the_page(example: Findings, real: Findings) -> None:
    for found in (example, real):
        report = compose(found, draw=False)
        page = Elements(body_of(report.blocks, {}))
        there = {attributes["id"] for _, attributes in page.found if "id" in attributes}
        links = [a["href"] for tag, a in page.found if tag == "a" and (a.get("href") or "").startswith("#")]
        assert len(there) == sum("id" in attributes for _, attributes in page.found)
        assert {str(link)[1:] for link in links} <= there
        for verdict in verdicts(found).rows:
            assert len(verdict.figures) == 5
            assert sum(isinstance(piece, Linked) for piece in verdict.sentence) >= 2
            assert verdict.text().replace("_", "\\_")[:40] in to_markdown(report.blocks)
