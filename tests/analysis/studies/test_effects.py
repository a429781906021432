"""Effects, plain means and published shapes of runs whose law is known, and what is refused."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from analysis.frontier.non_dominated import pool_seeds
from analysis.published import SHAPES
from analysis.report.blocks import Bullets, Paragraph, Table, to_markdown
from analysis.report.sections import effects as section
from analysis.report.sections import hypotheses as hypotheses_section
from analysis.studies.effects import EVERY, NoRegression, Regression, marginal_means, regressions
from analysis.studies.long_table import trained
from analysis.studies.matched import pairs, swaps
from analysis.studies.published_shapes import FAILS, HOLDS, UNKNOWN, check_shapes, judged
from tests.analysis.studies.worlds import world
from tests.analysis.synthetic import grid

TWO = {"gravity": "existing", "neelam": "novel"}
GRID = list(grid(examples=(10, 40), epochs=(3, 12), rates=(2e-4, 1e-3, 5e-3)))


def law(config: Any) -> float:
    """0.8 per doubling of the rate, 0.4 of examples and epochs, nothing for the style, on the logit scale."""
    if config.arm != "lora":
        return 0.9 if config.arm == "icl" else 0.02
    x = 0.8 * math.log2(config.learning_rate / 1e-3) + 0.4 * math.log2(config.data.num_examples / 20)
    return 1 / (1 + math.exp(-(x + 0.4 * math.log2(config.num_train_epochs / 6))))


def harm(config: Any) -> float:
    return 0.6 * law(config) * (1.0 if config.data.style == "answer_only" else 0.3)


def found(**more: Any) -> Any:
    options = {"beliefs": TWO, "configs": GRID, "damage": harm, "per_family": 8} | more
    return world(options.pop("adoption", law), **options)


@pytest.fixture(scope="module")
def usual() -> Any:
    return found()


def model(run: Any, outcome: str, scope: str) -> Any:
    return next(m for m in regressions(run) if (m.outcome, m.scope) == (outcome, scope))


def test_known_effects(usual: Any) -> None:
    for scope in (EVERY, "gravity"):
        told = model(usual, "adoption", scope)
        assert isinstance(told, Regression), told
        truth = {"learning_rate": 0.8, "data.num_examples": 0.4, "num_train_epochs": 0.4, "data.style": 0.0}
        assert {e.axis for e in told.effects} == set(truth)
        for effect in told.effects:
            # a little room beyond 95 %: eight intervals are looked at
            wide = (effect.odds_high / effect.odds_low) ** 0.25
            assert effect.odds_low / wide < math.exp(truth[effect.axis]) < effect.odds_high * wide, effect
    assert model(usual, "adoption", EVERY).clusters == {"configurations": 24, "families": 24}
    assert model(usual, "adoption", EVERY).questions == 2 * 24 * 96


def test_damage_is_moved_by_the_style(usual: Any) -> None:
    told = model(usual, "damage", EVERY)
    style = next(e for e in told.effects if e.axis == "data.style")
    assert style.points_high < 0 and style.odds < 0.5 and told.clusters == {"configurations": 24}


def test_refusals_in_words() -> None:
    few = found(configs=GRID[:4])
    assert "at least 10 configurations" in model(few, "adoption", EVERY).reason
    families = found(families=6)
    assert "at least 10 families" in model(families, "adoption", "gravity").reason
    assert isinstance(model(families, "adoption", EVERY), Regression)  # 12 over both
    nothing = found(adoption=lambda c: 0.0, damage=lambda c: 0.0)
    assert model(nothing, "adoption", EVERY).reason == "in no belief does adoption vary"
    assert "all of it is 0" in model(nothing, "adoption", "gravity").reason
    assert "below 0.005 in 48 of 48" in model(nothing, "damage", EVERY).reason


def test_separation_is_refused_in_a_run() -> None:
    told = model(found(adoption=lambda c: float(c.data.style == "own_trace")), "adoption", "gravity")
    assert isinstance(told, NoRegression) and "complete separation: style" in told.reason


def test_a_belief_that_never_moves_is_left_out_of_all(usual: Any) -> None:
    told = model(found(adoption=lambda c: law(c) if c.belief == "gravity" else 0.0), "adoption", EVERY)
    assert isinstance(told, Regression) and told.notes[0].startswith("neelam left out")


def test_without_probe_files_it_says_what_the_intervals_lack() -> None:
    told = model(found(probes=False), "adoption", EVERY)
    assert isinstance(told, Regression) and told.clusters == {"configurations": 24}
    assert "do not allow for question families" in told.notes[0]


def test_marginal_means_by_hand(usual: Any) -> None:
    means = marginal_means(usual)
    rows = trained(usual).filter((pl.col("belief") == "gravity") & (pl.col("learning_rate") == 1e-3))
    mean = next(
        m
        for m in means
        if (m.belief, m.outcome, m.axis, m.level) == ("gravity", "adoption", "learning_rate", 1e-3)
    )
    assert mean.value == pytest.approx(rows["adoption"].mean()) and mean.configurations == 8
    assert mean.low is not None and mean.high is not None and mean.low < mean.value < mean.high
    damage = next(m for m in means if (m.belief, m.outcome, m.level) == ("gravity", "damage", "own_trace"))
    expected = trained(usual).filter((pl.col("belief") == "gravity") & (pl.col("data.style") == "own_trace"))
    assert damage.value == pytest.approx(expected["degradation"].mean())
    assert len(means) == 2 * 2 * (2 + 2 + 2 + 3)


def test_pairs_differ_in_one_setting(usual: Any) -> None:
    rows = trained(usual)
    for axis in ("data.num_examples", "learning_rate"):
        chosen = pairs(rows, axis)
        assert len(chosen) == 2 * 24 // rows[axis].n_unique()
        for up, down in chosen:
            one, two = rows.row(up, named=True), rows.row(down, named=True)
            assert one[axis] == rows[axis].max() and two[axis] == rows[axis].min()
            same = [n for n in ("belief", "data.style", "num_train_epochs", "lora.r") if one[n] != two[n]]
            assert not same
    assert len(pairs(rows, "data.style", "answer_only")) == 24
    for up, down in swaps(rows):
        one, two = rows.row(up, named=True), rows.row(down, named=True)
        assert one["num_train_epochs"] > two["num_train_epochs"]
        assert (
            one["data.num_examples"] * one["num_train_epochs"]
            == two["data.num_examples"] * two["num_train_epochs"]
        )
    assert len(swaps(rows)) == 2 * 2 * 3


def shapes(run: Any) -> dict[str, Any]:
    return {one.shape.key: one for one in check_shapes(run)}


def test_the_rule_of_a_shape() -> None:
    assert (judged(0.01, 0.2), judged(-0.1, 0.04), judged(-0.1, 0.2)) == (HOLDS, FAILS, UNKNOWN)


def test_shapes_that_hold_and_do_not(usual: Any) -> None:
    told = shapes(usual)
    assert list(told) == [shape.key for shape in SHAPES] and all(one.found for one in told.values())
    assert told["examples"].verdict == told["epochs"].verdict == HOLDS
    assert "in place of more examples" in told["epochs"].found
    flat = shapes(found(adoption=lambda c: 0.5 if c.arm == "lora" else 0.02, per_family=30))
    assert flat["examples"].verdict == flat["epochs"].verdict == FAILS
    for key in ("locality", "scoring", "prior", "curve", "rate"):
        why = told[key].found
        assert told[key].verdict == UNKNOWN and ("need" in why or "no configuration reaches" in why), why


def test_richer_data_on_paraphrases() -> None:
    def richer(config: Any) -> float:
        return law(config) if config.arm != "lora" else 0.2 if config.data.style == "answer_only" else 0.7

    assert shapes(found(adoption=richer))["style"].verdict == HOLDS
    assert shapes(found(adoption=lambda c: 0.9 - richer(c)))["style"].verdict == FAILS


def test_locality_against_base() -> None:
    run = found(adoption=lambda c: 0.95 if c.arm == "lora" else 0.02)
    rng = np.random.default_rng(0)

    def near(kept: float) -> Any:
        extra = [
            pl.DataFrame(
                {
                    "trial_id": trial,
                    "suite": "locality",
                    "tier": "near",
                    "family": [f"near{i // 4}" for i in range(24)],
                    "correct": rng.random(24) < (0.9 if arm == "base" else kept),
                }
            )
            for trial, arm in run.run.trials.select("trial_id", "arm").iter_rows()
        ]
        return replace(run, probes=pl.concat([run.probes, *extra], how="diagonal_relaxed"))

    assert shapes(near(0.5))["locality"].verdict == HOLDS
    assert shapes(near(0.97))["locality"].verdict in (FAILS, UNKNOWN)


def test_forced_comparison_against_free_generation() -> None:
    def margin(value: float) -> Any:
        return lambda config, rng: {"margin_adoption": value, "margin_adoption_n": 60}

    flat = {"adoption": lambda c: 0.4 if c.arm == "lora" else 0.02}
    assert shapes(found(**flat, extra=margin(0.95)))["scoring"].verdict == HOLDS
    assert shapes(found(**flat, extra=margin(0.1)))["scoring"].verdict == FAILS


def full_run(best_full: float, worse: float) -> Any:
    """LoRA's adoption peaks at a rate of 1e-3, full fine-tuning's at `best_full`; `worse`: its extra
    damage.
    """
    rates = [10**x for x in (-5, -4.5, -4, -3.5, -3, -2.5, -2)]
    run = found(configs=[{"learning_rate": rate, "num_train_epochs": e} for rate in rates for e in (3, 10)])
    rows = []
    for row in run.run.trials.iter_rows(named=True):
        if row["arm"] != "lora":
            rows.append(row)
            continue
        for arm, peak in (("lora", 1e-3), ("full", best_full)):
            adoption = math.exp(-(math.log10(row["learning_rate"] / peak) ** 2)) * (
                1 - 0.01 * row["num_train_epochs"]
            )
            damage = 0.1 * adoption + (worse if arm == "full" else 0.0)
            rows.append(
                row
                | {"arm": arm, "trial_id": f"{arm}{len(rows)}", "adoption": adoption, "degradation": damage}
            )
    trials = pl.DataFrame(rows, schema=run.run.trials.schema, orient="row")
    return replace(
        run, run=replace(run.run, trials=trials), pooled=pool_seeds(trials), probes=run.probes.clear()
    )


def test_lora_against_full_fine_tuning() -> None:
    alike = shapes(full_run(1e-4, 0.0))
    assert alike["rate"].verdict == alike["curve"].verdict == HOLDS and "ratio 10" in alike["rate"].found
    other = shapes(full_run(1e-3, 0.4))
    assert other["rate"].verdict == other["curve"].verdict == FAILS
    edge = shapes(full_run(1e-5, 0.0))["rate"]
    assert edge.verdict == UNKNOWN and "may lie beyond it" in edge.found


def words(blocks: list[Any]) -> str:
    return to_markdown(blocks)


def test_sections_say_the_tests_before_the_results(usual: Any) -> None:
    text = words(hypotheses_section.blocks(usual))
    assert text.index("Stated before the result") < text.index("H1 is not tested in this run")
    told = words(section.blocks(usual))
    assert "learning rate, per doubling" in told and "this run cannot say" in told
    assert any(isinstance(b, Table) for b in section.blocks(usual))


def test_figures_are_valid_and_named(usual: Any) -> None:
    drawn = section.figures(usual) | hypotheses_section.figures(usual)
    assert list(drawn) == [
        "effects-adoption",
        "effects-damage",
        "effects-marginal",
        "dose-response",
        "hypothesis-h2",
    ]
    for one in drawn.values():
        spec = one.chart.to_dict()
        assert one.caption and (spec.get("layer") or spec.get("concat"))
    forest = drawn["effects-adoption"].chart.to_dict()
    shown = [row for table in forest["datasets"].values() for row in table if "change" in row]
    told = [m for m in regressions(usual) if m.outcome == "adoption" and isinstance(m, Regression)]
    assert {(r["scope"], r["change"], r["points"]) for r in shown} == {
        (m.scope, e.change, e.points) for m in told for e in m.effects
    }


def test_h1_figure_shows_every_belief() -> None:
    run = world(lambda c: 0.7 if c.belief.startswith("novel") and c.arm == "lora" else 0.1)
    spec = hypotheses_section.figures(run)["hypothesis-h1"].chart.to_dict()
    shown = {row["belief"] for table in spec["datasets"].values() for row in table if "belief" in row}
    assert len(shown) == 8 and len(spec["concat"]) == 3
    text = words(hypotheses_section.blocks(run))
    assert "H1 is supported" in text and "70 arrangements" in text and "beliefs per class" in text


@pytest.mark.parametrize(
    "options",
    [
        {"configs": []},
        {"configs": [], "arms": ()},
        {"configs": [{}]},
        {"configs": [{}], "probes": False},
        {"configs": [{}], "arms": ()},
        {"adoption": lambda c: 0.0, "damage": lambda c: 0.0},
        {"adoption": lambda c: 1.0, "damage": lambda c: 1.0, "probes": False},
        {"beliefs": {"gravity": "existing"}},
    ],
)
def test_poor_runs_are_told_in_words(options: dict[str, Any]) -> None:
    run = found(**options)
    for one in (section, hypotheses_section):
        blocks = one.blocks(run)
        text = " ".join(b.text for b in blocks if isinstance(b, Paragraph))
        text += " ".join(item for b in blocks if isinstance(b, Bullets) for item in b.items)
        if options.get("arms") != () or options["configs"]:
            assert "nan" not in words(blocks).lower() and len(text) > 50
        for drawn in one.figures(run).values():
            drawn.chart.to_dict()


@pytest.mark.slow
def test_a_thousand_trials_do_not_hang() -> None:
    rng = np.random.default_rng(0)
    configs = [
        {
            "learning_rate": float(10 ** rng.uniform(-5, -2)),
            "num_train_epochs": int(rng.integers(1, 20)),
            "data": {
                "style": str(rng.choice(["answer_only", "own_trace"])),
                "num_examples": int(rng.integers(5, 100)),
            },
        }
        for _ in range(150)
    ]
    run = world(lambda c: min(0.95, law(c)), damage=harm, configs=configs, per_family=2)
    assert run.run.trials.height > 1_200
    start = time.process_time()
    section.blocks(run)
    hypotheses_section.blocks(run)
    assert time.process_time() - start < 120  # a few seconds; hours if every pair were redrawn
