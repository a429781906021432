"""What a search has chosen so far, in the run folder: a study is built from our files again, not from Tune's.

A suggestion is written before its trials start. So trials that an interruption caught under way are gone on
with, failed ones are tried again, and none is chosen twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from beliefmod.config import TrialConfig
from beliefmod.run.by_hand import added_trials
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import seal_files
from beliefmod.run.seal.sealed_state import SUGGESTION
from beliefmod.space import Space

FOLDER, COMPLETE = "search", "complete"


@dataclass(frozen=True)
class Suggestion:
    """One configuration of one belief, on every seed.

    Attributes:
        params: the point as the study knows it, dotted setting -> parameter.
        trials: its trials, one per seed.
    """

    belief: str
    params: dict[str, Any]
    trials: tuple[TrialConfig, ...]


def write_suggestion(folder: RunFolder, number: int, suggestion: Suggestion) -> None:
    """Write a suggestion down, and seal it; `number` counts those of the run from 0.

    Raises:
        OSError: the folder cannot be written.
    """
    content = {
        "belief": suggestion.belief,
        "params": suggestion.params,
        "trials": [config.model_dump(mode="json") for config in suggestion.trials],
    }
    path = f"{FOLDER}/{number:06d}.json"
    folder.write_json(content, path)
    seal_files(folder, SUGGESTION, [path], trials=[config.trial_id for config in suggestion.trials])


def read_suggestions(folder: RunFolder) -> list[Suggestion]:
    """Every suggestion, in the order they were made. One that cannot be read counts as never made."""
    found = []
    for path in _files(folder):
        try:
            content = json.loads(folder.fs.cat_file(path))
            trials = tuple(TrialConfig.model_validate(config) for config in content["trials"])
            found.append(Suggestion(content["belief"], dict(content["params"]), trials))
        except (ValueError, KeyError, TypeError, ValidationError):
            continue
    return found


def next_number(folder: RunFolder) -> int:
    """The first number that no suggestion has, readable or not."""
    names = [path.rpartition("/")[2] for path in _files(folder)]
    return max((int(name.removesuffix(".json")) for name in names), default=-1) + 1


def write_complete(folder: RunFolder) -> None:
    """Note that the search has made its last suggestion: a small space may hold fewer than were wanted."""
    if not folder.exists(FOLDER, COMPLETE):
        folder.write_bytes(b"", FOLDER, COMPLETE)


def unchosen(space: Space, folder: RunFolder) -> int:
    """How many trials a search has yet to choose."""
    if not space.searches or folder.exists(FOLDER, COMPLETE):
        return 0
    return max(0, space.planned() - len(_not_by_hand(space, folder)))


def known_trials(space: Space, folder: RunFolder) -> list[TrialConfig]:
    """Every trial of a run that is known by now, each once: the space's, then what a search has chosen, then
    what was added by hand."""
    return [*_not_by_hand(space, folder), *added_trials(folder)]


def _not_by_hand(space: Space, folder: RunFolder) -> list[TrialConfig]:
    if not space.searches:
        return space.trials()
    chosen = (config for suggestion in read_suggestions(folder) for config in suggestion.trials)
    return list({config.trial_id: config for config in (*space.trials(), *chosen)}.values())


def _files(folder: RunFolder) -> list[str]:
    return sorted(str(path) for path in folder.fs.glob(folder.path(FOLDER, "*.json")))
