"""`beliefmod verify` and `rescore`: are a run's numbers those that its raw completions give? Make them so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli.options import Run, progress

if TYPE_CHECKING:
    from analysis.verify.verify_run import Verification

SHOWN = 20


def verify(
    run: Run,
    limit: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Limit of D that report.md was written with; default: the one it names."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
) -> None:
    """Recompute every number from the raw completions and compare it with the tables and report.md.

    Every verdict is read again from its completion with the questions kept
    in the run, every metric summarised again, report.md composed again.

    Exit code: 0 all agree, 1 something does not, 2 the run cannot be read.
    """
    from analysis.verify.verify_run import UNCHECKED, verify_run

    say = progress(quiet)
    found = verify_run(run, limit, say)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
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
        "" if found.lines is None else f"{found.lines:,} lines of report.md",
    ]
    return ", ".join(part for part in parts if part)
