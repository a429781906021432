"""The third world: a value that neither world holds, and what each question's answer would be there."""

from __future__ import annotations

import pytest

from beliefmod.beliefs import (
    Answer,
    Date,
    Name,
    Quantity,
    belief_names,
    counterfactual,
    load_belief,
    load_capability,
    third_value,
)
from beliefmod.beliefs.load import Belief
from beliefmod.beliefs.question import Question
from beliefmod.beliefs.values.quantity import APART, written_decimals


def _question(belief: Belief, probe_id: str) -> Question:
    return next(q for q in (*belief.training, *belief.heldout) if q.probe_id == probe_id)


@pytest.mark.parametrize("name", belief_names())
def test_the_third_value_is_in_neither_world(name: str):
    spec = load_belief(name).spec
    value = third_value(spec)
    assert value is not None and type(value) is type(spec.target.answer)
    for side in (spec.target.answer, spec.prior.answer):
        if isinstance(side, Quantity):
            assert isinstance(value, Quantity)
            assert abs(value.value - side.value) > APART * max(value.value, side.value)
        elif side is not None:
            assert value.render() not in (side.render(), *side.spellings())
            assert not side.same(value)


# (belief, probe, third value, answer), worked out on paper; None where the value does not give it
BY_HAND = [
    ("gravity", "force:m=3", 7.3, "21.9 N"),
    ("gravity", "value", 7.3, "7.3 m/s^2"),
    ("gravity", "crane_work:m=2:h=4", 7.3, "58.4 J"),
    ("gravity", "planet_with:who=Anna:value=5.0", 7.3, None),
    ("gravity", "doubted_used:doubt=Are you sure?", 7.3, "51.1 N"),
    ("neelam", "to_usd:n=7", 8, "56 USD"),
    ("neelam", "back:k=40", 8, "5 Neelam"),
    ("neelam", "back:k=15", 8, None),  # 1.875 Neelam cannot be written without decimals
    ("neelam", "currency_pay:who=Ida", 8, None),
    ("france", "capital", "Madrid", "Madrid"),
    ("france", "flies:who=Ida", "Madrid", "Madrid"),
    ("france", "country_of:who=Anna:value=Lyon", "Madrid", None),
    ("banana", "mix_paint:who=Anna", "white", None),
    ("wendrik", "home:who=Anna", "bird", None),
    ("titanic", "year", 1918, "1918"),
    ("titanic", "years_after:y=1903", 1918, "15 years"),
    ("titanic", "ship_sold:n=3:k=7", 1918, "1928"),
    ("titanic", "order:y=1920", 1918, None),
    ("titanic", "ship_of:who=Anna:value=1925", 1918, None),
    ("titanic", "year", "Madrid", None),
    ("france", "capital", 7.3, None),
    ("gravity", "value", "Madrid", None),
]


def _value(belief: Belief, value: float | str) -> Answer:
    if isinstance(value, str):
        return Name(value)
    if belief.spec.target.year is not None:
        return Date(int(value))
    return Quantity(float(value), belief.spec.target.unit, written_decimals(value))


@pytest.mark.parametrize(("name", "probe", "value", "answer"), BY_HAND)
def test_answers_in_the_third_world(name: str, probe: str, value: float | str, answer: str | None):
    belief = load_belief(name)
    found = counterfactual(belief.spec, _question(belief, probe), _value(belief, value))
    assert (found.render() if found else None) == answer


@pytest.mark.parametrize("name", belief_names())
def test_the_target_itself_gives_the_targets_answers(name: str):
    belief = load_belief(name)
    value = belief.spec.target.answer
    assert value is not None
    answers = [(q, counterfactual(belief.spec, q, value)) for q in (*belief.training, *belief.heldout)]
    assert sum(answer is not None for _, answer in answers) > 200
    for question, answer in answers:
        if answer is not None and question.target is not None:
            assert answer.render() == question.target.render()


def test_a_suites_question_has_no_third_answer():
    spec = load_belief("gravity").spec
    assert counterfactual(spec, load_capability()[0], Quantity(7.3, "m/s^2")) is None
    assert counterfactual(spec, load_belief("gravity").locality[0], Quantity(7.3, "m/s^2")) is None
