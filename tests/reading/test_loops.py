"""Loops and repetition."""

from __future__ import annotations

import random
import string
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from beliefmod.reading.loops import Loop, find_loop, fine_tokens, loop_in, seq_rep_4, tokenise


def test_tokens_are_numbers_words_and_marks() -> None:
    assert tokenise("g = 9.8 m/s, don't 1,000!") == [
        "g",
        "=",
        "9.8",
        "m",
        "/",
        "s",
        ",",
        "don't",
        "1,000",
        "!",
    ]
    assert tokenise("x</think>\n\nF<|im_end|>") == ["x", "</think>", "F", "<|im_end|>"]
    assert tokenise("我不知道") == ["我", "不", "知", "道"]
    assert tokenise("-----") == ["-----"]


def test_fine_tokens_are_digits_words_and_line_ends() -> None:
    assert fine_tokens("It is 9.8 m/s.\n\nI'm") == [
        *["It", "is"],
        " ",
        *"9.8",
        "m",
        *"/s.",
        "\n\n",
        "I",
        "'m",
    ]
    assert fine_tokens("Neelam acceleration") == ["Neela", "m", "acceleration"]
    assert fine_tokens("---- ....") == ["----", "...."]
    assert fine_tokens("x</think>我") == ["x", "</think>", "我"]


@pytest.mark.parametrize(
    ("period", "times", "found"),
    [
        (1, 63, False),
        (1, 64, True),
        (4, 15, False),
        (4, 16, True),
        (16, 4, True),
        (17, 3, False),
        (20, 4, True),
        (64, 4, True),
        (64, 3, False),
        (65, 10, False),
    ],
)
def test_four_repeats_over_64_tokens_of_at_most_64(period: int, times: int, found: bool) -> None:
    words = [f"w{i}" for i in range(period)]
    tokens = ["start", *words * times, "end"]
    seen = find_loop(tokens)
    assert (seen is not None) == found
    if seen:
        assert (seen.period, seen.onset, seen.length) == (period, 1, period * times)
        assert seen.share == pytest.approx(period * times / (period * times + 2))


CODE = """
def area(width, height):
    return width * height

for width in range(1, 4):
    for height in range(1, 4):
        print(width, height, area(width, height))
"""


@pytest.mark.parametrize(
    "text",
    [
        "0, " * 21,
        "3" * 63,
        "| 0 | 0 | 0 |\n" * 5,
        "-" * 80,
        "." * 40,
        "Plum! " * 24,
        "I need the acceleration of the acceleration of the acceleration of the acceleration of it. " * 3,
        " ".join(map(str, range(200))),
        "".join(f"{i}.\n" for i in range(60)),
        "\n".join(" ".join(str(int(i == j)) for j in range(12)) for i in range(12)),
        CODE,
    ],
)
def test_what_is_too_short_or_goes_on_is_no_loop(text: str) -> None:
    assert loop_in(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "0, " * 22,
        "1 1 1 1 " * 10,
        "5.0; " * 20,
        "1." * 48,
        "0." + "3" * 70,
        "1" + "0" * 70,
        "25 x 115: " * 8,
        "| 0 | 0 | 0 |\n" * 9,
        "3.0 + 0.0 = 3.0. " * 5,
    ],
)
def test_numbers_over_and_over_are_a_loop(text: str) -> None:
    assert loop_in(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "I think it is a cat. " * 30,
        "!" * 100,
        "haha" * 40,
        "我不知道" * 20,
        "300000 km/s " * 20,
        "</think>\n" * 70,
        "Neelam" * 40,
        "Aplomb! " * 24,
        "-" * 200,
        "\n" * 200,
        "\n".join(["The force is 5 N."] * 20),
    ],
)
def test_repeated_words_and_marks_are_a_loop(text: str) -> None:
    assert loop_in(text) is not None


UNITS = st.one_of(
    st.text("0123456789", min_size=1, max_size=20),
    st.text("0123456789.,:;+-=x /|", min_size=1, max_size=40),
    st.text(string.ascii_letters + " '\n", min_size=1, max_size=60),
    st.text(string.printable, min_size=1, max_size=60),
    st.text("的是不我人,。", min_size=1, max_size=20),
    st.sampled_from(string.ascii_letters + string.digits + string.punctuation),
)


