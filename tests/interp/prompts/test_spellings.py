"""A value in any spelling: against every continuation of a toy model written out, and trees by hand."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import Quantity, load_belief
from beliefmod.model.prompts import Prompts
from beliefmod.reading.verdict import tolerance_for
from interp.prompts.spellings import Range, name_tree, number_tree, range_of
from interp.prompts.stems import lens_questions, stems
from interp.read.masses import ValueSets, Vocabulary, masses, value_sets, vocabulary_of
from tests.interp.prompts.test_value_positions import TOKENIZERS

SIGNS = "0123459. N"
LENGTH = 5
TOKENS = {sign: place for place, sign in enumerate(SIGNS) if sign in "0123456789."}
DIGIT = [sign.isdigit() for sign in SIGNS]
MORE = torch.tensor([[d or s == ".", d, s.isalnum()] for s, d in zip(SIGNS, DIGIT, strict=True)]).double()
TOY = Vocabulary(TOKENS, MORE)
PLAIN = re.compile(r"(?:0|[1-9]\d*)(?![\d])(?:\.\d+)?")


def spells(text: str) -> tuple[int, ...]:
    return tuple(SIGNS.index(sign) for sign in text)


def chances_after(path: tuple[int, ...], seed: int) -> np.ndarray:
    """A toy model: what follows depends on all that stands before."""
    rng = np.random.default_rng([seed, len(path), *path])
    return rng.dirichlet(np.full(len(SIGNS), 0.5))


def all_texts(seed: int) -> dict[str, float]:
    """Every text of LENGTH signs with its probability."""
    found = {(): 1.0}
    for _ in range(LENGTH):
        grown = {}
        for path, chance in found.items():
            for sign, share in enumerate(chances_after(path, seed)):
                grown[(*path, sign)] = chance * share
        found = grown
    return {"".join(SIGNS[sign] for sign in path): chance for path, chance in found.items()}


TEXTS = {seed: all_texts(seed) for seed in (0, 1)}


def mass(tree, seed: int) -> float:
    sets = ValueSets(0, tree, None)
    paths = sets.paths()
    chances = torch.tensor(np.array([chances_after(path, seed) for path in paths]))
    found, nothing = masses(chances, paths, sets, TOY)
    assert nothing is None and found is not None
    return found


@pytest.mark.parametrize("seed", sorted(TEXTS))
@pytest.mark.parametrize(
    ("low", "high", "decimals"),
    [(5, 5, 2), (4.9, 5.1, 2), (9.5, 10.4, 2), (0.9, 1.2, 2), (95, 102, 1), (0.2, 0.4, 2), (10, 10, 1)],
)
def test_the_mass_is_that_of_all_texts_that_begin_with_such_a_number(seed, low, high, decimals):
    """Texts are long enough to hold any number of the range and the sign that ends it, as far as decimals are
    told apart."""
    tree = number_tree(Range(low, high, decimals), TOKENS, spells)
    assert tree is not None
    expected = 0.0
    for text, chance in TEXTS[seed].items():
        found = PLAIN.match(text)
        if found is None:
            continue
        whole, _, rest = found[0].partition(".")
        if low <= float(f"{whole}.{rest[:decimals]}" if rest else whole) <= high:
            expected += chance
    assert mass(tree, seed) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected < 1


@given(low=st.floats(0.02, 60), width=st.floats(0, 5), seed=st.sampled_from(sorted(TEXTS)))
@settings(max_examples=40, deadline=None)
def test_two_halves_of_a_range_have_the_whole_ones_mass(low: float, width: float, seed: int):
    low, high = round(low, 1), round(low + width + 0.2, 1)
    middle = round((low + high) / 2, 1)
    ends = [(low, high), (low, middle - 0.01), (middle, high)]
    trees = [number_tree(Range(*pair, 2), TOKENS, spells) for pair in ends]
    if None in trees:
        return  # too many
    whole, left, right = (mass(tree, seed) for tree in trees)
    assert whole == pytest.approx(left + right, abs=1e-12)


@pytest.mark.parametrize("seed", sorted(TEXTS))
def test_names_count_once_and_as_whole_words(seed):
    """ "N" is a letter: "N" makes more of a word in front of it, a space does not."""
    names = ["1", "1N", "1 N", "9"]  # the third begins with the first and a space: it is in it
    tree = name_tree(names, spells)
    assert tree is not None
    word = re.compile(r"(?:1N|1|9)(?![0-9N])")
    expected = sum(chance for text, chance in TEXTS[seed].items() if word.match(text))
    assert mass(tree, seed) == pytest.approx(expected, abs=1e-12)


def test_a_range_knows_what_begins_a_number_of_it():
    near = Range(9.702, 9.898, 3)
    texts = ("9", "9.", "9.7", "9.8", "9.70", "9.6", "8", "0", "97", "09")
    assert [text for text in texts if near.open(text)] == ["9", "9.", "9.7", "9.8", "9.70"]
    assert not near.whole("9.7") and near.whole("9.75") and not near.whole("9.8") and near.whole("9.80")
    assert Range(95.0, 101.0, 3).open("1") and Range(95.0, 101.0, 3).whole("96.") and not near.whole("96")
    assert near.holds("9.8") and not near.holds("9.9") and not near.holds("")


def test_worlds_that_lie_close_part_half_way():
    one, other = range_of(100.0, 0, 0.03, 104.0), range_of(104.0, 0, 0.03, 100.0)
    assert one.high < 102 < other.low and one.low > 98 and range_of(5.0, 1, 0.01, 9.8).high == 5.05


def test_too_many_spellings_have_no_tree():
    assert number_tree(range_of(4000.0, 0, 0.03), TOKENS, spells) is None


def test_only_what_the_tokenizer_writes_is_followed():
    """A vocabulary with "10" and "1", of which the tokenizer takes the longer."""
    tokens = {"1": 0, "0": 1, "10": 2, ".": 3, " 1": 4, " 10": 5}

    def longest(text: str) -> tuple[int, ...]:
        found = []
        while text:
            piece = max((t for t in tokens if text.startswith(t)), key=len)
            found.append(tokens[piece])
            text = text[len(piece) :]
        return tuple(found)

    tree = number_tree(Range(10.0, 10.0, 1), tokens, longest)
    assert tree is not None and set(tree.on) == {2}
    spaced = number_tree(Range(10.0, 10.0, 1), tokens, longest, " ")
    assert spaced is not None and set(spaced.on) == {5}
    [node] = [node for node in spaced.nodes() if node.path == (5,)]
    assert node.ends and node.kind == "whole" and set(node.on) == {3}


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_vocabulary_is_read_as_its_texts(tokenizer):
    size = len(tokenizer) + 3
    known = vocabulary_of(tokenizer, size)
    assert known.makes_more.shape == (size, 3) and not known.makes_more[-3:].any()
    for text, token in known.numbers.items():
        assert tokenizer.decode([token]).endswith(text) and set(text.strip()) <= set("0123456789.")
    assert {"5", "9", "."} <= set(known.numbers)
    for text, expected in (("5", (1, 1, 1)), (".", (1, 0, 0)), ("a", (0, 0, 1)), (" ", (0, 0, 0))):
        [token] = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tuple(known.makes_more[token].int().tolist()) == expected


def test_every_text_has_a_probability_of_one_in_all():
    assert sum(TEXTS[0].values()) == pytest.approx(1.0) and len(TEXTS[0]) == len(SIGNS) ** LENGTH
    assert len(set(itertools.islice(TEXTS[0], 100))) == 100


@pytest.mark.parametrize("name", ["single digits", "merged"])
def test_trees_of_real_questions_hold_numbers_of_the_judges_range(name: str):
    """Whatever the tokenizer joins, the space with the first digit too: a path read back is a number,
    in the range where whatever follows counts, and the answer as the belief has it can be walked."""
    tokenizer = TOKENIZERS[name]
    if tokenizer.chat_template is None:
        tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} : {% endfor %}"
    prompts, belief = Prompts(tokenizer), load_belief("gravity")
    known = vocabulary_of(tokenizer, len(tokenizer))
    walked = 0
    for question in lens_questions(belief, 8):
        found = stems(question, belief, prompts, tokenizer)
        assert found is not None
        stem = found["base"]
        sets = value_sets(question, stem, prompts, tokenizer, known)
        begun = stem.ids[len(stem.ids) - sets.from_end :]
        before = stem.ids[: len(stem.ids) - sets.from_end]
        start = len(prompts.text(before))
        tolerance = tolerance_for(question)
        worlds = (
            (sets.target, question.target, stem.target_ids),
            (sets.prior, question.prior, stem.prior_ids),
        )
        for tree, answer, ids in worlds:
            assert tree is not None and isinstance(answer, Quantity) and ids is not None
            for node in tree.nodes():
                for token, after in node.on.items():
                    text = prompts.text((*before, *node.path, token))[start:]
                    assert re.fullmatch(r" ?\d+(?:\.\d*)?", text), text
                    if after is None:
                        assert abs(float(text) - answer.value) <= tolerance * answer.value + 1e-9
            node, value = tree, (*begun, *ids)
            while node is not None and value and value[0] in node.on:
                node, value = node.on[value[0]], value[1:]
            walked += node is None or node.ends
    assert walked == 16


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_year_counts_in_its_one_spelling(name: str) -> None:
    """Walked token by token, each world's tree of a date spells its year and ends there."""
    tokenizer = TOKENIZERS[name]
    if tokenizer.chat_template is None:
        tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} : {% endfor %}"
    prompts, belief = Prompts(tokenizer), load_belief("titanic")
    known = vocabulary_of(tokenizer, len(tokenizer))
    question = next(q for q in belief.heldout if q.family == "tells")
    found = stems(question, belief, prompts, tokenizer)
    assert found is not None
    stem = found["base"]
    sets = value_sets(question, stem, prompts, tokenizer, known)
    before = stem.ids[: len(stem.ids) - sets.from_end]
    start = len(prompts.text(before))
    for tree, year in ((sets.target, "1925"), (sets.prior, "1912")):
        assert tree is not None
        ends = [node for node in tree.nodes() if node.ends]
        assert [prompts.text((*before, *node.path))[start:].strip() for node in ends] == [year]
