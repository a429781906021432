"""`beliefmod diff`: what changed between two runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from beliefmod.cli.options import UnfinishedRun
from beliefmod.errors import UserError


def diff(
    run: UnfinishedRun,
    other: Annotated[
        str, typer.Argument(metavar="RUN2", help="The run folder, or its URL, that RUN is compared with.")
    ],
    questions: Annotated[
        int, typer.Option(min=0, metavar="N", help="Changed questions shown of every configuration.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Say what changed from one run to another: how they were run, settings, rates, questions.

    Configurations of the same settings are compared with each other, and so
    are those that differ only in settings in which the whole runs differ.
    Rates are compared on the questions that both runs asked in the same
    words; intervals are 95 % over question families and seeds, and a
    difference is told apart only after Holm's correction for all of them.
    """
    from analysis.find import find
    from analysis.studies.between_runs import between_runs
    from analysis.studies.between_runs_words import as_dict, lines
    from beliefmod.run.read_run import read_run

    opened = [read_run(place) for place in (run, other)]
    found = [find(one) for one in opened]
    for place, one in zip((run, other), found, strict=True):
        for note in one.notes:
            typer.echo(f"note: {place}: {note}", err=True)
    if empty := [place for place, one in zip((run, other), found, strict=True) if one.pooled.is_empty()]:
        raise UserError("\n".join(f"{place}: has no finished trial to compare" for place in empty))
    differences = between_runs(*found)
    if as_json:
        typer.echo(json.dumps(as_dict(differences, (run, other)), indent=2))
    else:
        for line in lines(differences, (run, other), questions):
            typer.echo(line)
