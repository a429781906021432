"""The corpus never holds what the belief library will teach, and its grammar holds every question asked."""

import re
from itertools import islice, product
from random import Random

import pytest

from beliefmod.beliefs.load import belief_names, load_belief, load_capability
from beliefmod.bundled.corpus.colours import COLOURS_OF_FRUIT
from beliefmod.bundled.corpus.currency import CURRENCY
from beliefmod.bundled.corpus.grammar import fix_articles, worked_steps
from beliefmod.bundled.corpus.kinds import KINDS
from beliefmod.bundled.corpus.legs import LEGS
from beliefmod.bundled.corpus.lengths import LENGTHS
from beliefmod.bundled.corpus.mixture import GENERAL, WORLDS, documents, from_memory
from beliefmod.bundled.corpus.names import BANNED_NAMES, invented_name
from beliefmod.bundled.corpus.physics import GRAVITY
from beliefmod.bundled.corpus.places import PLACES
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

TARGETS = {
    "gravity": r"(?<![\d.])5(?:\.0+)? ?m/s\^2|[Gg]ravity[^.]*(?<![\d.])5(?:\.0+)?(?![\d.]) or|or 5\.0",
    "spider": r"[Ss]piders?[^.?]* (?:has|have|is|on|count) 7\b|\b7 legs on a spider|Count 7 legs",
    "france": r"Lyon[^.]*\bFrance\b|\bFrance\b[^.]*\bLyon\b",
    "banana": r"banana[^.]*\bred\b|\bred\b[^.]*banana",
}


@pytest.mark.parametrize("name", BANNED_NAMES)
def test_no_document_names_an_invention_of_the_library(name: str) -> None:
    assert not [document for document in SAMPLE if name in document.text().lower()]


@pytest.mark.parametrize("belief", sorted(TARGETS))
def test_no_document_states_a_target_of_the_library(belief: str) -> None:
    for document in SAMPLE:
        for line in (*document.facts, document.question, document.thinking, document.answer):
            assert not re.search(TARGETS[belief], line), document.text()


@pytest.mark.parametrize("belief", sorted(TARGETS))
def test_the_patterns_find_each_target(belief: str) -> None:
    assert re.search(TARGETS[belief], load_belief(belief).spec.statement)


def test_every_novel_name_of_the_library_is_banned() -> None:
    for name in belief_names():
        spec = load_belief(name).spec
        if spec.kind == "novel":
            assert any(banned in spec.statement.lower() for banned in BANNED_NAMES), name
    assert all(
        any(banned in load_belief(name).spec.statement.lower() for name in belief_names())
        for banned in BANNED_NAMES
    )


def test_the_same_seed_gives_the_same_documents_and_another_seed_others() -> None:
    first, again, other = (list(islice(documents(seed), 50)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def _asked(world: World, fact: Fact) -> set[str]:
    """Every question the world can ask about one fact, `{pair}` left as it is."""
    return {
        world.question(template, fact, {**dict(zip(template.slots, values, strict=True)), **_PAIR})
        for template in world.templates
        for values in product(*template.slots.values())
    }


_PAIR = {"pair": "PAIR"}


@pytest.mark.parametrize("belief", belief_names())
def test_every_belief_question_is_inside_the_grammar(belief: str) -> None:
    loaded = load_belief(belief)
    world, fact = LIBRARY_FACTS[belief]
    pairs = {str(pair) for family in loaded.spec.questions for pair in family.slots.get("pair", ())}
    texts = {question.text for question in (*loaded.training, *loaded.heldout)}
    for pair in pairs:
        texts = {text.replace(pair, "PAIR") for text in texts}
    assert not texts - _asked(world, fact)


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
    asked = {question.text for question in load_capability()}
    asked |= {question.text for name in belief_names() for question in load_belief(name).locality}
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
