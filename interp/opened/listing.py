"""What of a run can be looked into: read from its rows, before any model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from beliefmod.config import REFERENCE_ARMS, switches_words
from beliefmod.errors import UserError
from beliefmod.run.tables.trial_tables import configuration

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.config import TrialConfig
    from beliefmod.run.folder import RunFolder
    from beliefmod.space import SpaceFile


@dataclass(frozen=True)
class TrainedTrial:
    """A finished trial with an adapter: its configuration and its row of the trial table."""

    config: TrialConfig
    row: dict[str, Any]

    @property
    def trial_id(self) -> str:
        """The trial's name, which is also its adapter's in the engine."""
        return self.config.trial_id

    @property
    def belief(self) -> str:
        """Name of the belief, as tables have it."""
        return str(self.row["belief"])

    @property
    def asked(self) -> tuple[str, str | None]:
        """Its belief, and the switches of the chat template that it is asked with: trials that share both
        are compared with the same untrained arms."""
        return self.belief, self.config.template


@dataclass(frozen=True)
class ListedRun:
    """What can be looked into in a run, known without its model.

    Attributes:
        spec: the space that the run was made from.
        beliefs: by name, from the copies in the run folder.
        references: configurations of the finished untrained arms, by belief name, "base" or "icl", and
            switches of the chat template (`TrialConfig.template`).
        trained: finished trials of the arms lora and control that have an adapter, in the table's order.
        without: trial_ids of those whose adapter is not in the folder.
        altered: finished trials of arm adapter, which was trained elsewhere.
    """

    folder: RunFolder
    spec: SpaceFile
    beliefs: dict[str, Belief]
    references: dict[tuple[str, str, str | None], TrialConfig]
    trained: tuple[TrainedTrial, ...]
    without: tuple[str, ...]
    altered: tuple[TrainedTrial, ...] = ()


def finished_trials(folder: RunFolder) -> ListedRun:
    """All finished trials of a run, by what they are good for here."""
    import yaml

    from beliefmod.run.folder import SPACE
    from beliefmod.run.sources import read_sources
    from beliefmod.space import SpaceFile

    spec = SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE)))
    saved = {path.rpartition("/")[2] for path in folder.fs.glob(folder.path("adapters", "*"))}
    references: dict[tuple[str, str, str | None], TrialConfig] = {}
    trained: list[TrainedTrial] = []
    altered: list[TrainedTrial] = []
    without: list[str] = []
    for row in folder.rows():
        config = configuration(row, spec.beliefs) if row["status"] == "finished" else None
        if config is None:
            continue
        if config.arm in REFERENCE_ARMS and config.seed == spec.seeds[0]:
            references[row["belief"], config.arm, config.template] = config
        elif config.has_adapter and row["trial_id"] in saved:
            (trained if config.is_trained else altered).append(TrainedTrial(config, row))
        elif config.has_adapter and config.is_trained:
            without.append(row["trial_id"])
    beliefs = read_sources(folder).beliefs
    return ListedRun(folder, spec, beliefs, references, tuple(trained), tuple(without), tuple(altered))


def list_run(url: str, trial_ids: Sequence[str] = (), arms: Sequence[str] = ()) -> ListedRun:
    """List what can be looked into.

    Args:
        trial_ids: only these trained trials; all when empty.
        arms: which of the untrained arms base and icl are asked for; base is always needed.

    Raises:
        UserError: no run, nothing trained in it, a trial that is not in it or has no adapter, or a belief
            whose untrained arms have not finished; every problem found.
    """
    from beliefmod.run.folder import RunFolder

    folder = RunFolder.open(url)
    listed = finished_trials(folder)
    problems = _unknown(folder, {trial.trial_id for trial in listed.trained}, trial_ids)
    if trial_ids:
        named = tuple(trial for trial in listed.trained if trial.trial_id in trial_ids)
        listed = replace(listed, trained=named, without=())
    for belief, template in dict.fromkeys(trial.asked for trial in listed.trained):
        for arm in REFERENCE_ARMS:
            if (belief, arm, template) not in listed.references and (arm == "base" or arm in arms):
                how = f" with {switches_words(template)}" if template else ""
                otherwise = "" if arm == "base" else ", or leave it out with --arms base,lora"
                problems.append(
                    f"{url}: belief {belief}{how} has no finished {arm} trial to compare with; let the run "
                    f"finish with beliefmod resume {url}{otherwise}"
                )
    if problems:
        raise UserError(problems)
    return listed


def _unknown(folder: RunFolder, there: set[str], asked: Sequence[str]) -> list[str]:
    """What is wrong with the trials that were asked for."""
    from beliefmod.run.folder import TRIALS_FILE

    known = {row["trial_id"]: row for row in folder.rows()}
    problems = []
    if not there:
        problems.append(f"{folder.url}: no finished trial has an adapter; let the sweep train some first")
    for trial_id in asked:
        if trial_id not in known:
            near = get_close_matches(trial_id, there, n=1)
            problems.append(
                f"--trial {trial_id}: {folder.url} has no such trial; "
                + (f"did you mean {near[0]}?" if near else f"see its {TRIALS_FILE}")
            )
        elif there and trial_id not in there:
            row = known[trial_id]
            problems.append(
                f"--trial {trial_id}: is of arm {row['arm']}, {row['status']}, and has no adapter to look "
                "into; name a finished trial of arm lora or control"
            )
    return problems
