"""`beliefmod verify` and `rescore`: are a run's numbers those that its raw completions give? Make them so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli.options import Run, progress
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from analysis.verify.verify_run import Verification

SHOWN = 20
SHORTEST = 16
NOT_SEALED = (
    "not sealed: the run was made before runs were, or its seal was taken off; nothing says what was "
    "planned, and whoever changed raw files and everything that follows from them is not found"
)


def verify(
    run: Run,
    limit: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Limit of D that report.md was written with; default: the one it names."
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="The last hash of the run's seal as you have it from elsewhere (a paper, say), "
            f"or its first {SHORTEST} digits or more.",
        ),
    ] = None,
    retrain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRIAL",
            help="Train this trial again from its seed and compare; takes the model. May be repeated.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Leave out prompts, token ids, report.html and figures: half of the time."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
) -> None:
    """Recompute every number from the raw completions and compare it with the tables and the report.

    The run's seal is checked, every file, the plan and what is there against
    it. Every verdict is read again from its completion with the questions
    kept in the run, every metric summarised again, prompts rendered and
    report and figures made again.

    Exit code: 0 all agree, 1 something does not, 2 the run cannot be read.
    """
    from analysis.verify.verify_run import UNCHECKED, verify_run

    if expect is not None and not re.fullmatch(rf"[0-9a-fA-F]{{{SHORTEST},64}}", expect):
        raise UserError(
            f"--expect {expect}: is not a hash of {SHORTEST} to 64 hexadecimal digits; copy the one that the "
            "sweep printed at its end"
        )
    say = progress(quiet)
    found = verify_run(run, limit, say, expect=expect, quick=quick)
    if retrain:
        from analysis.verify.retrain import retrain_trials

        retrain_trials(run, retrain, found, say)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    if found.seal is None:
        typer.echo(NOT_SEALED, err=True)
    else:
        typer.echo(f"seal: {found.seal} ({found.sealed_entries:,} entries)")
    say(UNCHECKED)
    if not found.mismatches:
        typer.echo(f"verified: {_checked(found)}; all agree")
        return
    for text in found.mismatches[:SHOWN]:
        typer.echo(text)
    count = len(found.mismatches)
    if count > SHOWN:
        typer.echo(f"... and {count - SHOWN:,} more")
    typer.echo(f"{count:,} mismatch{'es' if count != 1 else ''} in {_checked(found)}")
    raise typer.Exit(1)


def rescore(
    run: Run, quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False
) -> None:
    """Read every answer of a finished run again with this version's scorer, and write the report again.

    Verdicts, metrics and report become those of this version. Completions,
    training and log-probabilities stay as they are, and no model is loaded.
    Use it on runs of an older beliefmod, to compare them with new ones.
    """
    from analysis.verify.rescore import rescore_run

    found = rescore_run(run, progress(quiet))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    changed = f"{found.changed:,} values are others now"
    typer.echo(f"{found.probes:,} answers of {found.trials:,} trials read again; {changed}")


def _checked(found: Verification) -> str:
    parts = [
        f"{found.numbers:,} values of {found.trials:,} trials",
        f"{found.probes:,} probes",
        f"{found.causal:,} causal tests",
        f"{found.judged:,} judge's replies" if found.judged else "",
        f"{found.texts:,} prompts" if found.texts else "",
        f"{found.replicates:,} pairs of seeds" if found.replicates else "",
        f"{found.retrained:,} steps and answers of trials trained again" if found.retrained else "",
        "" if found.lines is None else f"{found.lines:,} lines of report.md",
        "report.html" if found.page else "",
        f"{found.drawn:,} figures" if found.drawn else "",
    ]
    return ", ".join(part for part in parts if part)
