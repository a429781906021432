"""The questions of a run, kept with it: copies of its belief and suite files, as they were when it started.

With them every verdict of the run can be read again from the raw completions, on any machine and after the
library has changed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beliefmod.beliefs import Belief, Question, load_belief, load_capability, load_fabrication
from beliefmod.beliefs.load import CAPABILITY, FABRICATION, belief_path, check_belief
from beliefmod.beliefs.neutral import BUNDLED_FILE, neutral_path
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.space import Space
from beliefmod.user_files.yaml_file import YamlFile, parse_yaml

BELIEFS, SUITES = "beliefs", "suites"
PICK = "capability-pick.json"
"""In `suites`: which questions of the graded capability suite every arm is asked, and what base answered."""


@dataclass(frozen=True)
class Sources:
    """What a run was asked: its beliefs by name, and the shared suites."""

    beliefs: dict[str, Belief]
    capability: tuple[Question, ...]  # those that were picked for this model
    fabrication: tuple[Question, ...]

    def question(self, belief: str, suite: str, probe_id: str) -> Question:
        """The question behind a probe row.

        Raises:
            KeyError: the run's files hold no such question.
        """
        known = self.beliefs[belief]
        pools = {
            "belief": (*known.heldout, *known.training),
            "locality": known.locality,
            "capability": self.capability,
            "fabrication": self.fabrication,
        }
        for question in pools[suite]:
            if question.probe_id == probe_id:
                return question
        raise KeyError(probe_id)


def store_sources(folder: RunFolder, space: Space) -> None:
    """Copy every belief and suite file that the space uses into the run folder, byte for byte.

    Raises:
        UserError: a belief file is gone or wrong.
    """
    for name in space.spec.beliefs:
        content = belief_path(name).read_bytes()
        folder.write_bytes(content, BELIEFS, f"{load_belief(name).spec.name}.yaml")
    neutral = neutral_path(space.spec.model)
    kind = "bundled" if neutral == BUNDLED_FILE else "prose"
    for path, name in (
        (CAPABILITY, "capability"),
        (FABRICATION, "fabrication"),
        (neutral, f"neutral-{kind}"),
    ):
        folder.write_bytes(path.read_bytes(), SUITES, f"{name}.yaml")


def read_sources(folder: RunFolder) -> Sources:
    """The questions that a run's trials were asked.

    Raises:
        UserError: the folder has no such files (a run of an older version), or they are damaged.
    """
    paths = sorted(folder.fs.glob(folder.path(BELIEFS, "*.yaml"))) if folder.exists(BELIEFS) else []
    if not paths:
        raise UserError(
            f"{folder.url}: has no copies of its belief files under {BELIEFS}/, so its verdicts cannot "
            "be read again; run the sweep again with this version"
        )
    beliefs = [
        check_belief(_read(folder, BELIEFS, name), name)
        for name in (posixpath.basename(str(path)) for path in paths)
    ]
    return Sources(
        {belief.spec.name: belief for belief in beliefs},
        picked(capability_suite(folder), read_pick(folder)),
        load_fabrication(_read(folder, SUITES, "fabrication.yaml")),
    )


def capability_suite(folder: RunFolder | None) -> tuple[Question, ...]:
    """The whole capability suite: the run's own copy, or without one the library's."""
    kept = folder is not None and folder.exists(SUITES, "capability.yaml")
    return load_capability(_read(folder, SUITES, "capability.yaml") if folder and kept else None)


def read_pick(folder: RunFolder) -> dict[str, Any] | None:
    """What `suites/capability-pick.json` holds; None in a run that asks its whole suite, as older ones do.

    Raises:
        UserError: the file is damaged.
    """
    return folder.read_json(SUITES, PICK) if folder.exists(SUITES, PICK) else None


def keep_questions(parent: RunFolder, folder: RunFolder) -> None:
    """Have a run that goes on from another ask the general questions that the other one asked."""
    for name in ("capability.yaml", PICK):
        if parent.exists(SUITES, name):
            folder.write_bytes(parent.read_bytes(SUITES, name), SUITES, name)


def picked(suite: tuple[Question, ...], pick: Mapping[str, Any] | None) -> tuple[Question, ...]:
    """The questions of the picked families; all without a pick."""
    if pick is None:
        return suite
    families = {one["family"] for one in pick["families"] if one["picked"]}
    return tuple(question for question in suite if question.family in families)


def _read(folder: RunFolder, *parts: str) -> YamlFile:
    name = posixpath.join(folder.url, *parts)
    try:
        return parse_yaml(folder.read_bytes(*parts).decode(), name)
    except FileNotFoundError:
        raise UserError(f"{name}: no such file; restore it from where the run was copied") from None
    except UnicodeDecodeError:
        raise UserError(f"{name}: is damaged; restore it from where the run was copied") from None