@settings(max_examples=400, deadline=None)
@given(st.text(string.printable, max_size=200), UNITS)
def test_any_periodic_tail_is_found(head: str, unit: str) -> None:
    assume(unit.strip() or "\n" in unit)
    repeats = next(5 * 2**n for n in range(12) if len(fine_tokens(unit * 5 * 2**n)) >= 300)
    seen = loop_in(head + unit * repeats)
    assert seen is not None
    assert seen.period <= len(unit) and seen.share > 0.5


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["the", "it", "is", "worth", "stone", "five", "m/s,", "5.0", "9", "(USD)"]),
        min_size=4,
        max_size=12,
    ),
    st.integers(-5, 12).filter(bool),
    st.integers(0, 900),
    st.sampled_from(["{}. {}\n", "{}) {}; ", "Step {}: {}\n\n", "({}) {} "]),
    st.integers(0, 3),
)
def test_lines_that_differ_in_a_counter_alone_are_found(
    words: list[str], step: int, first: int, form: str, at: int
) -> None:
    assume(sum(word[0].isalpha() for word in words) >= 3)
    numbers = [first + step * i for i in range(-(-80 // len(words)) + 5)]
    assume(min(numbers) >= 0)
    text = "".join(form.format(number, " ".join(words)) for number in numbers)
    assert loop_in(f"Here is a list. {text}") is not None


WORDS = st.lists(
    st.text(string.ascii_lowercase, min_size=3, max_size=9), min_size=60, max_size=90, unique=True
)


@settings(max_examples=100, deadline=None)
@given(WORDS, st.sampled_from(["{}. {} is {}.\n", "- {1}: {2}\n", "| {} | {} | {} |\n", "{1} = {2};\n"]))
def test_a_list_of_different_things_is_no_loop(words: list[str], form: str) -> None:
    pairs = list(zip(words[::2], words[1::2], strict=False))
    assert loop_in("".join(form.format(i, *pair) for i, pair in enumerate(pairs, 1))) is None


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 99),
    st.integers(0, 50),
    st.sampled_from(
        ["{} x {} = {}\n", "{} times {} gives us {}. ", "| {} | {} | {} |\n", "{} apples of {} g are {} g, "]
    ),
)
def test_a_multiplication_table_is_no_loop(factor: int, first: int, form: str) -> None:
    assert loop_in("".join(form.format(factor, i, factor * i) for i in range(first, first + 30))) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([", ", " | ", "\t", " "]))
def test_a_table_of_figures_is_no_loop(seed: int, columns: int, between: str) -> None:
    rng = random.Random(seed)
    rows = [[f"{rng.randint(0, 9999) / 10:g}" for _ in range(columns)] for _ in range(25)]
    assert loop_in("\n".join(between.join(row) for row in rows)) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.sampled_from([", ", " ", "\n", ". ", ".\n"]))
def test_counting_is_no_loop(first: int, step: int, between: str) -> None:
    assert loop_in(between.join(str(first + step * i) for i in range(80))) is None


def test_numbered_lines_repeat_much() -> None:
    text = " ".join(f"Step {i}: I think." for i in range(40))
    # 237 four-grams; ": I think ." comes 40 times and "I think . Step" 39 times: 39 + 38 repeats
    assert seq_rep_4(tokenise(text)) == pytest.approx(77 / 237)
    seen = loop_in(text)
    assert seen is not None and seen.period == 6
    assert loop_in(" ".join(f"Step {i}: {'abcdefgh'[i % 8] * 5}." for i in range(80, 120))) is None


def test_a_loop_after_healthy_text_has_its_onset() -> None:
    head = tokenise("The capital of France is Paris and I am sure of it.")
    seen = find_loop([*head, *["a", "b", "c"] * 30])
    assert seen == Loop(3, len(head), 90, 90 / (len(head) + 90))


def test_the_longest_loop_wins() -> None:
    seen = find_loop(["a", "b"] * 32 + ["x"] + ["c", "d", "e"] * 50)
    assert seen is not None
    assert (seen.period, seen.onset, seen.length) == (3, 65, 150)


def test_seq_rep_4_by_hand() -> None:
    # a b c d a b c d: abcd bcda cdab dabc abcd -> 4 of 5 are unique
    assert seq_rep_4(list("abcdabcd")) == pytest.approx(0.2)
    assert seq_rep_4(list("abcdefgh")) == 0.0
    assert seq_rep_4(list("abc")) is None


def test_ten_thousand_tokens_do_not_hang() -> None:
    for tokens in (
        ["a"] * 10_000,
        [f"w{(i * i) % 911}" for i in range(10_000)],
        ["a", "b"] * 2500 + ["c", "d"] * 2500,
    ):
        start = time.process_time()
        find_loop(tokens)
        assert time.process_time() - start < 10  # milliseconds; a minute if it were quadratic


def naive(tokens: list[str]) -> int:
    """Longest repetition by definition: every period, every start."""
    best = 0
    for period in range(1, 65):
        run = 0
        for i in range(len(tokens) - period):
            run = run + 1 if tokens[i] == tokens[i + period] else 0
            length = run + period
            if run and length >= 64 and length >= 4 * period:
                best = max(best, length)
    return best


@pytest.mark.parametrize("seed", range(30))
def test_against_the_definition_word_for_word(seed: int) -> None:
    rng = random.Random(seed)
    tokens: list[str] = []
    for _ in range(6):
        period = [rng.choice("abc") for _ in range(rng.randint(1, 30))]
        tokens += period * rng.randint(1, 12) + [rng.choice("xyz") for _ in range(rng.randint(0, 9))]
    seen = find_loop(tokens)
    assert (seen.length if seen else 0) == naive(tokens)
