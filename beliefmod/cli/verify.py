"""`beliefmod verify`: are the numbers of a run those that its raw completions give?"""

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


def _checked(found: Verification) -> str:
    parts = [
        f"{found.numbers:,} values of {found.trials:,} trials",
        f"{found.probes:,} probes",
        f"{found.causal:,} causal tests",
        f"{found.judged:,} judge's replies" if found.judged else "",
        "" if found.lines is None else f"{found.lines:,} lines of report.md",
    ]
    return ", ".join(part for part in parts if part)
