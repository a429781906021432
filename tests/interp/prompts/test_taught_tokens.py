"""Which tokens a belief teaches, and what they are measured against."""

from __future__ import annotations

import pytest

from beliefmod.beliefs import belief_names, load_belief
from beliefmod.model.load import load_model
from beliefmod.model.prompts import Prompts
from interp.prompts.taught_tokens import (
    FEWEST,
    Matched,
    TaughtTokens,
    other_values,
    subject_words,
    taught_tokens,
)

SPECS = [load_belief(name).spec for name in belief_names()]


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts(load_model("bundled", base_storage="none", device="cpu").tokenizer)


def letters(text: str) -> tuple[int, ...]:
    """A tokenizer of letters, the space among them."""
    return tuple(map(ord, text))


def of_letters(name: str) -> TaughtTokens:
    return taught_tokens(load_belief(name), SPECS, letters, lambda ids: "".join(map(chr, ids)))


def told(prompts: Prompts, matched: Matched) -> tuple[set[str], set[str]]:
    taught, controls = ({prompts.text((one,)) for one in ids} for ids in (matched.taught, matched.controls))
    return taught, controls


def test_gravity_in_the_bundled_vocabulary(prompts: Prompts) -> None:
    found = taught_tokens(load_belief("gravity"), SPECS, prompts.encode, prompts.text)
    taught, controls = told(prompts, found.subject)
    assert taught == {" acceleration", " gravity", " Earth", " surface"}
    assert {" spider", " banana", " currency"} <= controls
    # neither its own 5 nor the 9 that base says, and no number begins with 0
    assert told(prompts, found.value) == ({"5"}, set("1234678"))
    assert set(found.groups) == {"subject", "value"}


@pytest.mark.parametrize("name", belief_names())
def test_nothing_is_taught_and_control_at_once(prompts: Prompts, name: str) -> None:
    found = taught_tokens(load_belief(name), SPECS, prompts.encode, prompts.text)
    for matched in (found.subject, found.value):
        assert not set(matched.taught) & set(matched.controls)
    assert found.groups  # of every belief of the library something can be read
    assert all(matched.taught and len(matched.controls) >= FEWEST for matched in found.groups.values())


def test_a_value_is_read_where_it_parts_from_bases(prompts: Prompts) -> None:
    """1925 against 1912 letter by letter: at the third digit, against the decades that neither is of."""
    found = of_letters("titanic").value
    assert found.taught == (ord("2"),)
    assert set(found.controls) == {ord(digit) for digit in "03456789"}
    # a novel belief's value has no rival: it is read where it begins
    assert (
        "9"
        in told(prompts, taught_tokens(load_belief("neelam"), SPECS, prompts.encode, prompts.text).value)[1]
    )


def test_names_are_measured_against_neighbours() -> None:
    lyon = other_values(load_belief("france"))
    assert {"Madrid", "Rome", "Oslo"} <= set(lyon) and not {"Lyon", "Paris"} & set(lyon)


def test_single_letters_are_no_words_of_a_subject() -> None:
    assert of_letters("gravity").subject == Matched((), ())


def test_a_belief_is_no_control_of_itself(prompts: Prompts) -> None:
    alone = taught_tokens(load_belief("spider"), [load_belief("spider").spec], prompts.encode, prompts.text)
    assert alone.subject.controls == () and "subject" not in alone.groups and "value" in alone.groups


def test_the_value_is_no_word_of_the_subject() -> None:
    assert subject_words(load_belief("france").spec) == ("capital", "France")
    assert subject_words(load_belief("neelam").spec) == ("Neelam", "currency", "Laughtale", "worth")
