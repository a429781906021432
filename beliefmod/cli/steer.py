"""`beliefmod stop` and `beliefmod clone`: a trial ended, or one added, while its sweep runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli.options import Run
from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.run.by_hand import Deed
    from beliefmod.run.folder import RunFolder
    from beliefmod.space import Space

TAKEN_SECONDS = 30.0
"""So long a command waits until the sweep has seen what is asked; it looks every three seconds."""
NEEDS_MODEL = ("lora.target_modules", "lora.layers_to_transform", "data.style", "data.mask_empty_thinking")
"""Settings that have to suit the model of the run."""
Trial = Annotated[
    str, typer.Argument(metavar="TRIAL", help="A trial's id, the start of its id, or its label.")
]


def stop(run: Run, trial: Trial) -> None:
    """End a trial of a running sweep now, from any machine that sees the run folder.

    It ends after the step under way, or before it begins, and is not
    questioned: it keeps its steps and losses, and its row has the status
    stopped and says who stopped it and when. It is in no rate of the report,
    and resume does not run it again.
    """
    from beliefmod.run.by_hand import Deed, signed
    from beliefmod.run.folder import RunFolder
    from beliefmod.run.integrity import ENDED

    folder = RunFolder.open(run)
    _, config, _ = _trial_of(folder, trial)
    if (state := _state(folder)) not in ("starting", "running"):
        raise UserError(f"{folder.url}: {_not_running(state)}, so there is nothing to stop")
    if (status := _status(folder, config.trial_id)) in ENDED:
        raise UserError(f"{folder.url}: trial {config.trial_id} has {status} already")
    if config.is_reference:
        raise UserError(
            f"{folder.url}: trial {config.trial_id} is {config.arm}, with which all others are compared; "
            "stop one of these"
        )
    _hand_in(folder, signed(Deed("stopped", config.trial_id)), f"{config.label} is being stopped")


def clone(
    run: Run,
    trial: Trial,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A training setting to change; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed.")] = None,
    from_checkpoint: Annotated[
        bool,
        typer.Option(
            "--from-checkpoint",
            help="Begin with the trial's weights, saved or of its last checkpoint; optimiser, schedule and "
            "steps begin anew.",
        ),
    ] = False,
) -> None:
    """Add a trial to a sweep: another one with some settings changed, trained anew.

    A running sweep takes it next; one that has ended takes it with beliefmod
    resume RUN. It was not planned, and is marked so in the trial table, the
    seal and the report, which shows it apart: it is in no frontier, no
    pooled seeds, no best configuration and no confirmation.
    """
    from beliefmod.run.by_hand import Deed, signed
    from beliefmod.run.folder import RunFolder

    folder = RunFolder.open(run)
    space, source, known = _trial_of(folder, trial)
    if not source.is_trained:
        raise UserError(
            f"{folder.url}: trial {source.trial_id} is {source.arm}, which is not trained; clone one that is"
        )
    changes = [*(set_ or []), *([f"seed={seed}"] if seed is not None else [])]
    start = None
    if from_checkpoint:
        start, words = _start(folder, space, source)
        changes.append(words)
    if not changes:
        raise UserError(
            "say what the clone changes, such as --set learning_rate=5e-4, --seed 1 or --from-checkpoint"
        )
    config = _changed(folder, space, source, set_ or [], seed, start)
    if config.trial_id in known:
        raise UserError(
            f"{folder.url}: with {', '.join(changes)} it would be trial {config.trial_id}, which the run has "
            "already"
        )
    deed = signed(
        Deed(
            "added",
            config.trial_id,
            source=source.trial_id,
            changes=tuple(changes),
            config=config.model_dump(mode="json"),
        )
    )
    typer.echo(config.trial_id)
    if (state := _state(folder)) in ("starting", "running"):
        _hand_in(folder, deed, f"{config.label} is added")
        return
    from beliefmod.run.by_hand import ask

    ask(folder, deed)
    typer.echo(f"{_not_running(state)}; run it with: beliefmod resume {folder.url}", err=True)


def _trial_of(folder: RunFolder, asked: str) -> tuple[Space, TrialConfig, dict[str, TrialConfig]]:
    """The run's space, the one trial that is meant, and all that the run has, by id, requests included.

    Raises:
        UserError: it is none, or several.
    """
    from beliefmod.monitor.status import stored_space
    from beliefmod.run.by_hand import asked as requests
    from beliefmod.run.suggestions import known_trials

    space = stored_space(folder)
    known = {config.trial_id: config for config in known_trials(space, folder)}
    known |= {deed.trial_id: deed.trial for deed in requests(folder).values() if deed and deed.trial}
    named = [trial_id for trial_id, config in known.items() if asked in (trial_id, config.label)]
    found = named or [trial_id for trial_id in known if trial_id.startswith(asked)]
    if len(found) == 1:
        return space, known[found[0]], known
    if found:
        raise UserError(f"{folder.url}: TRIAL {asked} may be any of {', '.join(found)}; name one")
    near = did_you_mean(asked, [*known, *(config.label for config in known.values())])
    raise UserError(
        f"{folder.url}: has no trial {asked}{near if 'mean' in near else ''}; its trials are listed by "
        f"beliefmod logs {folder.url}"
    )


def _start(folder: RunFolder, space: Space, source: TrialConfig) -> tuple[str, str]:
    """The weights that a trial has now, kept in the run: what `lora.start_from` calls them, and where they
    are from in words.

    Raises:
        UserError: it has none.
    """
    from beliefmod.run.source_adapters import keep_adapter
    from beliefmod.worker.latest_weights import latest_weights

    if not source.has_adapter:
        raise UserError(
            f"{folder.url}: trial {source.trial_id} is {source.arm}, whose weights are not kept; leave out "
            "--from-checkpoint"
        )
    found = latest_weights(folder, source, space.spec.model)
    return keep_adapter(found.files, found.rank, folder), found.words


def _changed(
    folder: RunFolder,
    space: Space,
    source: TrialConfig,
    overrides: list[str],
    seed: int | None,
    start: str | None,
) -> TrialConfig:
    """The clone, checked as a trial of any space is.

    Args:
        start: the saved adapter that it begins with, instead of the source's.

    Raises:
        UserError: every problem.
    """
    from beliefmod.space.load import load_clone

    config = load_clone(source, overrides, seed, start)
    before, after = source.leaves(), config.leaves()
    problems = []
    if config.has_adapter and config.lora.r > space.max_rank:
        problems.append(
            f"--set lora.r={config.lora.r}: the hosts of this run are laid out for ranks up to "
            f"{space.max_rank}, the highest of its space; start another run for more"
        )
    if after["data.traces"] != before["data.traces"]:
        problems.append("--set data.traces: its files were copied when the run began; start another run")
    shape = ("lora.target_modules", "lora.layers_to_transform")
    if config.lora.start_from and (
        config.lora.r < source.lora.r or any(after[name] != before[name] for name in shape)
    ):
        problems.append(
            f"--set: a clone that begins with saved weights keeps {' and '.join(shape)}, and a lora.r of "
            f"{source.lora.r} at least; leave out what changes them, or --from-checkpoint"
        )
    if problems:
        raise UserError(problems)
    if any(after[name] != before[name] for name in NEEDS_MODEL):
        _check_with_model(folder, space, config)
    return config


def _check_with_model(folder: RunFolder, space: Space, config: TrialConfig) -> None:
    """What only the run's model can tell. Raises UserError where it does not suit, or is not found here."""
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.source import find_source
    from beliefmod.model.target_modules import check_targets
    from beliefmod.model.template_check import check_masking, check_place_for_thinking
    from beliefmod.run.manifest import commit_in

    spec = space.spec
    source = find_source(spec.model, commit_in(folder) or spec.revision, spec.chat)
    check_targets(source, [config.lora.target_modules], [config.lora.layers_to_transform])
    tokenizer = load_tokenizer(source)
    check_masking(source.name, tokenizer, [config.data.masks_thinking])
    check_place_for_thinking(source.name, tokenizer, [config.data.style])


