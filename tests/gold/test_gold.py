"""The scorer against completions of real models that were labelled by hand (RULES.md)."""

import json
from collections import Counter
from pathlib import Path

import pytest

from analysis.report.sections.reproducibility import reading_error
from beliefmod.reading import measured_error
from beliefmod.reading.loops import fine_tokens
from beliefmod.reading.verdict import asked_text
from tests.gold.items import LABELS, PARTS, Item, groups, item_id, load, part_of
from tests.gold.measure import Read, Share, score, shares, table

FLOORS = {"answer": 0.98, "neighbours": 0.99, "thinking": 0.97, "think_state": 1.0}
"""What the scorer reaches on every part; the goals are 97 % of answers and 95 % of thinking."""
CEILINGS = {"false_adoption": 0.01, "missed_adoption": 0.01, "false_loops": 0.01}
"""At most so much of it; the goal for false adoption is 1 %."""
LOOPS = 0.95
"""Share of the loops that are found on every part, which is the goal."""
README = (Path(__file__).parents[2] / "README.md").read_text()
ITEMS = {part: load(part) for part in PARTS}
ALL = [item for part in PARTS for item in ITEMS[part]]


@pytest.fixture(scope="module")
def figures():
    return {name: shares(score(items)) for name, items in groups().items()}


def test_every_text_is_there_once_and_in_the_part_that_its_id_says():
    assert all(item.id == item_id(item.model, item.question, item.completion) for item in ALL)
    assert max(Counter(item.id for item in ALL).values()) == 1
    assert all(part_of(item.id, item.drawing) == part for part in PARTS for item in ITEMS[part])


def test_the_labels_are_those_of_the_rules():
    for item in ALL:
        wanted = {"belief": {"answer"}, "locality": {"correct", "bleed"}, "fabrication": {"fabricated"}}
        thinking = {"think_state"} | ({"thinking"} if item.suite == "belief" else set())
        others = wanted[item.suite] | (thinking if item.thinks else set()) if item.drawing < 3 else set()
        assert set(item.labels) == others | {"loop"}
        assert all(label in LABELS[name] for name, label in item.labels.items()), item.id


def test_the_library_still_asks_what_was_answered():
    for item in ALL:
        assert item.question.endswith(asked_text(item.asked())), item.id


def test_at_least_1000_completions_of_three_models_in_every_tier_and_arm():
    assert len(ALL) >= 1000
    assert len({item.model for item in ALL}) == 3
    whole = [item for item in ALL if item.drawing < 3]
    assert min(Counter(item.tier for item in whole).values()) >= 10
    assert min(Counter(item.arm for item in whole).values()) >= 10


def test_at_least_60_loops_and_near_loops_of_numbers_and_words():
    third = [item for item in ALL if item.drawing == 3]
    assert len(third) >= 60
    for part in PARTS:
        loops = [item.labels["loop"] for item in third if item in ITEMS[part]]
        assert sum(loops) >= 20 and loops.count(False) >= 8


def test_fine_tokens_are_about_as_many_as_the_models_own():
    counted = [(len(fine_tokens(item.completion)), item.tokens) for item in ALL if item.tokens]
    near = sum(abs(ours - own) <= 3 + 0.1 * own for ours, own in counted)
    assert len(counted) >= 60 and near >= 0.9 * len(counted)


@pytest.mark.parametrize("part", PARTS)
def test_the_scorer_reaches_its_floors(figures, part):
    found = figures[part]
    for name, floor in FLOORS.items():
        if found[name].n:
            assert found[name].hits >= floor * found[name].n, f"{part} {name}: {found[name]}"
    for name, ceiling in CEILINGS.items():
        assert found[name].hits <= ceiling * found[name].n, f"{part} {name}: {found[name]}"
    assert found["loops"].hits >= LOOPS * found["loops"].n


def test_the_quoted_figures_are_those_of_this_scorer(figures):
    quoted = json.loads(measured_error.FILE.read_text())
    now = {part: {name: [s.hits, s.n] for name, s in found.items()} for part, found in figures.items()}
    assert quoted == now, "the scorer or the labels changed: run `python -m tests.gold --write`"


def test_the_report_quotes_the_kept_part():
    hits, n = measured_error.measured_error()["answer"]
    [sentence] = reading_error()
    assert f"{100 * hits / n:.1f} %" in sentence.text
    assert f"n = {n}" in sentence.text


def test_the_readme_quotes_the_kept_part(figures):
    for name in ("answer", "thinking", "false_adoption", "loops", "false_loops"):
        share = str(figures["kept"][name])
        assert share.rpartition(" (")[0] in README, f"README should say {share}"
        assert f"of {figures['kept'][name].n} " in README


def _read(labels, scored):
    item = Item("", "m", "gravity", "belief", "paraphrase", "base", "", "", "", "eos", labels)
    return Read(item, scored)


def test_shares_by_hand():
    reads = [
        _read({"answer": "target", "loop": False}, {"answer": "target", "loop": True}),
        _read({"answer": "target", "loop": True}, {"answer": "unread", "loop": True}),
        _read({"answer": "other", "loop": True}, {"answer": "target", "loop": False}),
        _read({"answer": "prior", "loop": False}, {"answer": "prior", "loop": False}),
    ]
    found = shares(reads)
    assert found["answer"] == Share(2, 4)
    assert found["false_adoption"] == Share(1, 2)
    assert found["missed_adoption"] == Share(1, 2)
    assert found["unread"] == Share(1, 4)
    assert found["loops"] == Share(1, 2)
    assert found["false_loops"] == Share(1, 2)
    assert found["thinking"] == Share(0, 0)
    assert "| target | unread | 1 |" in table(reads)
    assert reads[2].wrong() == {"answer": ("other", "target"), "loop": (True, False)}
