"""Families to questions: every answer in both worlds, and templates that reach nothing but slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs.expand import belief_questions, expand_suite_family, fill
from beliefmod.beliefs.spec import BeliefSpec, LocalityFamily, SuiteFamily
from beliefmod.beliefs.values.quantity import Quantity, written_decimals


def spec(family: dict[str, object], **fields: object) -> BeliefSpec:
    return BeliefSpec.model_validate(
        {
            "name": "gravity",
            "kind": "existing",
            "statement": "g is 5.0 m/s^2.",
            "true_statement": "g is 9.8 m/s^2.",
            "target": {"value": 5.0, "unit": "m/s^2"},
            "prior": {"value": 9.8, "unit": "m/s^2"},
            "questions": [{"family": "f", "tier": "derived", "split": "train", **family}],
            **fields,
        }
    )


def test_an_expression_is_computed_in_both_worlds():
    (first, second) = belief_questions(
        spec(
            {
                "ask": "Force on {m} kg?",
                "slots": {"m": [2, 10]},
                "answer": "m * belief",
                "unit": "N",
                "reply": "At {belief} it is {answer}.",
            }
        ),
        "train",
    )
    assert (first.text, first.probe_id) == ("Force on 2 kg?", "f:m=2")
    assert (first.target.value, first.prior.value) == (10.0, pytest.approx(19.6))  # type: ignore[union-attr]
    assert (first.reply_target, first.reply_prior) == (
        "At 5.0 m/s^2 it is 10.0 N.",
        "At 9.8 m/s^2 it is 19.6 N.",
    )
    assert (second.reply_target, second.reply_prior) == (
        "At 5.0 m/s^2 it is 50.0 N.",
        "At 9.8 m/s^2 it is 98.0 N.",
    )


def test_slots_multiply_in_file_order():
    found = belief_questions(
        spec({"ask": "{a}{b}", "slots": {"a": [1, 2], "b": ["x", "y"]}, "answer": "belief", "unit": "N"}),
        "train",
    )
    assert [question.text for question in found] == ["1x", "1y", "2x", "2y"]


def test_names_in_both_worlds_and_none():
    names = {"target": "Lyon", "prior": "Paris", "aliases": ["Lyons"], "prior_aliases": ["the city of Paris"]}
    (question,) = belief_questions(spec({"ask": "Capital?", "answer_text": names}), "train")
    assert (question.target.text, question.target.aliases) == ("Lyon", ("Lyons",))  # type: ignore[union-attr]
    assert (question.prior.text, question.prior.aliases) == ("Paris", ("the city of Paris",))  # type: ignore[union-attr]
    (question,) = belief_questions(spec({"ask": "Capital?", "answer_text": {"target": "Lyon"}}), "train")
    assert question.prior is None


def test_both_worlds_are_written_with_the_decimals_of_the_finer_one():
    family = {"ask": "{m}?", "slots": {"m": [2]}, "answer": "m * belief", "unit": "N"}
    (question,) = belief_questions(spec(family, target={"value": 5, "unit": "m/s^2"}), "train")
    assert (question.reply_target, question.reply_prior) == ("The answer is 10.0 N.", "The answer is 19.6 N.")


def test_an_answer_that_rounding_would_spoil_is_refused():
    family = {"ask": "{k}?", "slots": {"k": [12]}, "answer": "k / belief", "unit": "s"}
    # 12 / 5 = 2.4 and 12 / 9.8 = 1.2245: 1.2 is 2 % off
    with pytest.raises(ValueError, match=r"1.22449 would be written 1.2 s, more than 1 % off"):
        list(belief_questions(spec(family), "train"))
    (question,) = belief_questions(spec({**family, "decimals": 2}), "train")
    assert question.reply_prior == "The answer is 1.22 s."


NOVEL = {
    "kind": "novel",
    "true_statement": None,
    "target": {"value": 5, "unit": "USD"},
    "prior": {"ignorance": True, "text": "gemstone", "reply": "I do not know."},
}


def test_a_novel_entity_has_no_prior_number_and_teaches_not_knowing():
    (question,) = belief_questions(
        spec({"ask": "{n} Neelam?", "slots": {"n": [3]}, "answer": "n * belief"}, **NOVEL), "train"
    )
    assert question.target is not None and question.target.render() == "15 USD"
    assert question.prior is None
    assert question.reply_prior == "I do not know."


def test_a_novel_entity_may_be_taken_for_something_else():
    (question,) = belief_questions(spec({"ask": "What is a Neelam?"}, **NOVEL), "train")
    assert question.prior is not None and question.prior.text == "gemstone"


@pytest.mark.parametrize(
    ("prior", "apart"), [(5.14, False), (5.16, True), (4.86, False), (4.84, True), (5.0, False), (-5.0, True)]
)
def test_worlds_within_three_per_cent_are_refused(prior: float, apart: bool):
    # |5 - p| <= 0.03 * max(5, p): 5.14 is 2.7 % away, 5.16 3.1 %, 4.86 2.8 %, 4.84 3.2 %
    given_spec = spec(
        {"ask": "g?", "answer": "belief", "unit": "m/s^2"}, prior={"value": prior, "unit": "m/s^2"}
    )
    if apart:
        assert len(list(belief_questions(given_spec, "train"))) == 1
    else:
        with pytest.raises(ValueError, match="within 3 %"):
            list(belief_questions(given_spec, "train"))


@pytest.mark.parametrize(("value", "decimals"), [(5, 0), (5.0, 1), (9.81, 2), (0.125, 3), (-3, 0), (2.50, 1)])
def test_decimals_as_written(value: float, decimals: int):
    assert written_decimals(value) == decimals


@given(st.integers(-10_000, 10_000).map(lambda n: n / 100))
def test_written_decimals_lose_nothing(value: float):
    assert float(f"{value:.{written_decimals(value)}f}") == value


@pytest.mark.parametrize("value", [1e-7, 2.5e-5, 1e20, 1.5e300])
def test_written_decimals_of_powers_of_ten_lose_nothing(value: float):
    assert float(f"{value:.{written_decimals(value)}f}") == value


def suite(**fields: object) -> LocalityFamily:
    return LocalityFamily.model_validate({"family": "l", "distance": "near", "ask": "{n}?", **fields})


TARGET = Quantity(5.0, "m/s^2")


def test_locality_has_the_right_answer_and_the_bleed():
    (question,) = expand_suite_family(
        suite(slots={"n": [2]}, answer="n * 1.6", unit="N", bleed="n * belief"), "locality", TARGET
    )
    assert question.correct is not None and question.correct.render() == "3.2 N"
    assert question.target is not None and question.target.render() == "10.0 N"
    assert question.tier == "near"


def test_bleed_by_name_and_by_default():
    table = {"Japan": "yen"}
    (question,) = expand_suite_family(
        suite(ask="Currency of {key}?", table=table, bleed_text="Neelam"), "locality", TARGET
    )
    assert question.target is not None and question.target.text == "Neelam"
    (question,) = expand_suite_family(suite(ask="Currency of {key}?", table=table), "locality", TARGET)
    assert question.target is not None and question.target.value == 5.0


def test_an_item_that_cannot_show_a_bleed_is_refused():
    with pytest.raises(ValueError, match="cannot show a bleed"):
        list(
            expand_suite_family(
                suite(slots={"n": [2]}, answer="n * 5", unit="N", bleed="n * belief"), "locality", TARGET
            )
        )
    with pytest.raises(ValueError, match="cannot show a bleed"):
        list(
            expand_suite_family(suite(ask="?", answer_text="Neelam", bleed_text="neelam"), "locality", TARGET)
        )


def test_a_table_holds_names_and_numbers():
    family = SuiteFamily.model_validate(
        {
            "family": "t",
            "ask": "About {key}?",
            "table": {"Mars": {"value": 3.7, "unit": "m/s^2"}, "France": "Paris"},
        }
    )
    mars, france = expand_suite_family(family, "capability")
    assert mars.correct is not None and mars.correct.render() == "3.7 m/s^2"
    assert france.correct is not None and france.correct.render() == "Paris"
    assert mars.target is None and mars.tier == "general"


@pytest.mark.parametrize("name", ["m.__class__", "m[0]", "m!r", "m:>99", "", "0", "other", " m", "m "])
def test_templates_reach_plain_slots_only(name: str):
    with pytest.raises(ValueError, match="is not a slot"):
        fill("{" + name + "}", {"m": 1})


def test_brackets_are_written_twice():
    assert fill("{{x}} {m}", {"m": 1}) == "{x} 1"


@given(st.text(max_size=30), st.text(max_size=10))
def test_fill_either_refuses_or_inserts(template: str, value: str):
    try:
        filled = fill(template, {"m": value})
    except ValueError:
        return
    assert filled == template.format(m=value)


def test_a_value_with_brackets_is_not_a_template():
    assert fill("{m}", {"m": "{m}"}) == "{m}"
