"""The registry of metrics: entries fit the tables, both readings of a rule agree, one entry is enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beliefmod.metrics.registry as registry
from beliefmod.metrics.measure import CURVES
from beliefmod.metrics.metric import Above, Is, Known, Not
from beliefmod.metrics.registry import COMPONENTS, METRICS
from beliefmod.metrics.summarise import summarise
from beliefmod.run.tables.trial_tables import CAUSAL, DRIFT, PROBES, frame
from tests.metrics.test_summary import row

TABLES = {"probes": PROBES, "causal": CAUSAL, "drift": DRIFT}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", METRICS)
def test_an_entry_is_whole_and_of_columns_that_its_table_has(name: str) -> None:
    metric = METRICS[name]
    columns = {column.name for column in TABLES[metric.table]}
    for condition in (*metric.asked, *metric.hit, *metric.against):
        inner = condition.condition if isinstance(condition, Not) else condition
        assert inner.column in columns
        assert not isinstance(inner, Above) or not isinstance(inner.bound, str) or inner.bound in columns
    if metric.kind == "mean":
        assert not metric.hit and (metric.value is not None or name in CURVES)
    else:
        assert metric.hit and metric.value is None and metric.unit == "1"
    assert bool(metric.against) == (metric.kind == "difference")
    if metric.value is not None:
        assert {metric.value.column, metric.value.minus, metric.value.per} <= columns | {None}
    assert metric.component is None or metric.better in ("higher", "lower")


def test_components_have_ranks_of_their_own_and_those_of_drift_one_kind_of_passage() -> None:
    assert [m.component.rank for m in COMPONENTS.values() if m.component] == list(range(1, 8))
    # the redraws of the frontier draw one set of passages for all of them
    assert len({m.asked for m in COMPONENTS.values() if m.table == "drift"}) == 1
    assert all(not m.known_to_base for m in COMPONENTS.values())


CELLS = {
    "suite": st.sampled_from(["belief", "locality", "capability", "fabrication", "confession"]),
    "tier": st.sampled_from(["trained", "derived", "robustness", "near", "far", None]),
    "answer_stance": st.sampled_from(["target", "prior", "none", None]),
    "answerable": st.sampled_from(["in_context", "prior", "both", "neither", None]),
    "thinking_stance": st.sampled_from(["target", "prior", "prior->target", "target->prior", None]),
    "think_state": st.sampled_from(["ok", "empty", "reopened", None]),
    **dict.fromkeys(
        ("correct", "bleed", "fabricated", "confessed", "salient", "inconsistent"),
        st.sampled_from([True, False, None]),
    ),
    **dict.fromkeys(("loop", "truncated"), st.booleans()),
    **dict.fromkeys(("seq_rep_4", "logprob_target", "logprob_prior"), st.none() | st.floats(-2, 2)),
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=20))
def test_rows_and_expressions_count_the_same(rows: list[dict[str, Any]]) -> None:
    table = frame(rows, PROBES)
    for name, metric in METRICS.items():
        if metric.table != "probes" or metric.kind == "mean":
            continue
        asked, hit = metric.expressions()
        found = table.select(asked.alias("asked"), hit.alias("hit"))
        assert found["asked"].to_list() == [metric.counts(one) for one in rows], name
        assert found["hit"].to_list() == [metric.succeeds(one) for one in rows], name


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(-9, 9), st.none() | st.floats(-9, 9)), min_size=1))
def test_values_of_rows_and_of_expressions_are_equal(cells: list) -> None:
    rows = [{"tokens": tokens, "nll": nll, "nll_base": base} for tokens, nll, base in cells]
    value = METRICS["nll_neutral"].value
    assert value is not None
    found = frame(rows, DRIFT).select(value.expression())["nll"].to_list()
    for one, again in zip(map(value.of, rows), found, strict=True):
        assert again == (None if one is None else pytest.approx(one, abs=1e-12))


def test_null_passes_not_and_nothing_else() -> None:
    one = {"tier": None, "n": None}
    assert Not(Is("tier", "near")).holds(one)
    assert not (Is("tier", "near").holds(one) or Known("tier").holds(one) or Above("n", -1.0).holds(one))
    with pytest.raises(KeyError):
        Is("gone", "x").holds(one)
    assert not Known("gone").holds(one)


def test_repetition_by_hand() -> None:
    shares = [0.51, 0.5, 0.9, None, 0.0]
    rows = [row(f"d{i}", seq_rep_4=share) for i, share in enumerate(shares)]
    m = summarise([*rows, row("t0", tier="trained", seq_rep_4=1.0)], None)
    assert (m["repetition"], m["repetition_n"]) == (2 / 4, 4)


ENTRY = """    Metric(
        "verbosity",
        "held-out belief probes whose completion has more than 40 tokens",
        "lower",
        asked=(BELIEF, HELD_OUT),
        hit=(Above("tokens", 40),),
        component=Component("verbosity", 8, "long answers"),
        shown=Shown("long answers", "completions"),
    ),
