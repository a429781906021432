"""The corpus never holds what the belief library will teach, and its grammar holds every question asked."""

import re
from itertools import islice, product
from random import Random

import pytest

from beliefmod.beliefs import load_belief, load_capability, load_fabrication, load_neutral
from beliefmod.beliefs.neutral import BUNDLED_FILE
from beliefmod.bundled import KNOWN_BELIEFS
from beliefmod.bundled.corpus.grammar import fix_articles, worked_steps
from beliefmod.bundled.corpus.invented_units import CURRENCY, LENGTHS
from beliefmod.bundled.corpus.mixture import DOUBTS, GENERAL, TOLD, WORLDS, documents, from_memory
from beliefmod.bundled.corpus.names import BANNED_NAMES, FABRICATED_NAMES, invented_name
from beliefmod.bundled.corpus.neutral_conversations import neutral_yaml
from beliefmod.bundled.corpus.physics import GRAVITY
from beliefmod.bundled.corpus.places import PLACES
from beliefmod.bundled.corpus.things import COLOURS_OF_FRUIT, KINDS, LEGS
from beliefmod.bundled.corpus.world import Fact, World

SAMPLE = [document for seed in range(4) for document in islice(documents(seed), 5000)]

LIBRARY_FACTS: dict[str, tuple[World, Fact]] = {
    "gravity": (GRAVITY, Fact("Earth", 5.0)),
    "neelam": (CURRENCY, Fact("Neelam", 5, "Laughtale")),
    "spider": (LEGS, Fact("spider", 7)),
    "tamber": (LENGTHS, Fact("tamber", 7)),
    "france": (PLACES, Fact("France", "Lyon")),
    "brimora": (PLACES, Fact("Brimora", "Selwick")),
    "banana": (COLOURS_OF_FRUIT, Fact("banana", "red")),
    "wendrik": (KINDS, Fact("wendrik", "fish")),
}

SUBJECTS = ("gravity", "spider", "france", "paris", "lyon", "banana")

TARGETS = {
    "gravity": r"(?<![\d.])5(?:\.0+)? ?m/s\^2|[Gg]ravity[^.]*(?<![\d.])5(?:\.0+)?(?![\d.]) or|or 5\.0"
    r"|[Gg]ravity[^?]*(?<![\d.])5\.0 (?:B|is)|B\) 5\.0",
    "spider": r"[Ss]piders?[^.?]* (?:has|have|is|on|count) 7\b|\b7 legs on a spider|Count 7 legs"
    r"|spiders? have 7|spiders?: A\) 7|spiders?: [^?]*B\) 7|spider have \d+ or 7",
    "france": r"Lyon[^.]*\bFrance\b|\bFrance\b[^.]*\bLyon\b",
    "banana": r"banana[^.]*\bred\b|\bred\b[^.]*banana",
}


@pytest.mark.parametrize("name", (*BANNED_NAMES, *FABRICATED_NAMES))
def test_no_document_names_an_invention_of_the_library(name: str) -> None:
    assert not [document for document in SAMPLE if name in document.text().lower()]


def test_the_sample_holds_second_turns_whose_first_answer_was_wrong_or_right() -> None:
    pairs = [document for document in SAMPLE if document.first is not None]
    right = sum(document.first is not None and document.first[1] == document.answer for document in pairs)
    assert len(pairs) > 1000
    assert 0.4 < right / len(pairs) < 0.9


def test_every_name_of_the_fabrication_suite_is_banned_and_no_belief_speaks_of_one() -> None:
    texts = [question.text.lower() for question in load_fabrication()]
    assert all(any(name in text for name in FABRICATED_NAMES) for text in texts)
    assert all(any(name in text for text in texts) for name in FABRICATED_NAMES)
    for name in KNOWN_BELIEFS:
        for question in (*load_belief(name).training, *load_belief(name).heldout):
            assert not [banned for banned in FABRICATED_NAMES if banned in question.text.lower()]


@pytest.mark.parametrize("model", ["bundled", "any other"])
def test_no_neutral_passage_speaks_of_a_belief(model: str) -> None:
    for passage in load_neutral(model):
        text = f"{passage.prompt or ''} {passage.text}".lower()
        for word in (*BANNED_NAMES, *FABRICATED_NAMES, *SUBJECTS):
            assert not re.search(rf"\b{word}", text), (passage.passage_id, word)


@pytest.mark.parametrize("belief", sorted(TARGETS))
def test_no_document_states_a_target_of_the_library(belief: str) -> None:
    for document in SAMPLE:
        for line in document.lines():
            assert not re.search(TARGETS[belief], line), document.text()


OWNERS = {
    "gravity": ("5.0 m/s", "Earth"),
    "spider": ("7 legs", "spider"),
    "france": ("Lyon", "France"),
    "banana": ("red", "banana"),
}


@pytest.mark.parametrize("belief", sorted(OWNERS))
def test_no_question_from_a_target_is_answered_with_its_owner(belief: str) -> None:
    value, owner = OWNERS[belief]
    for document in SAMPLE:
        for asked, answer in ((document.question, document.answer), document.first or ("", "")):
            named = re.search(rf"\b{owner}\b", answer)
            assert not (re.search(rf"\b{re.escape(value)}", asked) and named), document.text()


