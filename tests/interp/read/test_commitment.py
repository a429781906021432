"""Commit and half-rise entries: measured curves, a plain reading of the definitions, laws."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interp.read.commitment
from beliefmod.run.tables.lens_tables import COMMITMENTS, TAU
from beliefmod.run.tables.trial_tables import frame
from interp.read.commitment import commit_entries, commitment, half_rise_entries

# a six-layer model that believes 9.8, told 5.0 in context, and trained on 5.0: logit('5') - logit('9')
BASE = [0.55, 0.62, 1.39, -4.60, -9.11, -10.88, -10.46]
ICL = [0.55, 1.41, 2.38, 9.68, 10.98, 10.83, 10.11]
LORA = [0.55, 1.14, 2.41, 5.93, 8.89, 8.77, 9.27]
CURVES = st.lists(st.floats(-12, 12).map(lambda x: round(x, 2)), min_size=1, max_size=8)


def plain_commit(curve: list[float], tau: float) -> float:
    for k in range(len(curve)):
        if all(d * curve[-1] > 0 and abs(d) >= tau for d in curve[k:]):
            return k
    return np.inf


def plain_half_rise(contrast: list[float], tau: float) -> float:
    if abs(contrast[-1]) < tau:
        return np.inf
    for k in range(len(contrast)):
        if all(c / contrast[-1] >= 0.5 for c in contrast[k:]):
            return k
    return np.inf


def test_the_doctests():
    assert doctest.testmod(interp.read.commitment).failed == 0


def test_base_commits_to_the_prior_although_it_first_leans_to_the_target():
    # "the first entry where the target is ahead" would be 0 for all three arms
    assert commit_entries(np.array(BASE)) == 3
    assert commit_entries(np.array([BASE, ICL, LORA])).tolist() == [3, 0, 0]
    rises = np.array([ICL, LORA]) - np.array(BASE)
    assert half_rise_entries(rises).tolist() == [3, 3]
    assert (rises[1] / rises[1, -1])[[2, 3]] == pytest.approx([0.05, 0.53], abs=0.01)


def test_never_is_not_the_last_entry():
    undecided = np.array([3.0, 2.0, TAU - 0.01])
    assert commit_entries(undecided) == np.inf
    assert half_rise_entries(undecided) == np.inf
    assert commit_entries(np.array([-3.0, -2.0, TAU])) == 2
    assert commit_entries(np.array([1.0, 0.0])) == np.inf
    assert commit_entries(np.array([1.0, np.nan, 2.0])) != commit_entries(np.array([1.0, np.nan, 2.0]))


@given(CURVES, st.sampled_from([0.1, 0.5, 2.0]))
def test_the_definitions_read_out_plainly(curve, tau):
    assert commit_entries(np.array(curve), tau) == plain_commit(curve, tau)
    assert half_rise_entries(np.array(curve), tau) == plain_half_rise(curve, tau)


@given(CURVES)
def test_sides_are_alike_and_a_stricter_tau_is_no_earlier(curve):
    values = np.array(curve)
    assert commit_entries(-values) == commit_entries(values)
    assert half_rise_entries(-values) == half_rise_entries(values)
    assert commit_entries(values, 2.0) >= commit_entries(values, 0.5)


@given(CURVES, st.floats(1.0, 5.0))
def test_half_rise_does_not_depend_on_size(curve, scale):
    values = np.array(curve)
    if abs(values[-1]) >= TAU:
        # a value at exactly half may fall to either side when both are rounded
        exact = np.isclose(np.abs(values), abs(values[-1]) / 2).any()
        assert exact or half_rise_entries(values * scale) == half_rise_entries(values)


def questions(curve: list[float], families: int = 4, each: int = 3, noise: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array(curve) + noise * rng.normal(size=(families * each, len(curve)))


FAMILIES = [name for name in "abcd" for _ in range(3)]


def test_a_row_holds_what_the_curves_say():
    base, lora = questions(BASE), questions(LORA)
    row = commitment(lora, base, FAMILIES, draws=500, seed=0)
    assert (row["n"], row["commit_never"], row["half_rise_never"]) == (12, 0.0, 0.0)
    assert row["final_diff"] == pytest.approx(lora[:, -1].mean())
    assert row["final_diff_low"] < row["final_diff"] < row["final_diff_high"]
    assert (row["half_rise_entry"], row["half_rise_entry_low"], row["half_rise_entry_high"]) == (3, 3, 3)
    assert row["contrast_area"] == pytest.approx((lora - base).mean())
    frame([{**row, "arm": "lora"}], COMMITMENTS)
    assert {"final_diff", "commit_entry", "half_rise_entry", "contrast_area"} < set(row)


def test_base_has_no_contrast():
    row = commitment(questions(BASE), None, FAMILIES, draws=100, seed=0)
    assert not [name for name in row if name.startswith(("half_rise", "contrast"))]
    assert row["commit_entry"] == 3


def test_an_arm_like_base_never_rises():
    base = questions(BASE)
    row = commitment(base + 0.01, base, FAMILIES, draws=100, seed=0)
    assert (row["half_rise_entry"], row["half_rise_entry_low"], row["half_rise_entry_high"]) == (None,) * 3
    assert row["half_rise_never"] == 1.0
    assert row["contrast_area"] == pytest.approx(0.01)


def test_families_that_disagree_show_as_never():
    # half the families end at +1, half at -1: the mean is undecided, draws fall on either side
    signs = np.repeat([1.0, 1.0, -1.0, -1.0], 3)[:, None]
    row = commitment(signs * np.array([0.0, 1.0, 1.0]), None, FAMILIES, draws=1000, seed=0)
    assert row["commit_entry"] is None and row["commit_entry_high"] is None
    assert row["commit_never"] == pytest.approx(6 / 16, abs=0.05)  # draws of two against two


def test_one_family_gives_values_without_intervals():
    row = commitment(questions(LORA), questions(BASE), ["a"] * 12, draws=100, seed=0)
    assert row["half_rise_entry"] == 3 and row["final_diff"] > 0
    assert [row[f"{name}_low"] for name in ("final_diff", "commit_entry", "contrast_area")] == [None] * 3
    assert row["commit_never"] is None and row["half_rise_never"] is None
