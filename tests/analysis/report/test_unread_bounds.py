"""What the report says of answers that were not understood: how many, and what they leave open."""

from __future__ import annotations

from analysis.report.blocks import Paragraph
from analysis.report.sections.tiers import not_understood


def row(adoption: float, unread: float | None) -> dict[str, float | int | None]:
    upper = None if unread is None else adoption + unread
    return {"adoption": adoption, "adoption_n": 50, "stance_unread": unread, "adoption_upper": upper}


def said(rows: dict[str, dict]) -> list[str]:
    return [block.text for block in not_understood(rows) if isinstance(block, Paragraph)]


def test_the_arm_with_most_unread_answers_is_named_with_its_bounds():
    (text,) = said({"Base": row(0.0, 0.02), "LoRA": row(0.4, 0.1), "Control": row(0.1, 0.0)})
    assert text == (
        "Not understood were at most 10 % of an arm's answers (LoRA); its adoption lies between 40 %, if "
        "none of them is the target's, and 50 %, if all are."
    )


def test_nothing_unread_is_said_and_an_older_run_says_nothing():
    assert said({"Base": row(0.0, 0.0)}) == ["Every answer of these arms was understood."]
    assert said({"Base": row(0.0, None)}) == []
