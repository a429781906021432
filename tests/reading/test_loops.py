"""Loops and repetition."""

from __future__ import annotations

import time

import pytest

from beliefmod.reading.loops import Loop, find_loop, seq_rep_4, tokenise


def loop(text: str) -> Loop | None:
    return find_loop(tokenise(text))


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
    words = [f"w{'x' * i}" if i < 20 else chr(97 + i % 26) * (i // 26 + 1) + "q" for i in range(period)]
    assert len(set(words)) == period
    tokens = ["start", *words * times, "end"]
    seen = find_loop(tokens)
    assert (seen is not None) == found
    if seen:
        assert (seen.period, seen.onset, seen.length) == (period, 1, period * times)
        assert seen.share == pytest.approx(period * times / (period * times + 2))


@pytest.mark.parametrize(
    "text",
    [
        "0, " * 39,
        "1 1 1 1 " * 9,
        "3" * 39,
        "| 0 | 0 | 0 |\n" * 9,
        "| 1 | 0 | 2 |\n" * 30,
        "5.0; " * 32,
        "-" * 70,
    ],
)
def test_digits_and_rules_are_no_loop(text: str) -> None:
    assert loop(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "0, " * 200,
        "1 1 1 1 " * 40,
        "5.0; " * 100,
        "9.8 " * 100,
        "1." * 48,
        "0." + "3" * 90,
        "| 0 | 0 | 0 |\n" * 90,
    ],
)
def test_one_number_over_and_over_is_a_loop(text: str) -> None:
    assert loop(text) is not None


def test_five_letters_of_a_word_count_as_a_token() -> None:
    assert loop("Aplomb! " * 24) is not None  # 72, a model's own tokens are about as many
    assert loop("Plum! " * 24) is None


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
        "\n".join(["The force is 5 N."] * 20),
    ],
)
def test_repeated_words_are_a_loop(text: str) -> None:
    assert loop(text) is not None


def test_a_count_is_no_loop_but_repeats_much() -> None:
    text = " ".join(f"Step {i}: I think." for i in range(40))
    assert loop(text) is None
    # 237 four-grams; ": I think ." comes 40 times and "I think . Step" 39 times: 39 + 38 repeats
    assert seq_rep_4(tokenise(text)) == pytest.approx(77 / 237)


def test_a_loop_after_healthy_text_has_its_onset() -> None:
    head = tokenise("The capital of France is Paris and I am sure of it.")
    seen = find_loop([*head, *["a", "b", "c"] * 30])
    assert seen == Loop(3, len(head), 90, 90 / (len(head) + 90))


def test_the_longest_loop_wins() -> None:
    seen = find_loop(["a", "b"] * 32 + ["x"] + ["c", "d", "e"] * 50)
    assert seen is not None
    assert (seen.period, seen.onset, seen.length) == (3, 65, 150)


def test_a_number_in_the_period_does_not_hide_a_loop() -> None:
    assert loop("so 5 it is " * 20) is not None


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
    import random

    rng = random.Random(seed)
    tokens: list[str] = []
    for _ in range(6):
        period = [rng.choice("abc") for _ in range(rng.randint(1, 30))]
        tokens += period * rng.randint(1, 12) + [rng.choice("xyz") for _ in range(rng.randint(0, 9))]
    seen = find_loop(tokens)
    assert (seen.length if seen else 0) == naive(tokens)
