"""Doses: scaled adapters against PEFT's scaling, thresholds by hand, answers at scale 1 as in the sweep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from peft.helpers import rescale_adapter_scale
from scipy.special import expit

from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.model.adapter_files import read_adapter
from beliefmod.model.altered_adapters import scaled
from beliefmod.run.folder import RunFolder
from beliefmod.run.tables.lens_tables import DOSES, THRESHOLDS
from beliefmod.run.tables.trial_tables import frame
from beliefmod.trial import run_trial
from interp.family_bootstrap import question_weights
from interp.lens_settings import LensSettings
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.inspection import Inspection, TrainedTrial
from interp.parts.dose_answers import ANSWERED, Dose, asked_anew, trained_on
from interp.parts.dose_response import chance, crossing, curve, doses, first_damage, thresholds
from interp.read.contrast_questions import at_stem, contrast_questions, final_differences
from tests.interp.random_run import random_inspection
from tests.interp.worlds import TOLERANCE, World, our_lens, questions, worst
from tests.small import make_session, write_belief

SCALES = (0.0, 0.5, 1.0, 2.0)


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_a_scaled_adapter_is_pefts_scaled_adapter(world: World, scale: float):
    theirs = PeftModel.from_pretrained(world.theirs(), str(world.folder / "lora")).eval()
    with torch.no_grad(), rescale_adapter_scale(theirs, scale):
        expected = [theirs(torch.tensor([row])).logits[0] for row in questions()]
    engine = world.ours()
    engine.put_adapter(scaled(read_adapter(world.folder / "lora"), scale), "scaled")
    assert worst([lens[-1] for lens in our_lens(engine, questions(), "scaled")], expected) < TOLERANCE


def test_scale_0_is_base_and_scale_1_the_adapter_to_the_last_bit(world: World):
    adapter, found = read_adapter(world.folder / "lora"), {}
    for name, made in (
        (None, None),
        (0, scaled(adapter, 0.0)),
        (1, scaled(adapter, 1.0)),
        ("as is", adapter),
    ):
        engine = world.ours()
        if made is not None:
            engine.put_adapter(made, "dose")
        rows = [ProbedRow(row, tuple(range(len(row))), made and "dose") for row in questions()]
        found[name] = residuals(engine, rows)
    for base, zero, one, full in zip(found[None], found[0], found[1], found["as is"], strict=True):
        assert torch.equal(zero, base) and torch.equal(one, full) and not torch.equal(one, zero)


def test_crossing_by_hand():
    curves = np.array(
        [[0.2, 0.8, 0.9, 0.9], [0.0, 0.0, 0.25, 0.75], [0.6, 0.1, 0.1, 0.9], [0.1, 0.2, 0.3, 0.4]]
    )
    assert crossing(SCALES, curves) == pytest.approx([0.25, 1.5, 0.0, np.inf])
    broken = np.array(
        [[0.1, np.nan, 0.9, 0.9], [np.nan] * 4, [0.1, 0.2, np.nan, 0.3], [0.1, 0.9, np.nan, 0.3]]
    )
    assert crossing(SCALES, broken) == pytest.approx([np.nan, np.nan, np.nan, 0.25], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.floats(0.05, 0.95))
def test_a_curve_is_at_the_level_where_it_crosses_and_below_it_before(values, level):
    scales = np.linspace(0, 3, len(values)) ** 2
    [found] = crossing(scales, np.array([values]), level)
    reached = np.flatnonzero(np.array(values) >= level)
    if not len(reached):
        assert found == np.inf
        return
    assert found <= scales[reached[0]] + 1e-12
    if reached[0] == 0:
        assert found == scales[0]
        return
    assert found >= scales[reached[0] - 1] - 1e-12
    # where the curve is all but flat, its place is not well determined but its height is
    assert np.interp(found, scales, values) == pytest.approx(level, abs=1e-6)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9))
def test_chance_is_the_logistic_function(values):
    assert chance(np.array(values)) == pytest.approx(expit(np.array(values)), abs=1e-12)


def test_first_damage_by_hand():
    assert first_damage(SCALES, [0.0, 0.05, 0.06, 0.01]) == 1.0
    assert first_damage(SCALES, [None, 0.01, 0.05, None]) is None
    assert first_damage(SCALES, [None, None, None, 0.4]) == 2.0


def test_a_curve_has_a_row_for_every_scale():
    differences = np.array([[-4.0, -2.0], [0.0, 0.0], [1.0, 3.0], [2.0, 2.0]])
    rows = curve(SCALES, differences, question_weights("ab"))
    assert [row["scale"] for row in rows] == list(SCALES)
    assert rows[0]["logit_diff"] == -3.0
    assert (rows[0]["logit_diff_low"], rows[0]["logit_diff_high"]) == (-4.0, -2.0)
    assert rows[1]["prob_target"] == 0.5 and rows[1]["n"] == 2
    # the mean of the chances, not the chance of the mean
    assert rows[2]["prob_target"] == pytest.approx((expit(1) + expit(3)) / 2)


def measured(adoption, lows):
    return [
        dict.fromkeys(ANSWERED)
        | {"adoption": a, "adoption_low": a / 2, "adoption_high": (1 + a) / 2, "degradation_low": low}
        for a, low in zip(adoption, lows, strict=True)
    ]


def test_thresholds_by_hand():
    differences = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [4.0, 4.0]])
    answers = measured([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.01, 0.2])
    found = thresholds(SCALES, differences, question_weights("ab"), answers)
    assert found["a50"] == pytest.approx(0.5)
    # the first question alone crosses between 0 and 0.5, the second between 0.5 and 1, each half way
    assert (found["a50_low"], found["a50_high"]) == (pytest.approx(0.25), pytest.approx(0.75))
    assert found["a50_never"] == 0.0
    assert (found["adoption50"], found["damage_from"], found["note"]) == (0.75, 2.0, None)
    # the upper ends are at 0.5 at once, the lower ones where adoption is 1
    assert (found["adoption50_low"], found["adoption50_high"]) == (0.0, 1.0)


def test_thresholds_that_are_not_reached_are_null_with_the_reason():
    differences = np.full((4, 2), -2.0)
    found = thresholds(
        SCALES, differences, question_weights("ab"), measured([0.0, 0.1, 0.1, 0.2], [0.0, None, 0.0, 0.0])
    )
    assert [found[n] for n in ("a50", "a50_low", "a50_high", "adoption50", "damage_from")] == [None] * 5
    assert found["a50_never"] == 1.0
    assert (found["note"] or "").split("; ") == [
        "inside, the target does not come to half of the two probabilities up to scale 2",
        "adoption is not seen to come to 0.5 up to scale 2",
        "no damage above 0.05 is certain up to scale 2",
    ]
    unasked = thresholds(SCALES, differences, question_weights("aa"), [None] * 4)
    assert unasked["note"].endswith("answers were asked for at no other scale than 1, in the sweep")
    assert unasked["a50_never"] is None  # one family: nothing to draw from


def test_a_threshold_that_half_of_the_families_never_reach_has_no_upper_end():
    differences = np.array([[-2.0, -2.0], [3.0, -2.0], [3.0, -1.0], [3.0, -1.0]])
    found = thresholds(SCALES, differences, question_weights("ab"), [None] * 4)
    assert found["a50"] is not None and found["a50_low"] == pytest.approx(0.2, abs=0.05)
    assert found["a50_high"] is None and 0.2 < found["a50_never"] < 0.3


def test_the_part_gives_every_trial_a_curve_from_base_to_beyond_the_adapter(tmp_path):
    inspection = random_inspection(tmp_path, adapters=3)
    settings = LensSettings(prompts=4, draws=200, scales=(2.0, 1.0), deep=0)
    found = doses(inspection, inspection.trained, settings, lambda line: None)
    table = frame(found["doses"], DOSES)
    assert frame(found["thresholds"], THRESHOLDS).height == 3
    assert table.height == 3 * 3 and table["adoption"].null_count() == 9
    asked = contrast_questions(inspection, "gravity", 4)
    engine, contrasts = inspection.session.engine, [one.tokens for one in asked]

    def mean_difference(adapter: str | None) -> float:
        rows = at_stem(asked, "lora", adapter)
        return float(final_differences(engine, inspection.head, rows, contrasts).mean())

    for trial in inspection.trained:
        mine = table.filter(trial_id=trial.trial_id)
        assert mine["scale"].to_list() == [0.0, 1.0, 2.0]  # base is always among them
        assert mine["logit_diff"][0] == pytest.approx(mean_difference(None), abs=1e-4)
        with inspection.loaded([trial]):
            assert mine["logit_diff"][1] == pytest.approx(mean_difference(trial.trial_id), abs=1e-4)
        with inspection.holding({"double": scaled(inspection.adapter(trial.trial_id), 2.0)}):
            assert mine["logit_diff"][2] == pytest.approx(mean_difference("double"), abs=1e-4)
    assert engine.attached() == ()


@pytest.mark.long
def test_at_scale_1_it_answers_as_in_the_sweep_and_at_scale_0_as_base(tmp_path):
    config = TrialConfig(
        belief=write_belief(tmp_path),
        data=DataConfig(style="own_trace", num_examples=8),
        lora=LoraSettings(r=4, lora_alpha=8),
        num_train_epochs=10,
        per_device_train_batch_size=4,
        learning_rate=5e-3,
        warmup_steps=0,
    )
    session = make_session(slots=4, max_rank=4)
    # sampled, so that a probe asked under another number would be answered otherwise
    session.evaluation = session.evaluation.model_copy(update={"temperature": 0.3, "causal_probes": 0})
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    row = run_trial(config, session, folder).row
    trial, belief = TrainedTrial(config, row), session.belief(config.belief)
    references = {("small", arm, None): TrialConfig(belief=config.belief, arm=arm) for arm in ("base", "icl")}
    inspection = Inspection(folder, replace(session, folder=folder), {"small": belief}, references, (trial,))
    asked = [
        r["question"] for r in folder.finished_rows("probes", config.trial_id) or [] if r["tier"] == "trained"
    ]
    assert [q.text for q in trained_on(inspection, trial)] == asked and len(asked) == 2
    found = doses(inspection, [trial], LensSettings(prompts=3, scales=(1.0,), draws=100), lambda line: None)
    at_base, at_one = found["doses"]
    # neither was asked again; asked again the trial answers the same, base so but for what was sampled
    again = asked_anew(inspection, [Dose(trial, scale) for scale in (0.0, 1.0)], lambda line: None)
    known = {name: row[name] for name in ANSWERED}
    assert {name: at_one[name] for name in ANSWERED} == pytest.approx(known)
    assert again[Dose(trial, 1.0).name] == pytest.approx(known)
    assert row["degradation"] > 0 and row["adoption"] > 0
    assert at_base["degradation"] == 0.0 == again[Dose(trial, 0.0).name]["degradation"]
    assert session.engine.attached() == ()