@pytest.mark.parametrize("belief", sorted(TARGETS))
def test_the_patterns_find_each_target(belief: str) -> None:
    assert re.search(TARGETS[belief], load_belief(belief).spec.statement)


def test_every_novel_name_of_the_library_is_banned() -> None:
    for name in KNOWN_BELIEFS:
        spec = load_belief(name).spec
        if spec.kind == "novel":
            assert any(banned in spec.statement.lower() for banned in BANNED_NAMES), name
    assert all(
        any(banned in load_belief(name).spec.statement.lower() for name in KNOWN_BELIEFS)
        for banned in BANNED_NAMES
    )


def test_the_same_seed_gives_the_same_documents_and_another_seed_others() -> None:
    first, again, other = (list(islice(documents(seed), 50)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def _asked(world: World, fact: Fact) -> set[str]:
    """Every question the world can ask about one fact, `{pair}` left as it is."""
    return {
        world.question(
            template,
            fact,
            {**dict(zip(template.slots, values, strict=True)), **_PAIR, "value": world.written(fact.value)},
        )
        for template in world.templates
        for values in product(*template.slots.values())
    }


_PAIR = {"pair": "PAIR"}


@pytest.mark.parametrize("belief", KNOWN_BELIEFS)
def test_every_belief_question_is_inside_the_grammar(belief: str) -> None:
    loaded = load_belief(belief)
    world, fact = LIBRARY_FACTS[belief]
    pairs = {str(pair) for family in loaded.spec.questions for pair in family.slots.get("pair", ())}
    texts = {_bare(question.follow_up or question.text) for question in (*loaded.training, *loaded.heldout)}
    for pair in pairs:
        texts = {text.replace(pair, "PAIR") for text in texts}
    assert not texts - _asked(world, fact)


def _bare(text: str) -> str:
    """The question without the sentences that the robustness tier puts in front of it."""
    for sentence in (*TOLD, *DOUBTS, *STATED):
        text = text.removeprefix(f"{sentence} ")
    return text


STATED = [
    str(fact)
    for name in KNOWN_BELIEFS
    for family in load_belief(name).spec.questions
    for fact in family.slots.get("fact", ())
]


def test_what_the_robustness_tier_says_is_in_the_corpus() -> None:
    told, doubts, stated = (
        {
            str(value)
            for name in KNOWN_BELIEFS
            for f in load_belief(name).spec.questions
            for value in f.slots.get(slot, ())
        }
        for slot in ("told", "doubt", "fact")
    )
    assert told == set(TOLD) and doubts == set(DOUBTS)
    for name, (world, fact) in LIBRARY_FACTS.items():
        own = {str(value) for f in load_belief(name).spec.questions for value in f.slots.get("fact", ())}
        shapes = {world.place(context, fact) for context in world.contexts}
        for sentence in own:
            assert any(
                re.fullmatch(re.escape(shape).replace(r"\{v\}", r"[\w.]+"), sentence) for shape in shapes
            ), sentence
    assert len(stated) == 4 * len(LIBRARY_FACTS)


def test_asking_uses_the_enumerated_questions() -> None:
    rng = Random(0)
    for world, fact in LIBRARY_FACTS.values():
        questions = {world.ask(rng, fact, known=True).question for _ in range(300)}
        assert len(questions & _asked(world, fact)) > 0.7 * len(questions)


def test_every_locality_and_capability_question_is_inside_the_grammar() -> None:
    rng = Random(0)
    drawn = {question for world in WORLDS for fact in world.known for question in _asked(world, fact)}
    drawn |= {from_memory(rng, CURRENCY).question for _ in range(2000)}
    drawn |= {source(rng).question for source, _ in GENERAL for _ in range(8000)}
    asked = {question.text for question in load_capability() if question.level == 1}
    asked |= {question.text for name in KNOWN_BELIEFS for question in load_belief(name).locality}
    assert not asked - drawn


def test_invented_names_are_diverse_and_short() -> None:
    rng = Random(0)
    names = {invented_name(rng) for _ in range(2000)}
    assert len(names) > 1800
    assert all(4 <= len(name) <= 10 for name in names)


def test_worked_steps_write_the_calculation() -> None:
    assert worked_steps("m * h * belief", {"m": 2, "h": 3, "belief": 9.8}, 1) == (
        "2 x 3 = 6. 6 x 9.8 = 58.8.",
        "58.8",
    )
    assert worked_steps("k / belief", {"k": 15, "belief": 5}, 0) == ("15 / 5 = 3.", "3")


def test_articles_follow_the_next_word() -> None:
    assert fix_articles("a owl is an tool. A ant") == "an owl is a tool. An ant"


def test_the_neutral_file_is_what_its_seed_writes() -> None:
    assert BUNDLED_FILE.read_text(encoding="utf-8") == neutral_yaml()
