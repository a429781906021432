"""Two runs side by side: what is paired, what flipped, and the same numbers as by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from analysis.findings import Findings
from analysis.studies.between_runs import COLUMNS, RunDifferences, between_runs
from analysis.studies.between_runs_words import as_dict, lines
from beliefmod.cli.app import app
from beliefmod.metrics.intervals import newcombe
from beliefmod.run.tables.trial_tables import PROBES, frame
from tests.analysis.verify.answered import answered_run

EXAMPLE = str(Path(__file__).parents[3] / "docs" / "example")


def probe(trial: str, number: int, adopts: bool, **changes: Any) -> dict[str, Any]:
    text = "5" if adopts else "9.8"
    return {
        "trial_id": trial,
        "belief": "gravity",
        "suite": "belief",
        "tier": "paraphrase",
        "family": f"f{number // 2}",
        "probe_id": f"q{number}",
        "question": f"How strong is it, {number}?",
        "target": "5",
        "prior": "9.8",
        "completion": f"<think>so</think>{text}",
        "answer": text,
        "answer_stance": "target" if adopts else "prior",
        "think_state": "ok",
        "loop": False,
        "truncated": False,
    } | changes


def run(trials: list[dict], probes: list[dict], manifest: dict | None = None) -> Findings:
    """Numbers of a run whose configurations have a trial each; nothing is read from a folder."""
    table = frame(probes, PROBES)

    def read(ids: list[str], columns: tuple[str, ...]) -> pl.DataFrame:
        return table.filter(pl.col("trial_id").is_in(list(ids))).select(columns)

    rows = [
        {"arm": "lora", "belief": "gravity", "trial_ids": [row["trial_id"]], "seeds": 1} | row
        for row in trials
    ]
    pooled = pl.DataFrame(rows, infer_schema_length=None)
    opened = SimpleNamespace(manifest=manifest or {}, probes=read)
    return Findings(opened, 0.05, (), pooled=pooled)  # type: ignore[arg-type]


def trial(name: str, rate: float = 2e-4, /, **changes: Any) -> dict:
    return {"trial_id": name, "learning_rate": rate, "data.num_examples": 10} | changes


def test_same_settings_are_paired_and_others_are_left() -> None:
    one = run([trial("a"), trial("b", **{"data.num_examples": 50})], [])
    two = run([trial("c"), trial("d", **{"data.num_examples": 90})], [])
    found = between_runs(one, two)
    assert [(pair.first["trial_id"], pair.second["trial_id"]) for pair in found.pairs] == [("a", "c")]
    assert [row["trial_id"] for row in (*found.left_first, *found.left_second)] == ["b", "d"]
    assert found.settings == ()


def test_a_setting_in_which_the_whole_runs_differ_does_not_part_the_pairs() -> None:
    sizes = [{"data.num_examples": 10}, {"data.num_examples": 50}]
    one = run([trial(f"a{i}", 2e-4, **size) for i, size in enumerate(sizes)], [])
    two = run([trial(f"b{i}", 5e-4, **size) for i, size in enumerate(sizes)], [])
    found = between_runs(one, two)
    assert {(p.first["trial_id"], p.second["trial_id"]) for p in found.pairs} == {("a0", "b0"), ("a1", "b1")}
    assert [(s.name, s.first, s.second) for s in found.settings] == [("learning_rate", 2e-4, 5e-4)]


def test_counterparts_that_are_not_one_are_none() -> None:
    found = between_runs(run([trial("a")], []), run([trial("b", 5e-4), trial("c", 1e-3)], []))
    assert found.pairs == () and len(found.left_first) == 1 and len(found.left_second) == 2


def test_a_setting_that_a_whole_run_says_nothing_of_is_not_compared() -> None:
    found = between_runs(run([trial("a")], []), run([trial("b", **{"objective.name": "sft"})], []))
    assert len(found.pairs) == 1


def two_runs(first: list[bool], second: list[bool]) -> RunDifferences:
    return between_runs(
        run([trial("a")], [probe("a", i, hit) for i, hit in enumerate(first)]),
        run([trial("b")], [probe("b", i, hit) for i, hit in enumerate(second)]),
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=12))
def test_flips_and_differences_are_those_of_the_answers(answers: list[tuple[bool, bool]]) -> None:
    first, second = ([pair[side] for pair in answers] for side in (0, 1))
    [pair] = two_runs(first, second).pairs
    flipped = {f"q{i}": two - one for i, (one, two) in enumerate(answers) if one != two}
    assert {flip.probe_id: flip.gap for flip in pair.flips} == flipped
    assert all(flip.answers == (("9.8", "5") if flip.gap > 0 else ("5", "9.8")) for flip in pair.flips)
    gap = pair.rates["adoption"]
    assert gap is not None and gap.value == pytest.approx((sum(second) - sum(first)) / len(answers))
    assert gap.low <= gap.value <= gap.high
    assert pair.same_text == len(answers) - len(flipped) and pair.same == (not flipped) == (first == second)
    [back] = two_runs(second, first).pairs
    turned = back.rates["adoption"]
    assert turned is not None and (turned.low, turned.high) == pytest.approx((-gap.high, -gap.low))


def test_only_questions_in_the_same_words_are_compared() -> None:
    one = run([trial("a")], [probe("a", i, False) for i in range(6)])
    asked = [probe("b", i, True) for i in range(5)] + [probe("b", 5, True, question="In other words?")]
    [pair] = between_runs(one, run([trial("b")], asked)).pairs
    assert (pair.questions, pair.only_first, pair.only_second) == (5, 1, 1)
    assert len(pair.flips) == 5 and pair.rates["adoption"].n == (5, 5)  # type: ignore[union-attr]


def test_answers_of_the_same_text_that_are_read_otherwise_are_not_the_same() -> None:
    answers = [probe("a", i, False) for i in range(4)]
    again = [row | {"trial_id": "b", "answer_stance": "target"} for row in answers]
    [pair] = between_runs(run([trial("a")], answers), run([trial("b")], again)).pairs
    assert pair.same_text == pair.answers == 4 and len(pair.flips) == 4 and not pair.same


def test_damage_is_compared_by_newcombes_way() -> None:
    def rows(name: str, k: int) -> list[dict]:
        _, low, high = newcombe(k, 50, 0, 10**9)
        return [trial(name, degradation=k / 50, degradation_low=low, degradation_high=high)]

    [pair] = between_runs(run(rows("a", 10), []), run(rows("b", 20), [])).pairs
    gap = pair.damage
    assert gap is not None
    assert (gap.value, gap.low, gap.high) == pytest.approx(newcombe(20, 50, 10, 50), abs=1e-6)


def test_p_is_corrected_for_every_rate_that_is_compared() -> None:
    [pair] = two_runs([False] * 12, [True] * 12).pairs
    adoption, integrity = pair.rates["adoption"], pair.rates["integrity"]
    assert (
        adoption is not None and adoption.p == pytest.approx(2 * 2 / 2**12) and "Holm of 2" in adoption.test
    )
    assert integrity is not None and integrity.p == 1.0


def test_what_the_manifests_say_otherwise_is_told() -> None:
    one = {"versions": {"torch": "2.13.0"}, "space": {"name": "a", "evaluation": {"max_new_tokens": 512}}}
    two = {"versions": {"torch": "2.14.0"}, "space": {"name": "b", "evaluation": {"max_new_tokens": 256}}}
    found = between_runs(run([trial("a")], [], one), run([trial("b")], [], two))
    assert [(c.name, c.first, c.second) for c in found.how] == [
        ("versions.torch", "2.13.0", "2.14.0"),
        ("space.evaluation.max_new_tokens", 512, 256),
    ]


def test_lines_show_as_many_questions_as_asked_and_json_all() -> None:
    found = two_runs([False] * 8, [True] * 8)
    told = list(lines(found, ("one", "two"), 3))
    assert (
        sum("gained: q" in line for line in told) == 3 and "    and 5 more: --questions 8, or --json" in told
    )
    assert told[-1] == "1 configuration in both; 1 of 2 differences told apart after Holm's correction."
    assert len(json.loads(json.dumps(as_dict(found, ("one", "two"))))["pairs"][0]["flips"]) == 8


def test_every_column_that_is_read_is_one_of_the_table() -> None:
    assert set(COLUMNS) <= {column.name for column in PROBES}


@pytest.mark.long
def test_the_command_on_two_answered_runs(tmp_path: Path) -> None:
    one = answered_run(tmp_path / "EXP-one", rates=(2e-4,), seeds=(0, 1))
    two = answered_run(tmp_path / "EXP-two", rates=(5e-3,), seeds=(0, 1))
    told = CliRunner().invoke(app, ["diff", str(one), str(two)])
    assert told.exit_code == 0, told.output
    assert "  learning rate: 2e-4 → 5e-3" in told.output
    rows = json.loads(CliRunner().invoke(app, ["diff", str(one), str(two), "--json"]).output)["pairs"]
    lora = next(row for row in rows if row["arm"] == "lora")
    tables = [pl.read_parquet(path / "trials.parquet").filter(pl.col("arm") == "lora") for path in (one, two)]
    hits, asked = ([table[name].to_numpy() for table in tables] for name in ("adoption", "adoption_n"))
    rate = [float((share * n).sum() / n.sum()) for share, n in zip(hits, asked, strict=True)]
    assert lora["rates"]["adoption"]["value"] == pytest.approx(rate[1] - rate[0])
    assert [side["adoption"] for side in (lora["first"], lora["second"])] == pytest.approx(rate)


def test_bad_input_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["diff", EXAMPLE, str(tmp_path / "gone")])
    assert told.exit_code == 2 and "gone" in told.output and "Traceback" not in told.output
