"""D's interval over families, counted out by hand on the shipped run."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest

from analysis.frontier.damage_interval import damage_interval, with_damage_intervals
from analysis.frontier.quoted import choices
from analysis.stats.family_rates import difference_interval
from analysis.stats.resample import COLUMNS
from beliefmod.metrics.registry import COMPONENTS, DAMAGE_BUDGET
from beliefmod.run.read_run import Run, read_run
from tests.test_example_run import REAL


@pytest.fixture(scope="module")
def run() -> Run:
    return read_run(str(REAL))


def by_hand(run: Run, trial: str, base: str, name: str) -> tuple[float, float]:
    """Question by question, family by family, without polars' groups."""
    metric = COMPONENTS[name]
    which, hit = metric.expressions()
    rows = [
        {(r["suite"], r["tier"] == "robustness", r["family"], r["probe_id"]): r["hit"]
         for r in run.probes([t], COLUMNS).filter(which).with_columns(hit.alias("hit")).to_dicts()}
        for t in (trial, base)
    ]  # fmt: skip
    counts = {kind: Counter() for kind in ("won", "lost", "asked")}
    for key in rows[0].keys() & rows[1].keys():
        one, two = rows[0][key], rows[1][key]
        counts["asked"][key[:3]] += 1
        counts["won"][key[:3]] += bool(one) and not two
        counts["lost"][key[:3]] += bool(two) and not one
    families = sorted(counts["asked"], key=str)
    won, lost, asked = (np.array([[of[f] for f in families]], float) for of in counts.values())
    _, low, high = difference_interval(won, lost, asked)
    return (-high, -low) if metric.better == "higher" else (low, high)


def test_from_the_worst_components_lower_end_to_the_largest_upper_end(run: Run) -> None:
    for choice in choices(run.trials, DAMAGE_BUDGET):
        assert choice.base is not None and choice.phase2 is not None
        base, row = choice.base["trial_id"], choice.phase2
        probes = run.probes([*row["trial_ids"], base], COLUMNS)
        ends = {}
        for name, metric in COMPONENTS.items():
            if name in (row["degradation_no_room"] or "").split(",") or row[f"{name}_damage"] is None:
                continue
            drift = row[f"{name}_damage_low"], row[f"{name}_damage_high"]
            ends[name] = drift if metric.table == "drift" else by_hand(run, row["trial_id"], base, name)
        expected = max(0.0, ends[row["degradation_by"]][0]), max(high for _, high in ends.values())
        assert damage_interval(row, base, probes) == pytest.approx(expected)
        # and it is what the findings quote, wider than the table's, which takes questions as independent
        quoted = with_damage_intervals(choice, probes).phase2
        assert quoted is not None
        assert (quoted["degradation_low"], quoted["degradation_high"]) == pytest.approx(expected)
        assert expected[0] < row["degradation_low"] and expected[1] > row["degradation_high"]


def test_without_an_interval_of_a_component_there_is_none(run: Run) -> None:
    [choice, _] = choices(run.trials, DAMAGE_BUDGET)
    assert choice.base is not None and choice.phase2 is not None
    base = choice.base["trial_id"]
    probes = run.probes([choice.phase2["trial_id"], base], COLUMNS)
    assert damage_interval(choice.phase2 | {"kl_damage_high": None}, base, probes) is None
    assert damage_interval(choice.phase2 | {"degradation": None}, base, probes) is None
    assert damage_interval(choice.phase2, base, probes.filter(pl.col("trial_id") != base)) is None
