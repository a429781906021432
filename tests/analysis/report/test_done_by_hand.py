"""What was done by hand is told, and moves no number of the report."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from analysis.find import find
from analysis.frontier.non_dominated import pool_seeds
from analysis.report.compose import compose
from analysis.report.sections import done_by_hand, unfinished
from beliefmod.run.read_run import Run, read_run
from tests.analysis.synthetic import grid, write_run

ADDED = "added by hand (ann@pc, 2026-11-30T12:00:00Z): trial x with learning_rate=0.1"
STOPPED = "stopped by hand (ann@pc, 2026-11-30T12:00:00Z)"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    configs = list(grid(styles=("own_trace",), examples=(10,), epochs=(3,)))
    folder = tmp_path_factory.mktemp("by-hand") / "run"
    return read_run(
        str(
            write_run(
                folder, beliefs=("gravity",), seeds=(0,), configs=configs, families=3, per_family=2, failed=0
            )
        )
    )


def marked(run: Run, **said: tuple[str, str]) -> Run:
    """The run with some trials' status and `by_hand` changed, by their ids."""
    rows = [
        {
            **row,
            **dict(zip(("status", "by_hand"), said.get(row["trial_id"], (row["status"], None)), strict=True)),
        }
        for row in run.trials.iter_rows(named=True)
    ]
    return replace(run, trials=pl.DataFrame(rows, schema=run.trials.schema))


def test_an_added_trial_stands_apart_from_every_number(run: Run):
    best = find(run).beliefs[0].choice.lora.sort("adoption")["trial_id"][-1]
    without = replace(run, trials=run.trials.filter(pl.col("trial_id") != best))
    with_added = marked(run, **{best: ("finished", ADDED)})
    expected, found = find(without), find(with_added)
    assert found.pooled.equals(expected.pooled) and found.probes.equals(expected.probes)
    assert pool_seeds(with_added.trials).equals(expected.pooled)
    assert found.added["trial_id"].to_list() == [best] and expected.added.is_empty()
    [heading, sentence, table] = done_by_hand.blocks(found)
    assert f"1 trial was added by hand ({best})" in str(sentence)
    assert ADDED in str(table) and "Done by hand" in str(heading)
    assert done_by_hand.blocks(expected) == []
    told = [block for block in compose(found, draw=False).blocks if best in str(block)]
    assert len(told) == 2, "nowhere else is it named"


def test_a_stopped_trial_has_no_number_and_its_reason(run: Run):
    trial = find(run).beliefs[0].choice.lora["trial_id"][0]
    found = find(marked(run, **{trial: ("stopped", STOPPED)}))
    assert trial not in str(found.pooled["trial_ids"].to_list())
    assert f"1 trial was stopped by hand ({trial})" in str(done_by_hand.blocks(found))
    text = str(unfinished.blocks(found))
    assert STOPPED in text and "by the scheduler" not in text
    assert unfinished.left_of(found.run) == 0
