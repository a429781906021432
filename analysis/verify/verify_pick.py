"""The pick of capability questions once more, from what base answered before the first trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from analysis.verify.verify_trials import Verification
from beliefmod.beliefs import Question
from beliefmod.probing.capability import ask_and_pick
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import SUITES, capability_suite, pick_file, picks, read_pick
from beliefmod.space.chat_format import ThinkingKind

CHECKED = ("status", "questions", "right", "suite", "families")


def verify_picks(
    folder: RunFolder, opened_by: Callable[[str | None], ThinkingKind], done: Verification
) -> None:
    """Read base's kept answers again, level by level, and note where the pick that follows is another.

    Args:
        opened_by: who opens the model's thinking, by the switches of the chat template that trials have.
    """
    for template in picks(folder):
        if (stored := read_pick(folder, template)) is not None:
            _verify_pick(folder, f"{SUITES}/{pick_file(template)}", stored, opened_by(template), done)


def _verify_pick(
    folder: RunFolder, place: str, stored: dict[str, Any], opened_by: ThinkingKind, done: Verification
) -> None:
    kept = {answer["probe_id"]: answer for answer in stored["answers"]}

    def complete(questions: Sequence[Question], first: int) -> list[dict[str, Any]]:
        return [kept[question.probe_id] for question in questions]

    try:
        again = ask_and_pick(capability_suite(folder), complete, opened_by)
    except KeyError as missing:
        done.mismatches.append(f"{place}: base's answer to {missing.args[0]} is not there")
        return
    if len(again["answers"]) != len(stored["answers"]):
        done.mismatches.append(
            f"{place}: holds {len(stored['answers'])} answers of base; {len(again['answers'])} suffice"
        )
    for one in again["answers"]:
        done.numbers += 1
        was = kept[one["probe_id"]]["correct"]
        if was != one["correct"]:
            done.mismatches.append(
                f"{place}, {one['probe_id']}: correct: stored {was}, recomputed {one['correct']}"
            )
    for name in CHECKED:
        done.numbers += 1
        if stored.get(name) != again[name]:
            done.mismatches.append(f"{place}: {name} is not what base's answers give")