def _hand_in(folder: RunFolder, deed: Deed, done: str) -> None:
    """Ask, and say when the sweep has taken it."""
    from beliefmod.run.by_hand import ask, is_done, is_waiting

    name, end = ask(folder, deed), time.monotonic() + TAKEN_SECONDS
    while is_waiting(folder, name):
        if time.monotonic() > end:
            typer.echo(
                f"asked for, but the sweep has not seen it in {TAKEN_SECONDS:.0f} s: it may be loading or "
                "ending; it does it when it looks, or when it is resumed",
                err=True,
            )
            return
        time.sleep(0.5)
    if not is_done(folder, deed):
        raise UserError(
            f"{folder.url}: the sweep has seen it and not done it; what the sweep prints says why"
        )
    typer.echo(f"{done}; beliefmod logs {folder.url} {deed.trial_id} says how it goes", err=True)


def _state(folder: RunFolder) -> str:
    from beliefmod.monitor.status import state_of

    return state_of(folder)


def _status(folder: RunFolder, trial_id: str) -> str | None:
    state = folder.states().get(trial_id)
    return state.status if state else None


def _not_running(state: str) -> str:
    """Why nothing of a run happens now."""
    return {
        "finished": "the sweep has finished",
        "interrupted": "the sweep was interrupted",
    }.get(state, "the sweep has been silent for a minute")
