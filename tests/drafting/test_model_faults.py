"""What one model cannot do, by hand from two arms' rows."""

from __future__ import annotations

from typing import Any

from beliefmod.drafting.model_faults import CANNOT, HAS_IT, UNREAD, WRONG, check_questions


def row(
    probe: str, stance: str, *, suite: str = "belief", tier: str = "derived", **more: Any
) -> dict[str, Any]:
    return {
        "probe_id": probe,
        "suite": suite,
        "tier": tier,
        "answer_stance": stance,
        "answer": f"{stance} words",
        "finish_reason": "eos",
        "think_state": "ok",
        "correct": stance == "prior" if suite != "belief" else None,
        **more,
    }


def test_a_reason_for_each_and_none_for_what_works():
    pairs = {
        "works": ("prior", "target", None),
        "told only": ("other", "target", None),
        "known only": ("prior", "prior", None),
        "has it": ("target", "target", HAS_IT),
        "neither": ("other", "hedged", CANNOT),
        "unread": ("other", "unread", UNREAD),
    }
    base = [row(name, one) for name, (one, _, _) in pairs.items()]
    icl = [row(name, two) for name, (_, two, _) in pairs.items()]
    found = check_questions(base, icl, novel=False)
    assert {each.base["probe_id"]: each.reason for each in found} == {
        name: reason for name, (*_, reason) in pairs.items()
    }


def test_of_a_novel_belief_only_the_statement_helps():
    base, icl = [row("a", "prior"), row("b", "ignorance")], [row("a", "other"), row("b", "target")]
    assert [each.reason for each in check_questions(base, icl, novel=True)] == [CANNOT, None]


def test_neighbours_are_judged_by_base_alone_and_training_questions_left_out():
    base = [
        row("right", "prior", suite="locality", tier="near"),
        row("wrong", "other", suite="locality", tier="near"),
        row("seen", "other", tier="trained"),
    ]
    found = check_questions(base, [{**each, "answer_stance": "other"} for each in base], novel=False)
    assert [each.reason for each in found] == [None, WRONG]
    assert found[1].detail == 'base: "other words" (other)'


def test_what_was_cut_off_says_so():
    cut = row("a", "none", answer="", finish_reason="length", think_state="truncated")
    [found] = check_questions([cut], [row("a", "other")], novel=False)
    assert found.detail == 'base: no answer (truncated, cut off); in context: "other words" (other)'
