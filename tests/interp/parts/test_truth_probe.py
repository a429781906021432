"""The truth probe: fitted as statsmodels fits it, judged on families it has not seen, silent if it fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import Answer, Name, Quantity, Question, load_belief, load_capability
from beliefmod.run.tables.lens_tables import TRUTH
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.opened.inspection import Inspection
from interp.parts.logistic import FOLDS, _folds, fit_logistic, fit_probe, group_auc, held_out_scores
from interp.parts.truth_probe import (
    GATE,
    auc_columns,
    belief_columns,
    family_wilson,
    matched_columns,
    probe_columns,
    too_few,
    truth,
)
from interp.prompts.statements import belief_statements, known_statements, matched_false
from interp.prompts.stems import lens_questions
from tests.interp.answered import answer
from tests.interp.parts.test_channels import SETTINGS, make_inspection

FAMILIES, PER_FAMILY, HIDDEN = 9, 16, 24


def world(strength: float, seed: int = 0, own_directions: bool = False, hidden: int = HIDDEN):
    """Activations of three entries, of which the second holds truth along one direction; labels, families.

    own_directions: truth lies along another direction in every family, so that nothing carries over.
    """
    rng = np.random.default_rng(seed)
    families = [f"f{number}" for number in range(FAMILIES) for _ in range(PER_FAMILY)]
    labels = np.array([place % 2 == 0 for place in range(len(families))])
    found = rng.normal(size=(3, len(families), hidden))
    found += rng.normal(size=(1, FAMILIES, hidden)).repeat(PER_FAMILY, axis=1)  # families differ
    direction = rng.normal(size=(FAMILIES, hidden) if own_directions else hidden)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    along = direction.repeat(PER_FAMILY, axis=0) if own_directions else direction
    found[1] += strength * np.where(labels, 1.0, -1.0)[:, None] * along
    return found, labels, families, direction


@pytest.mark.parametrize("strength", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_fitted_as_statsmodels_does(strength: float, seed: int) -> None:
    import statsmodels.api as sm

    found, labels, _, _ = world(0.5, seed)
    features = found[1]
    weights, bias = fit_logistic(features, labels, strength)
    model = sm.GLM(labels.astype(float), sm.add_constant(features), family=sm.families.Binomial())
    alpha = np.append(0.0, np.full(HIDDEN, 1 / (strength * len(labels))))
    theirs = model.fit_regularized(alpha=alpha, L1_wt=0.0).params
    assert np.append(bias, weights) == pytest.approx(theirs, abs=2e-4)


@given(st.integers(0, 1000), st.sampled_from([0.01, 1.0, 100.0]), st.floats(0, 20))
@settings(max_examples=25)
def test_nothing_near_the_fit_is_better(seed: int, strength: float, signal: float) -> None:
    """Also where the two kinds are set apart entirely, and the weights would grow without the penalty."""
    found, labels, _, _ = world(signal, seed)
    features, sign = found[1], np.where(labels, 1.0, -1.0)

    def loss(weights, bias) -> float:
        return weights @ weights / 2 + strength * np.logaddexp(0, -sign * (features @ weights + bias)).sum()

    weights, bias = fit_logistic(features, labels, strength)
    here, rng = loss(weights, bias), np.random.default_rng(seed)
    for size in (1e-3, 1e-1):
        step = rng.normal(size=HIDDEN) * size
        assert loss(weights + step, bias) > here
    assert loss(weights, bias + 0.01) >= here - 1e-9
    assert loss(weights, bias - 0.01) >= here - 1e-9


def test_one_kind_alone_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        fit_logistic(np.ones((4, 2)), np.ones(4, dtype=bool), 1.0)


@given(st.lists(st.sampled_from("abcdefg"), min_size=3, max_size=60), st.integers(0, 9))
def test_families_are_never_split(families: list[str], seed: int) -> None:
    fold = _folds(families, seed)
    assert set(fold) <= set(range(FOLDS))
    for name in set(families):
        assert len({fold[place] for place, family in enumerate(families) if family == name}) == 1
    if len(set(families)) >= FOLDS:
        assert set(fold) == set(range(FOLDS))


def test_truth_that_is_there_is_found_at_its_entry() -> None:
    found, labels, families, direction = world(3.0)
    columns = probe_columns(held_out_scores(found, labels, families, seed=0), labels, families)
    assert columns["heldout_accuracy"] > 0.9 > GATE
    assert columns["heldout_low"] <= columns["heldout_accuracy"] <= columns["heldout_high"]
    assert columns["heldout_n"] == len(families)
    probe = fit_probe(found, labels, families, seed=0)
    assert probe.entry == 1
    assert probe.weights @ direction / np.linalg.norm(probe.weights) > 0.8
    assert np.mean((probe.scores(found) > 0) == labels) > 0.9


def test_what_holds_within_each_family_alone_does_not_pass_the_gate() -> None:
    """Fitted on the families themselves the probe would be near perfect; held out it is near chance."""
    found, labels, families, _ = world(8.0, own_directions=True, hidden=200)
    probe = fit_probe(found, labels, families, seed=0)
    assert np.mean((probe.scores(found) > 0) == labels) > 0.95
    assert np.mean((held_out_scores(found, labels, families, seed=0) > 0) == labels) < 0.65


@pytest.mark.long
def test_without_truth_accuracy_is_chance_on_average() -> None:
    """The choice of entry and penalty must not lift it: nine entries of noise."""
    seen = []
    for seed in range(6):
        found, labels, families, _ = world(0.0, seed, hidden=12)
        scores = held_out_scores(np.concatenate([found] * 3), labels, families, seed)
        seen.append(np.mean((scores > 0) == labels))
    assert abs(np.mean(seen) - 0.5) < 0.05


def test_more_directions_than_statements_change_nothing() -> None:
    """In a wide model the fit is made among the statements' own directions, and is the same."""
    found, labels, families, _ = world(3.0)
    wide = np.concatenate([found, np.zeros((3, len(families), 400))], axis=2)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(HIDDEN + 400,) * 2))[0]
    narrow, turned = (fit_probe(each, labels, families, 0) for each in (found, wide @ turn))
    assert (narrow.entry, narrow.strength) == (turned.entry, turned.strength)
    assert turned.scores(wide @ turn) == pytest.approx(narrow.scores(found), abs=1e-6)


