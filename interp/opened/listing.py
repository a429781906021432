"""What of a run can be looked into: read from its rows, before any model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from beliefmod.errors import UserError
from beliefmod.run.tables.row_config import configuration
from interp.lens_settings import DAMAGE, LensSettings

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.config import TrialConfig
    from beliefmod.run.folder import RunFolder
    from beliefmod.space import SpaceFile


@dataclass(frozen=True)
class Trained:
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


@dataclass(frozen=True)
class Listed:
    """What can be looked into in a run, known without its model.

    Attributes:
        without: finished trials of the arms lora and control whose adapter is not in the folder.
        The others are as in `Inspection`.
    """

    folder: RunFolder
    spec: SpaceFile
    beliefs: dict[str, Belief]
    references: dict[tuple[str, str], TrialConfig]
    trained: tuple[Trained, ...]
    without: tuple[str, ...]


@dataclass(frozen=True)
class Arms:
    """The finished arms of a run; the fields are as in `Listed`."""

    references: dict[tuple[str, str], TrialConfig]
    trained: tuple[Trained, ...]
    without: tuple[str, ...]


def space_of(folder: RunFolder) -> SpaceFile:
    """The space that a run was made from."""
    import yaml

    from beliefmod.run.folder import SPACE
    from beliefmod.space import SpaceFile

    return SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE)))


def finished_arms(folder: RunFolder, spec: SpaceFile) -> Arms:
    """Which trials of a run have finished, by what they are good for here; in the order of the rows."""
    saved = {path.rpartition("/")[2] for path in folder.fs.glob(folder.path("adapters", "*"))}
    references: dict[tuple[str, str], TrialConfig] = {}
    trained: list[Trained] = []
    without: list[str] = []
    for row in folder.rows():
        config = configuration(row, spec.beliefs) if row["status"] == "finished" else None
        if config is None:
            continue
        if config.arm in ("base", "icl") and config.seed == spec.seeds[0]:
            references[row["belief"], config.arm] = config
        elif config.has_adapter and row["trial_id"] in saved:
            trained.append(Trained(config, row))
        elif config.has_adapter:
            without.append(row["trial_id"])
    return Arms(references, tuple(trained), tuple(without))


def list_run(url: str, trial_ids: Sequence[str] = (), arms: Sequence[str] = ()) -> Listed:
    """List what can be looked into.

    Args:
        trial_ids: only these trained trials; all when empty.
        arms: which of the untrained arms base and icl are asked for; base is always needed.

    Raises:
        UserError: no run, nothing trained in it, a trial that is not in it or has no adapter, or a belief
            whose untrained arms have not finished; every problem found.
    """
    from beliefmod.run.folder import RunFolder
    from beliefmod.run.sources import read_sources

    folder = RunFolder.open(url)
    spec = space_of(folder)
    arms_of = finished_arms(folder, spec)
    trained, without = arms_of.trained, arms_of.without
    problems = _unknown(folder, {trial.trial_id for trial in trained}, trial_ids)
    if trial_ids:
        trained, without = tuple(trial for trial in trained if trial.trial_id in trial_ids), ()
    for belief in dict.fromkeys(trial.belief for trial in trained):
        for arm in ("base", "icl"):
            if (belief, arm) not in arms_of.references and (arm == "base" or arm in arms):
                otherwise = "" if arm == "base" else ", or leave it out with --arms base,lora"
                problems.append(
                    f"{url}: belief {belief} has no finished {arm} trial to compare with; let the run finish "
                    f"with beliefmod resume {url}{otherwise}"
                )
    if problems:
        raise UserError(problems)
    return Listed(folder, spec, read_sources(folder).beliefs, arms_of.references, trained, without)


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


class HasTrained(Protocol):
    """An inspection, or what was listed of a run."""

    @property
    def trained(self) -> tuple[Trained, ...]:
        """The trained trials, in the table's order."""
        ...


def deep_trials(run: HasTrained, settings: LensSettings) -> tuple[Trained, ...]:
    """The trials for the costly parts: those the user named, else the best few of every belief.

    Best is highest adoption among LoRA trials that adopt at all with D up to DAMAGE; where there are too few
    of these, the others follow by adoption. Controls are not taken: what they believe has not changed.
    """
    if settings.named:
        return tuple(trial for trial in run.trained if trial.trial_id in settings.named)
    chosen: list[Trained] = []
    for belief in dict.fromkeys(trial.belief for trial in run.trained):
        among = [t for t in run.trained if t.belief == belief and t.config.arm == "lora"]
        chosen += sorted(among, key=_merit, reverse=True)[: settings.deep]
    return tuple(chosen)


def _merit(trial: Trained) -> tuple[bool, float]:
    damage, adoption = trial.row.get("degradation"), trial.row.get("adoption") or 0.0
    return (damage is not None and damage <= DAMAGE and adoption > 0, adoption)


def first_of_belief(
    run: HasTrained, trials: Sequence[Trained], deep: bool, settings: LensSettings
) -> tuple[str, ...]:
    """Beliefs whose first trial is in this batch: the batch that also writes the untrained arms' rows.

    Args:
        deep: whether the part runs over `deep_trials` only.
    """
    everyone = deep_trials(run, settings) if deep else run.trained
    first: dict[str, str] = {}
    for trial in everyone:
        first.setdefault(trial.belief, trial.trial_id)
    here = {trial.trial_id for trial in trials}
    return tuple(belief for belief, trial_id in first.items() if trial_id in here)