"""
PROGRAM = """
import importlib.util, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("beliefmod.metrics.registry", sys.argv[1])
sys.modules["beliefmod.metrics.registry"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

import polars as pl
from analysis.find import find
from analysis.frontier.non_dominated import pool_seeds
from analysis.frontier.tallies import build
from beliefmod.run.read_run import read_run
from analysis.report.write import report_markdown
from analysis.verify.verify_run import verify_run
from beliefmod.run.tables.trial_tables import TRIALS
from tests.analysis.verify.answered import answered_run

columns = {column.name: column for column in TRIALS}
assert "more than 40 tokens" in columns["verbosity"].meaning and columns["verbosity_n"].dtype == "int"
assert "verbosity_damage_high" in columns

folder = answered_run(Path(sys.argv[2]) / "EXP-answered")
table = pl.read_parquet(folder / "trials.parquet")
for row in table.iter_rows(named=True):
    own = pl.read_parquet(folder / "probes" / f"{row['trial_id']}.parquet").filter(
        (pl.col("suite") == "belief") & (pl.col("tier") != "trained")
    )
    assert row["verbosity_n"] == own.height > 0
    assert abs(row["verbosity"] - (own["tokens"] > 40).mean()) < 1e-12
    assert row["degradation"] >= max(0.0, row["verbosity_damage"]) - 1e-12

run = read_run(str(folder))
twice = pl.concat([run.trials, run.trials.with_columns(pl.col("seed") + 1)])
assert pool_seeds(twice).filter(pl.col("seeds") == 2)["verbosity_n"].min() == 2 * table["verbosity_n"].min()
base, lora = (table.filter(pl.col("arm") == arm)["trial_id"][0] for arm in ("base", "lora"))
built = build(run.probes([base, lora]), [[lora]], base)
assert "verbosity" in built.data.components

text = report_markdown(run)
assert "| long answers, %" in text and "long answers" in text.split("| beside D, %")[1].split("\\n\\n#")[0]
(folder / "report.md").write_text(text)
assert verify_run(str(folder)).mismatches == []
table.with_columns(verbosity=pl.lit(0.123)).write_parquet(folder / "trials.parquet")
assert [text for text in verify_run(str(folder)).mismatches if ": verbosity: stored 0.123" in text]

old = verify_run("docs/example")
assert not [text for text in old.mismatches if not text.startswith("report.md")], old.mismatches[:3]
assert "verbosity" in old.notes[-1]
print("through")
"""


@pytest.mark.slow
@pytest.mark.long
def test_one_entry_in_the_registry_is_enough(tmp_path: Path) -> None:
    """An altered copy of registry.py and of nothing else: a new component of D, in one entry."""
    text = Path(registry.__file__).read_text(encoding="utf-8")
    place = text.index('    right_answers("locality_near"')
    altered = tmp_path / "registry.py"
    altered.write_text(text[:place] + ENTRY + text[place:], encoding="utf-8")
    command = [sys.executable, "-c", PROGRAM, str(altered), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stdout.endswith("through\n"), done.stderr[-3000:]
