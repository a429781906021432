"""`beliefmod gate`: does a run reach an adoption at a damage, as an exit code for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli.options import UnfinishedRun
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.studies.gate_decision import Decision


def gate(
    run: UnfinishedRun,
    min_adoption: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="The lower end of adoption's interval is at least this."
        ),
    ],
    max_degradation: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="D",
            help="The upper end of D's interval is at most this; default: the limit of the run's space.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Say whether every belief of a run is adopted enough at little enough damage, by exit code.

    Decided is on the configuration that the report quotes: confirmed on new
    seeds where that was done, else the best one with D at most the limit,
    its adoption corrected for having been picked. Its whole 95 % interval
    must lie within what is asked. A belief fails if an interval lies wholly
    outside, and is undecided otherwise: more questions or seeds would tell.
    An unfinished run does not pass.

    Exit code: 0 every belief passes, 1 one fails or is undecided, 2 the run cannot be read.
    """
    from analysis.find import find
    from analysis.report.sections.unfinished import counted, left_of
    from analysis.report.write import planned_limit
    from analysis.studies.confirm import confirmation_of, confirmations
    from analysis.studies.gate_decision import Bar, all_pass, as_dict, decide, line
    from beliefmod.run.read_run import read_run

    opened = read_run(run)
    bar = Bar(min_adoption, planned_limit(opened) if max_degradation is None else max_degradation)
    found = find(opened, bar.max_degradation)
    if not found.beliefs:
        raise UserError(f"{run}: has no finished trial to decide on; let the sweep go on")
    again = confirmation_of(found.run)
    decisions = decide(found, confirmations(found.run, again) if again else [], bar)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    left = left_of(opened)
    passed = all_pass(decisions) and not left
    if as_json:
        asked = {"min_adoption": bar.min_adoption, "max_degradation": bar.max_degradation}
        whole = {"run": run, **asked, "passes": passed, "trials_left": left}
        typer.echo(json.dumps(whole | {"beliefs": [as_dict(one) for one in decisions]}, indent=2))
    else:
        for one in decisions:
            typer.echo(line(one, bar))
        unfinished = f"; the run is unfinished ({counted(opened)})" if left else ""
        typer.echo(f"{_sum(decisions)}{unfinished}")
    if not passed:
        raise typer.Exit(1)


def _sum(decisions: Sequence[Decision]) -> str:
    """`does not pass: 1 fails, 1 undecided of 2 beliefs`."""
    from analysis.studies.gate_decision import FAILS, PASSES, UNDECIDED
    from analysis.wording import plural

    counts = {word: sum(one.outcome == word for one in decisions) for word in (PASSES, FAILS, UNDECIDED)}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{told} of {plural(len(decisions), 'belief')}"
