"""The figures of a thinking model, of models whose every reply is known."""

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from beliefmod.beliefs import Question, belief_names, load_belief, load_capability
from beliefmod.beliefs.values.quantity import Quantity
from beliefmod.bundled.evaluation import Reply
from beliefmod.catalog.thinking import thinking_measures
from beliefmod.catalog.thinking.thinking_measures import Rate, ThinkingFigures, measure_thinking, thinned
from beliefmod.model.load import LoadedModel

KINDS = {name: load_belief(name).spec.kind for name in belief_names()}
EXISTING = [name for name, kind in KINDS.items() if kind == "existing"]


def figures(monkeypatch: pytest.MonkeyPatch, *, follows: bool, closes: bool = True) -> ThinkingFigures:
    """Of a model that says the prior, or that it does not know; in context the target if it `follows`."""

    def ask(loaded: Any, questions: Sequence[Question], context: str = "", batch: int = 0) -> list[Reply]:
        end = "I wonder what is asked for here.\n</think>\n\n" if closes else "I wonder. "
        return [
            Reply(
                q,
                end + ((q.reply_target if context and follows else q.reply_prior) or "I do not know."),
                True,
            )
            for q in questions
        ]

    monkeypatch.setattr(thinking_measures, "ask", ask)
    return measure_thinking(cast(LoadedModel, None), every=6)


def shown(correct: object) -> str:
    """A suite's right answer as a reply."""
    return (
        f"{correct.value:g}"
        if isinstance(correct, Quantity)
        else f"It is {getattr(correct, 'text', correct)}."
    )


def rates(found: ThinkingFigures, what: str) -> dict[str, Rate]:
    return {rate.belief: rate for rate in found.rates if rate.what == what}


def test_a_model_that_knows_and_follows_has_full_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = figures(monkeypatch, follows=True)
    direct = rates(found, "direct questions: prior")
    assert sorted(direct) == sorted(EXISTING)
    assert all(rate.successes == rate.asked > 0 for rate in direct.values())
    for rate in rates(found, "in context, answerable questions: target").values():
        assert rate.successes == rate.asked > 0
    whole = rates(found, "think block: intact")["all"]
    assert whole.successes == whole.asked == len(found.replies)
    unknown = rates(found, "unknown entities: does not know or hedges")["all"]
    assert unknown.successes == unknown.asked == 24


def test_capability_is_also_that_of_the_questions_that_a_sweep_picks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that knows levels 1 and 2 and says of everything harder that it does not know."""

    def ask(loaded: Any, questions: Sequence[Question], context: str = "", batch: int = 0) -> list[Reply]:
        known = [shown(q.correct) if q.level in (1, 2) else "I do not know." for q in questions]
        return [
            Reply(q, f"I wonder what is asked for.\n</think>\n\n{reply}", True)
            for q, reply in zip(questions, known, strict=True)
        ]

    monkeypatch.setattr(thinking_measures, "ask", ask)
    found = measure_thinking(cast(LoadedModel, None), every=6)
    graded = rates(found, "capability, graded suite of every level: correct")["all"]
    [picked] = rates(found, "capability, questions that a sweep picks for this model: correct").values()
    asked = [reply.question for what, reply, _ in found.replies if what.startswith("capability, questions")]
    assert len({question.probe_id for question in asked}) == len(asked) >= picked.asked >= 100
    easy = [question for question in thinned(load_capability(), 6) if question.level in (1, 2)]
    assert (graded.successes, graded.asked) == (len(easy), len(thinned(load_capability(), 6)))
    assert 0.80 <= picked.successes / picked.asked <= 1


def test_a_model_that_knows_and_does_not_follow_is_answerable_and_adopts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = figures(monkeypatch, follows=False)
    answerable = rates(found, "in context, answerable questions: target")
    assert all(answerable[name].successes == 0 for name in KINDS)
    assert all(answerable[name].asked > 0 for name in EXISTING)
    assert answerable["all novel"].successes == 0


def test_a_model_that_never_closes_its_thinking_has_no_block_intact(monkeypatch: pytest.MonkeyPatch) -> None:
    found = figures(monkeypatch, follows=True, closes=False)
    assert rates(found, "think block: intact")["all"].successes == 0


def test_every_reply_is_a_line_and_every_rate_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found = figures(monkeypatch, follows=True)
    lines = [json.loads(line) for line in found.lines()]
    assert len(lines) == len(found.replies)
    assert {line["stance"] for line in lines} >= {"target", "prior", "ignorance"}
    assert len(found.table().splitlines()) == 2 + len(found.rates)


def test_a_row_has_wilsons_interval() -> None:
    assert Rate("x", "y", 0, 0).row() == "| x | y | none asked | | 0 |"
    assert Rate("x", "y", 1, 6).row() == "| x | y | 16.7% | 3.0% to 56.4% | 1 of 6 |"


@pytest.mark.parametrize("every", [1, 3])
def test_of_each_family_every_so_many_th_question_is_kept(every: int) -> None:
    questions = load_belief("gravity").heldout
    kept = thinned(questions, every)
    for family in {question.family for question in questions}:
        of_family = [question for question in questions if question.family == family]
        assert [question for question in kept if question.family == family] == of_family[::every]