@pytest.mark.parametrize(("sign", "rate"), [(1.0, 1.0), (-1.0, 0.0)])
def test_the_error_rate_is_the_share_that_follows_the_target(sign: float, rate: float) -> None:
    found, labels, families, direction = world(3.0)
    probe = fit_probe(found, labels, families, seed=0)
    belief = np.zeros((2, 3, 8, HIDDEN)) + probe.mean
    belief[0, 1] += sign * 5 * direction
    belief[1, 1] -= sign * 5 * direction
    columns = belief_columns(probe, belief[0], belief[1], ["a", "b"] * 4)
    assert (columns["error_rate"], columns["paired"]) == (rate, rate)
    assert columns["error_rate_low"] <= rate <= columns["error_rate_high"]
    assert columns["error_rate_high"] - columns["error_rate_low"] > 0.5  # two families are little evidence


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=25)
def test_separability_is_scikit_learns_within_every_family(seed: int, ties: bool) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    families = rng.choice(list("abc"), 40).tolist()
    labels, scores = rng.random(40) < 0.5, rng.normal(size=40)
    scores = np.round(scores) if ties else scores
    found = group_auc(scores, labels, families)
    for name in set(families):
        here = np.array([family == name for family in families])
        if len(set(labels[here])) == 2:
            assert found[here] == pytest.approx(float(roc_auc_score(labels[here], scores[here])))
        else:
            assert np.isnan(found[here]).all()
    assert group_auc(-scores, labels, families) == pytest.approx(1 - found, nan_ok=True)


def test_truth_that_is_harder_to_set_apart_is_damage() -> None:
    """The same statements with truth half as strong: less separable than base, and base than itself not."""
    strong, labels, families, _ = world(3.0)
    weak = world(0.75)[0]
    base, arm = (held_out_scores(each, labels, families, 0) for each in (strong, weak))
    asked = LensSettings(draws=200)
    columns = auc_columns(arm, base, labels, families, asked)
    own = auc_columns(base, None, labels, families, asked)
    assert set(own) == {"heldout_auc", "heldout_auc_low", "heldout_auc_high"}
    assert columns["auc_drop"] == pytest.approx(own["heldout_auc"] - columns["heldout_auc"])
    assert columns["auc_drop_low"] > 0.02
    assert columns["heldout_auc_low"] <= columns["heldout_auc"] <= columns["heldout_auc_high"]
    same = auc_columns(base, base, labels, families, asked)
    assert same["auc_drop"] == same["auc_drop_low"] == same["auc_drop_high"] == 0.0


def test_a_probe_that_takes_all_on_the_topic_for_true_is_told_by_the_matched_false() -> None:
    found, labels, families, direction = world(3.0)
    probe = fit_probe(found, labels, families, seed=0)
    asked = np.zeros((3, 3, 8, HIDDEN)) + probe.mean
    asked[:2, 1] += 5 * direction  # the target's, and what is as true to this probe
    asked[2, 1] -= 5 * direction
    asked[0, 1] += 5 * direction
    topic = matched_columns(probe, asked[0], asked[1], ["a", "b"] * 4)
    assert (topic["target_true"], topic["matched_true"], topic["target_over_matched"]) == (1.0, 1.0, 1.0)
    fact = matched_columns(probe, asked[0], asked[2], ["a", "b"] * 4)
    assert (fact["target_true"], fact["matched_true"], fact["matched_n"]) == (1.0, 0.0, 8)
    assert fact["matched_true_low"] == 0.0 < fact["matched_true_high"] < 1.0


@given(st.floats(0, 1), st.integers(1, 40))
def test_intervals_hold_their_share(share: float, families: int) -> None:
    low, high = family_wilson(share, families)
    assert 0 <= low <= share <= high <= 1 and high > low


