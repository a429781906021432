"""The questions of a run, kept with it: copies of its belief and suite files, as they were when it started.

With them every verdict of the run can be read again from the raw completions, on any machine and after the
library has changed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from beliefmod.beliefs import (
    Belief,
    Question,
    load_belief,
    load_capability,
    load_confession,
    load_fabrication,
)
from beliefmod.beliefs.load import CAPABILITY, CONFESSION, FABRICATION, belief_path, check_belief
from beliefmod.beliefs.neutral import BUNDLED_FILE, neutral_path
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.source_adapters import keep_adapters
from beliefmod.run.trace_files import keep_traces
from beliefmod.space import Space
from beliefmod.space.space import SAVED_ADAPTERS
from beliefmod.user_files.yaml_file import YamlFile, parse_yaml

BELIEFS, SUITES = "beliefs", "suites"
PICK = "capability-pick.json"
"""In `suites`: which questions of the graded capability suite every arm is asked, and what base answered; for
trials with switches of the chat template a file of their own beside it (`pick_file`)."""


@dataclass(frozen=True)
class Sources:
    """What a run was asked: its beliefs by name, and the shared suites.

    Attributes:
        suite: the whole capability suite.
        confession: the questions for a confession; none in a run that did not ask them.
        picks: those of it that were picked for this model, by the switches of the chat template in which
            trials differ (`TrialConfig.template`); empty in a run that asks its whole suite.
    """

    beliefs: dict[str, Belief]
    suite: tuple[Question, ...]
    picks: dict[str | None, tuple[Question, ...]]
    fabrication: tuple[Question, ...]
    confession: tuple[Question, ...] = ()

    def capability(self, template: str | None) -> tuple[Question, ...]:
        """The general questions that trials with these switches of the chat template were asked."""
        return self.picks.get(template, self.suite)

    def question(self, belief: str, suite: str, probe_id: str) -> Question:
        """The question behind a probe row.

        Raises:
            KeyError: the run's files hold no such question.
        """
        known = self.beliefs[belief]
        pools = {
            "belief": (*known.heldout, *known.training),
            "locality": known.locality,
            "capability": self.suite,
            "fabrication": self.fabrication,
            "confession": self.confession,
        }
        for question in pools[suite]:
            if question.probe_id == probe_id:
                return question
        raise KeyError(probe_id)


def store_sources(folder: RunFolder, space: Space) -> None:
    """Copy every file of beliefs, suites, traces and saved adapters that the space uses into the run folder,
    byte for byte.

    Raises:
        UserError: a file is gone or wrong.
    """
    for name in space.spec.beliefs:
        content = belief_path(name).read_bytes()
        folder.write_bytes(content, BELIEFS, f"{load_belief(name).spec.name}.yaml")
    keep_traces(space.possible("data.traces"), folder)
    keep_adapters((given for name in SAVED_ADAPTERS for given in space.possible(name)), folder)
    neutral = neutral_path(space.spec.model)
    kind = "bundled" if neutral == BUNDLED_FILE else "prose"
    suites = [(CAPABILITY, "capability"), (FABRICATION, "fabrication"), (neutral, f"neutral-{kind}")]
    if space.spec.evaluation.confession:
        suites.append((CONFESSION, "confession"))
    for path, name in suites:
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
        suite := capability_suite(folder),
        {template: picked(suite, read_pick(folder, template)) for template in picks(folder)},
        load_fabrication(_read(folder, SUITES, "fabrication.yaml")),
        load_confession(_read(folder, SUITES, "confession.yaml"))
        if folder.exists(SUITES, "confession.yaml")
        else (),
    )


def capability_suite(folder: RunFolder | None) -> tuple[Question, ...]:
    """The whole capability suite: the run's own copy, or without one the library's."""
    kept = folder is not None and folder.exists(SUITES, "capability.yaml")
    return load_capability(_read(folder, SUITES, "capability.yaml") if folder and kept else None)


def pick_file(template: str | None = None) -> str:
    """The name of the file in `suites` with the pick for trials with these switches of the chat template."""
    if template is None:
        return PICK
    return PICK.replace(".json", f"-{sha256(template.encode()).hexdigest()[:10]}.json")


def picks(folder: RunFolder) -> list[str | None]:
    """The switches of the chat template for which a run has picked general questions.

    Raises:
        UserError: a file is damaged.
    """
    names = sorted(
        posixpath.basename(str(path)) for path in folder.fs.glob(folder.path(SUITES, PICK.replace(".", "*.")))
    )
    return [folder.read_json(SUITES, name).get("template") for name in names]


def read_pick(folder: RunFolder, template: str | None = None) -> dict[str, Any] | None:
    """What was picked for these switches; None in a run that asks its whole suite, as older ones do.

    Raises:
        UserError: the file is damaged.
    """
    name = pick_file(template)
    return folder.read_json(SUITES, name) if folder.exists(SUITES, name) else None


def write_pick(folder: RunFolder, pick: Mapping[str, Any], template: str | None = None) -> None:
    """Write what was picked for these switches, which the file names.

    Raises:
        StorageTrouble: it cannot be written.
    """
    named = {} if template is None else {"template": template}
    folder.write_json({**named, **pick}, SUITES, pick_file(template))


def keep_questions(parent: RunFolder, folder: RunFolder) -> None:
    """Have a run that goes on from another ask the general questions that the other one asked."""
    for name in ("capability.yaml", *map(pick_file, picks(parent))):
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
