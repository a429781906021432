"""The pick of capability questions once more, from what base answered before the first trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.verify.verify_trials import Verification
from beliefmod.beliefs import Question
from beliefmod.probing.capability import ask_and_pick
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import PICK, SUITES, capability_suite, read_pick
from beliefmod.space.chat_format import ThinkingKind

PLACE = f"{SUITES}/{PICK}"
CHECKED = ("status", "questions", "right", "suite", "families")


def verify_pick(folder: RunFolder, opened_by: ThinkingKind, done: Verification) -> None:
    """Read base's kept answers again, level by level, and note where the pick that follows is another.

    Args:
        opened_by: who opens the model's thinking.
    """
    if (stored := read_pick(folder)) is None:
        return
    kept = {answer["probe_id"]: answer for answer in stored["answers"]}

    def complete(questions: Sequence[Question], first: int) -> list[dict[str, Any]]:
        return [kept[question.probe_id] for question in questions]

    try:
        again = ask_and_pick(capability_suite(folder), complete, opened_by)
    except KeyError as missing:
        done.mismatches.append(f"{PLACE}: base's answer to {missing.args[0]} is not there")
        return
    if len(again["answers"]) != len(stored["answers"]):
        done.mismatches.append(
            f"{PLACE}: holds {len(stored['answers'])} answers of base; {len(again['answers'])} suffice"
        )
    for one in again["answers"]:
        done.numbers += 1
        was = kept[one["probe_id"]]["correct"]
        if was != one["correct"]:
            done.mismatches.append(
                f"{PLACE}, {one['probe_id']}: correct: stored {was}, recomputed {one['correct']}"
            )
    for name in CHECKED:
        done.numbers += 1
        if stored.get(name) != again[name]:
            done.mismatches.append(f"{PLACE}: {name} is not what base's answers give")
