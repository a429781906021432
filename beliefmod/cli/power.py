"""`beliefmod power`: how many prompts a comparison needs, or what a number of prompts can show."""

from __future__ import annotations

from typing import Annotated

import typer

from beliefmod.errors import UserError


def power(
    from_: Annotated[
        float, typer.Option("--from", metavar="RATE", help="Adoption in the first arm, 0 to 1.")
    ],
    to: Annotated[
        float | None, typer.Option(metavar="RATE", help="Adoption in the second arm, 0 to 1.")
    ] = None,
    n: Annotated[
        int | None, typer.Option("--n", metavar="PROMPTS", help="Prompts per arm: what can they show?")
    ] = None,
    wanted: Annotated[
        float, typer.Option("--power", metavar="SHARE", help="Chance to see the difference if it is there.")
    ] = 0.8,
    alpha: Annotated[
        float, typer.Option(metavar="SHARE", help="Chance to see one that is not there, two-sided.")
    ] = 0.05,
    per_family: Annotated[
        int, typer.Option(metavar="M", help="Prompts per question family; they repeat each other.")
    ] = 1,
    icc: Annotated[
        float | None,
        typer.Option(metavar="R", help="How much: intra-class correlation of a family's prompts, 0 to 1."),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="Both arms answer the same prompts (McNemar's test).")
    ] = False,
    discordant: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --paired: prompts that the arms answer differently. If left out, as many as if they "
            "answered without regard to each other.",
        ),
    ] = None,
    answerable: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Rates are over questions that the model can answer, and this share of those asked is.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A run folder: what can its answerable questions show?"),
    ] = None,
) -> None:
    """Print how many prompts per arm tell two adoption rates apart; with --n, what those prompts can show.

    With --run, the same for the questions of a run that its model can answer, belief by belief.
    """
    from analysis.stats.power import Design, independent_discordance, problems, smallest_text, sufficient_text
    from analysis.studies.answerable_power import answerable_lines, share_line

    wrong = []
    if to is None and n is None and run is None:
        wrong.append(
            "give --to RATE for the number of prompts, or --n PROMPTS or --run RUN for what they can show"
        )
    if answerable is not None and not 0 < answerable <= 1:
        wrong.append(f"--answerable is {answerable:g}; give a share above 0 and up to 1, such as 0.6")
    if answerable is not None and to is None:
        wrong.append("--answerable needs --to RATE: it says how many prompts to ask for that difference")
    if answerable is not None and run is not None:
        wrong.append("give --answerable or --run, not both: the run says how many are answerable")
    if discordant is not None and not paired:
        wrong.append("--discordant needs --paired: it speaks of prompts that both arms answer")
    if paired and to is None:
        wrong.append("--paired needs --to RATE: how often the arms disagree depends on both rates")
    if per_family > 1 and icc is None:
        wrong.append(
            f"--per-family {per_family} needs --icc: how much the prompts of a family repeat each other, "
            "from 0 (not at all) to 1 (as one prompt)"
        )
    if icc is not None and per_family == 1:
        wrong.append("--icc needs --per-family, the number of prompts in a family")
    if n is not None and n < 2:
        wrong.append(f"--n is {n}; give at least 2 prompts per arm")
    if to is not None and to == from_:
        wrong.append(
            f"--from and --to are both {to:g}; equal rates cannot be told apart by any number of prompts"
        )
    second = from_ if to is None else to
    if paired and discordant is None:
        discordant = independent_discordance(from_, second)
    design = Design(from_, second, wanted, alpha, discordant if paired else None, per_family, icc or 0.0)
    if wrong or (wrong := problems(design)):
        raise UserError(wrong)
    of_run: list[str] = []
    if run is not None:
        from beliefmod.run.read_run import read_run

        of_run = list(answerable_lines(read_run(run), design, to is not None))
    if to is not None or n is not None:
        typer.echo(sufficient_text(design, n) if to is not None else smallest_text(design, n or 2))
    if answerable is not None:
        typer.echo(share_line(answerable, design))
    for line in of_run:
        typer.echo(line)
