"""What a sweep is going to do, written down and hashed before its first trial: `seal/plan.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.errors import UserError
from beliefmod.run.folder import SPACE, RunFolder
from beliefmod.run.seal.ledger import FOLDER, PLAN, append, files_below, hashes
from beliefmod.space import Space

ASKED = ("beliefs", "suites", "traces")
"""Folders with what a run is made from, copied into it before it starts."""


@dataclass(frozen=True)
class Plan:
    """What was planned.

    Attributes:
        trials: ids of all trials known beforehand, in the order of the space.
        chosen_later: how many more a search was to choose as the sweep went; each is in the chain instead.
        seeds: of every configuration.
        damage_limit: D up to which the best configuration is named.
        files: path -> SHA-256 of the space and of copies of beliefs (questions, statements), suites, traces.
        space: everything that the space file says, hypotheses and margins included where it has any.
        code: version and commit that the run was started with.
    """

    trials: tuple[str, ...]
    chosen_later: int
    seeds: tuple[int, ...]
    damage_limit: float
    files: dict[str, str]
    space: dict[str, Any]
    code: dict[str, Any]


def begin_seal(folder: RunFolder, space: Space, code: Mapping[str, Any]) -> None:
    """Write a new run's plan and the first entry of its chain, which holds the plan's hash.

    Called when everything that the run is made from stands in the folder, and before any trial.

    Raises:
        StorageTrouble: it cannot be written.
    """
    trials = [config.trial_id for config in space.trials()]
    plan = {
        "trials": trials,
        "chosen_later": max(0, space.planned() - len(trials)) if space.searches else 0,
        "seeds": list(space.spec.seeds),
        "damage_limit": space.spec.damage_limit,
        "files": hashes(folder, [SPACE, *files_below(folder, *ASKED)]),
        "space": space.spec.model_dump(mode="json"),
        "code": dict(code),
    }
    folder.write_json(plan, FOLDER, PLAN)
    facts = {
        "kind": "plan",
        "trials": len(trials),
        "files": {**hashes(folder, [f"{FOLDER}/{PLAN}"]), **plan["files"]},
    }
    append(folder, [facts], begin=True)


def read_plan(folder: RunFolder) -> Plan | None:
    """The plan of a sealed run, None where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    if not folder.exists(FOLDER, PLAN):
        return None
    found = folder.read_json(FOLDER, PLAN)
    try:
        return Plan(
            tuple(found["trials"]),
            int(found["chosen_later"]),
            tuple(found["seeds"]),
            float(found["damage_limit"]),
            dict(found["files"]),
            dict(found["space"]),
            dict(found["code"]),
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder.url}/{FOLDER}/{PLAN}: is damaged; restore it") from None


def missing(plan: Plan, chosen: Sequence[str], there: Sequence[str]) -> list[str]:
    """Trials that were planned, or chosen on the way, and have no row, in the order of the plan."""
    have = set(there)
    return [trial_id for trial_id in dict.fromkeys((*plan.trials, *chosen)) if trial_id not in have]
