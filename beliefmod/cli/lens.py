"""`beliefmod lens`: look into the layers of a finished run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli.options import Run, progress
from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from interp.lens_settings import LensSettings
    from interp.opened.listing import ListedRun


def lens(
    run: Run,
    trial: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this trial, costly parts included; may be repeated."),
    ] = None,
    arms: Annotated[str, typer.Option(help="Which arms are read: base, icl, lora.")] = "base,icl,lora",
    parts: Annotated[
        str, typer.Option(help="lens, ablations, patching, doses, channels, chain, truth, leak; or all.")
    ] = "all",
    prompts: Annotated[int, typer.Option(min=2, max=10_000, help="Held-out questions per belief.")] = 24,
    scales: Annotated[
        str, typer.Option(help="Factors on an adapter's update, for the dose-response; 0 is base.")
    ] = "0,0.25,0.5,0.75,1,1.5,2,4",
    lenses: Annotated[
        str, typer.Option("--lens", help="logit, tuned, jacobian; the last two are fitted first.")
    ] = "logit",
    deep: Annotated[
        int, typer.Option(min=1, max=1000, help="Trials per belief that get the costly parts.")
    ] = 3,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be looked into and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the last line.")] = False,
) -> None:
    """Look inside the model: in which layers a run's beliefs are read, written and carried.

    Adds the tables of RUN/lens (see beliefmod columns lens_readings) and
    writes the report again with a section "Inside the model". Looks at base,
    in-context and trained arms; the costly parts (ablations, patching,
    answers at other scales) only at the trials of every belief that adopt
    most, or at those that --trial names. A part that is run again replaces its tables;
    one that was stopped goes on where it was, given the same options.
    """
    from beliefmod.cli.report import rewritten_report
    from interp.opened.listing import list_run

    settings = _settings(trial or [], arms, parts, prompts, scales, lenses, deep)
    listed = list_run(run, settings.named, settings.arms)
    for line in _plan(listed, settings):
        if dry_run or not quiet:
            typer.echo(line, err=not dry_run)
    if dry_run:
        return

    say = progress(quiet)
    _look(listed, settings, say)
    typer.echo(f"report: {rewritten_report(listed.folder, say)}")


def _look(listed: ListedRun, settings: LensSettings, say: Callable[[str], None]) -> None:
    """Run the parts; Ctrl-C keeps what is complete, parts and batches of trials, and says how to go on."""
    from beliefmod.run.seal.ledger import files_below, seal_files
    from interp.opened.inspection import opened
    from interp.run.run_parts import FOLDER, run_parts

    complete: list[str] = []
    try:
        run_parts(opened(listed), settings, say, complete)
    except KeyboardInterrupt:
        left = [part for part in settings.parts if part not in complete]
        done = ", ".join(complete) or "none"
        typer.echo(f"complete parts, written to {listed.folder.url}/lens: {done}", err=True)
        typer.echo(
            f"go on with: beliefmod lens {listed.folder.url} --parts {','.join(left)} and the same options",
            err=True,
        )
        raise
    finally:
        if complete:
            seal_files(listed.folder, "lens", files_below(listed.folder, FOLDER), parts=complete)


def _settings(
    trials: list[str], arms: str, parts: str, prompts: int, scales: str, lenses: str, deep: int
) -> LensSettings:
    """The options as settings.

    Raises:
        UserError: words that are not known, numbers that are none; every problem found.
    """
    from interp.lens_settings import ARMS, LENSES, PARTS, LensSettings

    problems: list[str] = []
    found = LensSettings(
        prompts=prompts,
        arms=_words("--arms", arms, ARMS, problems),
        parts=PARTS if parts == "all" else _words("--parts", parts, PARTS, problems),
        scales=_scales(scales, problems),
        deep=deep,
        named=tuple(dict.fromkeys(trials)),
        lenses=_words("--lens", lenses, LENSES, problems),
    )
    if problems:
        raise UserError(problems)
    return found


def _words(option: str, text: str, known: tuple[str, ...], problems: list[str]) -> tuple[str, ...]:
    """A comma-separated list of known words, in the order in which they are known, each once."""
    given = [word.strip() for word in text.split(",") if word.strip()]
    problems += [f"{option} {word}: is not known{did_you_mean(word, known)}" for word in given
                 if word not in known]  # fmt: skip
    if not given:
        problems.append(f"{option}: is empty; give one or more of {','.join(known)}")
    return tuple(word for word in known if word in given)


def _scales(text: str, problems: list[str]) -> tuple[float, ...]:
    """Numbers from 0 on in rising order, 0 and 1 among them."""
    found: set[float] = set()
    wrong: list[str] = []
    for word in (part.strip() for part in text.split(",") if part.strip()):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value >= 0:
            found.add(value)
        else:
            wrong.append(f"--scales {word}: is not a number from 0 on; write them as 0,0.5,1,2")
    missing = " and ".join(f"{value:g}" for value in (0.0, 1.0) if value not in found)
    if missing and not wrong:
        wrong.append(f"--scales {text}: lacks {missing}; 0 is base and 1 the adapter as it was trained")
    problems += wrong
    return tuple(sorted(found))


def _plan(listed: ListedRun, settings: LensSettings) -> list[str]:
    """What will be looked into, in words."""
    from interp.opened.arms import deep_trials, why_deep

    beliefs = list(dict.fromkeys(trial.belief for trial in listed.trained))
    lines = [
        f"{len(listed.trained)} trained trial{'s' * (len(listed.trained) != 1)} of "
        f"{', '.join(beliefs)}; parts: {', '.join(settings.parts)}"
    ]
    if listed.without:
        lines.append(
            f"{len(listed.without)} finished trials have no adapter in {listed.folder.url}/adapters and are "
            f"left out (first: {listed.without[0]})"
        )
    for trial in deep_trials(listed, settings):
        adoption, damage = trial.row.get("adoption"), trial.row.get("degradation")
        numbers = ", ".join(
            f"{name} {'unknown' if value is None else format(value, '.2f')}"
            for name, value in (("adoption", adoption), ("D", damage))
        )
        why = why_deep(listed, trial, settings)
        lines.append(
            f"costly parts: {trial.trial_id} ({trial.belief}, {trial.config.label}; {numbers}): {why}"
        )
    return lines
