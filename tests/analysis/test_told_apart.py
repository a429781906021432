"""One belief asked in two ways: told apart beside its base, and one belief where the belief is the unit."""

from __future__ import annotations

import polars as pl
import pytest

from analysis.find import find
from analysis.frontier.non_dominated import frontier, pool_seeds
from analysis.report.write import report_markdown
from analysis.stats.resample import adoption_hits
from analysis.studies.confirm import chosen, half_of
from analysis.studies.effects import Regression, marginal_means, regressions
from analysis.studies.mismatch import mismatch
from analysis.studies.novelty import novelty
from analysis.told_apart import by_belief, told_apart
from beliefmod.run.read_run import read_run
from tests.analysis.synthetic import grid, write_run

ON, OFF = '{"enable_thinking": true}', '{"enable_thinking": false}'
NAMES = ["gravity, enable_thinking=false", "gravity, enable_thinking=true"]


@pytest.fixture(scope="module")
def switched(tmp_path_factory):
    """Two seeds of six configurations of one belief, asked with thinking on and off."""
    configs = list(grid(examples=(10,), epochs=(3, 10, 20), rates=(2e-4, 1e-3), styles=("own_trace",)))
    place = tmp_path_factory.mktemp("runs") / "EXP-switched"
    return read_run(
        str(
            write_run(
                place, beliefs=("gravity",), seeds=(0, 1), configs=configs, failed=0, templates=(ON, OFF)
            )
        )
    )


def test_a_run_without_switches_is_as_it_was(run):
    plain = read_run(str(run))
    assert told_apart(plain) is plain


def test_every_table_names_the_way_of_asking(switched):
    run = told_apart(switched)
    finished = run.trials.filter(pl.col("status") == "finished")
    assert sorted(finished["belief"].unique()) == NAMES
    assert set(finished["template"]) == {"enable_thinking=false", "enable_thinking=true"}
    for table in (run.probes, run.causal, run.drift):
        rows = table(finished["trial_id"]).join(finished.select("trial_id", "belief"), on="trial_id")
        assert rows.height and (rows["belief"] == rows["belief_right"]).all()


def test_seeds_are_pooled_and_compared_within_one_way_of_asking(switched):
    for trials, beliefs in ((switched.trials, 1), (told_apart(switched).trials, 2)):
        pooled = pool_seeds(trials)
        assert pooled.filter(pl.col("arm") == "base").height == 2
        lora = pooled.filter(pl.col("arm") == "lora")
        assert lora.height == 12 and set(lora["seeds"]) == {2}
        assert frontier(pooled)["belief"].n_unique() == beliefs
    found = find(switched)
    assert [belief.choice.belief for belief in found.beliefs] == NAMES
    for belief in found.beliefs:
        rows = [row for row in belief.choice.rows().values() if row] + belief.choice.lora.to_dicts()
        assert len({row["template"] for row in rows}) == 1 and belief.choice.lora.height == 6
        template = {NAMES[0]: OFF, NAMES[1]: ON}[belief.choice.belief]
        bases = switched.trials.filter((pl.col("arm") == "base") & (pl.col("template") == template))
        expected = bases["capability"].mean()  # of two seeds
        assert [row["capability_base"] for row in belief.choice.lora.to_dicts()] == pytest.approx(
            [expected] * 6
        )


def test_finalists_are_chosen_for_each_way_of_asking(switched):
    finalists = chosen(half_of(told_apart(switched), "selection"), 1.0, 2)
    assert {name: len(rows) for name, rows in finalists.items()} == dict.fromkeys(NAMES, 2)


def test_where_the_belief_is_the_unit_the_switch_is_a_setting(switched):
    found = find(switched)
    assert set(by_belief(found).pooled["belief"]) == {"gravity"}
    [adoption, *_] = [one for one in regressions(found) if one.outcome == "adoption"]
    assert isinstance(adoption, Regression) and adoption.scope == "gravity"
    assert "template" in {effect.axis for effect in adoption.effects}
    # the same question asked in two ways is one cluster, not two
    which, _ = adoption_hits()
    assert adoption.clusters["families"] == found.probes.filter(which)["family"].n_unique()
    means = {(mean.axis, mean.level) for mean in marginal_means(found) if mean.outcome == "adoption"}
    assert {("template", "enable_thinking=true"), ("template", "enable_thinking=false")} <= means
    assert all(set(side.cells["belief"]) <= {"gravity"} for side in mismatch(found).sides)
    assert "0 novel and 1 existing" in novelty(found).contrasts[0].refused


@pytest.mark.long
def test_the_report_tells_the_two_apart(switched):
    text = report_markdown(switched)
    for name in NAMES:
        assert f"### {name}".replace("_", r"\_") in text
