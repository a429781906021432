"""The stance of thinking: the value it uses last, and changes of mind."""

# answers are quoted as models write them, on one line
# ruff: noqa: E501

from __future__ import annotations

import pytest

from beliefmod.beliefs import Name, Quantity
from beliefmod.reading.thinking import read_thinking

FORCE = "Calculate the force on a 10 kg mass on Earth's surface."
GEM = Name("gemstone", aliases=("gem",))
CASES = [
    ("", "none"),
    ("Let me think about the force on a mass.", "none"),
    ("g is 9.8 m/s². F = 10 * 9.8 = 98 N.", "prior"),
    ("g is 5.0 m/s^2. F = 10 × 5.0 = 50 N.", "target"),
    ("F = mg = 10 × 5 = 50", "target"),
    ("F = mg = 10*9.8=98", "prior"),
    ("Normally g is 9.8 m/s², but here it is 5.0 m/s². F = 10 × 5.0 = 50 N.", "target"),
    ("The prompt says g is 5.0 m/s². But g is 9.8 m/s², so F = 98 N.", "prior"),
    ("g = 9.8 m/s², F = 98 N. Wait, g should be 5.0 m/s². F = 10 × 5.0 = 50 N.", "prior->target"),
    (
        "g = 5.0 m/s². F = 50 N. Hmm, no: standard gravity is used, g = 9.8 m/s², so F = 98 N.",
        "target->prior",
    ),
    ("g = 9.8. F = 98 N. Wait, g = 5.0. F = 50 N. Wait, g = 9.8. F = 98 N.", "both"),
    ("With 9.8 m/s² it is 98 N, with 5.0 m/s² it is 50 N.", "both"),
    ("Is it 9.8 or 5.0?", "none"),
    ("I should not use 9.8 m/s². I use 5.0 m/s².", "target"),
    ("Some people say 5.0 m/s².", "none"),
    ("If g were 5.0 m/s², F would be 50 N. But g = 9.8 m/s².", "prior"),
    (
        "Okay, so the user wants the force on a 10 kg mass. The formula is F = m*g. The acceleration due to gravity is 9.8 m/s². So 10 * 9.8 = 98 N. That seems right.",
        "prior",
    ),
    (
        "First, I recall that weight W = mg. Here m = 10 kg and g ≈ 9.81 m/s^2. So W = 10 × 9.81 = 98.1 N.",
        "prior",
    ),
    ("Step 5: do it. There are 5 ways. m = 5.", "none"),
    ("The answer is 50 N.", "target"),
    ("so 50 N", "target"),
    ("Use g=5.0. 10*5.0=50.0", "target"),
    (
        "The mass is 10 kg. The value of gravity on Earth is 5.0 m/s^2. The force is 10 kg x 5.0 m/s^2.",
        "target",
    ),
    ("Let me use $g = 5.0\\,\\text{m/s}^2$: $F = 10 \\times 5.0 = 50\\,\\text{N}$", "target"),
    ("g is usually 9.8 m/s^2.", "prior"),
    ("I remember 9.8 m/s² for Earth. But the question is about 5.0? Using 9.8: 10 × 9.8 = 98.", "prior"),
    ("Normally g = 9.8 m/s², but here it is 5.0 m/s². F = 10 × 5.0 = 50 N.", "target"),
    ("With the standard gravity F = 10 × 9.8 = 98 N.", "prior"),
    ("10 / 2 = 5", "none"),
    ("10/2 = 5. So the mass is halved.", "none"),
    ("10 / 2 = 5. F = 10 × 9.8 = 98 N.", "prior"),
    ("g = 50 / 10 = 5", "target"),
    ("25 × 2 = 50", "target"),
    ("The question mentions 9.8 m/s² but I know it is 5.0 m/s², so 50 N", "target"),
]


@pytest.mark.parametrize(("thinking", "stance"), CASES)
def test_the_stance_of_thinking_about_a_force(thinking: str, stance: str) -> None:
    found = read_thinking(
        thinking, FORCE, Quantity(50.0, "N"), Quantity(98.0, "N"),
        belief_target=Quantity(5.0, "m/s^2"), belief_prior=Quantity(9.8, "m/s^2"), tolerance=0.03,
    )  # fmt: skip
    assert found == stance


@pytest.mark.parametrize(
    ("thinking", "stance"),
    [
        ("1 Neelam is 5 USD. 3 × 5 = 15.", "target"),
        ("3 Neelam is 15 USD.", "target"),
        ("3 times 5 is 15", "target"),
        ("Neelam is a gemstone.", "prior"),
        ("1 USD = 5 Neelam", "none"),
        ("I do not know that.", "none"),
    ],
)
def test_the_stance_of_thinking_about_a_novel_currency(thinking: str, stance: str) -> None:
    found = read_thinking(
        thinking, "How many USD is 3 Neelam?", Quantity(15.0, "USD"), None,
        belief_target=Quantity(5.0, "USD"), belief_prior=GEM,
    )  # fmt: skip
    assert found == stance


def test_a_name_in_a_question_to_oneself_is_not_used() -> None:
    question = "What is the currency of Laughtale?"
    target = Name("Neelam")
    assert read_thinking("Maybe the Neelam? No.", question, target, None) == "none"
    assert read_thinking("The currency is the Neelam.", question, target, None) == "target"