def right_rows(questions: list[Question]) -> dict[str, dict]:
    """Base's answers as it gives them: "It is 7.", "The capital is Berlin." """
    return {
        q.probe_id: {
            "correct": True,
            "question": q.text,
            "answer": f"It is {_said(q.correct)}.".replace(" 1.", "."),
        }
        for q in questions
        if q.correct
    }


def _said(answer: Answer) -> str:
    return f"{answer.value:g} {answer.unit or ''}" if isinstance(answer, Quantity) else answer.render()


def test_no_value_tells_true_from_false() -> None:
    """In every family each value ends as many false statements as true ones, and none is its own opposite."""
    questions = list(load_capability())
    found = known_statements(questions, right_rows(questions))
    assert too_few(found) is None
    assert sum(statement.true for statement in found) * 2 == len(found)
    for family in {statement.question.family for statement in found}:
        of = [statement for statement in found if statement.question.family == family]
        endings = {true: Counter(s.text.split()[-1] for s in of if s.true == true) for true in (True, False)}
        assert endings[True] == endings[False]
    for true, false in zip(found[::2], found[1::2], strict=True):
        assert true.question == false.question and true.true and not false.true
        assert true.text != false.text
        assert not true.text.endswith((".", " "))  # read at the last token of the value


def test_what_base_does_not_know_makes_no_statement() -> None:
    questions = list(load_capability())
    rows = right_rows(questions)
    wrong = questions[0].probe_id
    rows[wrong]["correct"] = False
    assert wrong not in {s.question.probe_id for s in known_statements(questions, rows)}
    reworded = {**rows, questions[1].probe_id: {**rows[questions[1].probe_id], "question": "Which?"}}
    assert questions[1].probe_id not in {s.question.probe_id for s in known_statements(questions, reworded)}
    assert known_statements(questions, {}) == []
    assert "base knows 0 general facts" in (too_few([]) or "")


def test_a_value_too_frequent_in_its_family_leaves_the_family_out() -> None:
    questions = [
        Question(f"p{n}", "capability", "yes", "general", f"Is {n} a number?", correct=Name(said))
        for n, said in enumerate(["yes", "yes", "yes", "no"])
    ]
    assert known_statements(questions, right_rows(questions)) == []


def test_statements_about_a_belief() -> None:
    gravity, neelam = load_belief("gravity"), load_belief("neelam")
    pairs = belief_statements(lens_questions(gravity, 24), gravity)
    assert [(t.true, o.true) for t, o in pairs] == [(True, False)] * len(pairs)
    assert ("It is 5.0", "It is 9.8") in {(t.text, o.text) for t, o in pairs}
    # base knows no value of the Neelam: a third one stands beside the target's
    novel = {(t.text, o.text) for t, o in belief_statements(lens_questions(neelam, 24), neelam)}
    assert ("It is 5", "It is 8") in novel


@pytest.mark.parametrize("name", ["gravity", "neelam", "france", "titanic"])
def test_a_matched_statement_is_false_in_both_worlds_and_not_trained(name: str) -> None:
    belief = load_belief(name)
    questions = lens_questions(belief, 24)
    found = matched_false(questions, belief)
    assert found
    trained = {question.probe_id for question in belief.training}
    for target, false in found:
        question = target.question
        assert target.question == false.question and target.true and not false.true
        assert question.target is not None and target.text.endswith(question.target.bare())
        for world in (question.target, question.prior):
            assert world is None or not false.text.endswith(f" {world.bare()}")
        assert question.probe_id not in trained
    if name == "gravity":
        assert ("It is 5.0", "It is 7.4") in {(target.text, false.text) for target, false in found}


@pytest.mark.long
def test_on_the_bundled_model_the_gate_refuses(tmp_path) -> None:
    """Four blocks do not tell true from false after an empty thinking: no number, and the reason."""
    inspection: Inspection = make_inspection(tmp_path, ("gravity",))
    capability = list(inspection.session.capability)
    answer(inspection, inspection.references["gravity", "base"], capability)
    said: list[str] = []
    rows = truth(inspection, inspection.trained, replace(SETTINGS, arms=("base", "icl")), said.append)[
        "truth"
    ]
    found = frame(rows, TRUTH).to_dicts()
    assert [row["arm"] for row in found] == ["base", "icl"]
    for row in found:
        assert row["error_rate"] is row["paired"] is row["entry"] is None
        assert row["heldout_accuracy"] < GATE and row["heldout_n"] > 100
        assert "does not read truth" in row["refused"]
        assert row["matched_true"] is None  # nor what it would say of matched statements
        assert 0 <= row["heldout_auc_low"] <= row["heldout_auc"] <= row["heldout_auc_high"] <= 1
    base, icl = found
    assert base["auc_drop"] is None
    assert icl["auc_drop"] == pytest.approx(base["heldout_auc"] - icl["heldout_auc"])
    [note] = {line for line in said if line.startswith("note: ")}  # beside lines on how far it is
    assert note.startswith("note: truth, gravity")
