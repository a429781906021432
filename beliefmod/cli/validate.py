"""`beliefmod validate`: is a space file right, and how many trials would it run?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.space import Space


def validate(
    spaces: Annotated[
        list[Path], typer.Argument(metavar="SPACE...", help="Space files, or names of shipped ones.")
    ],
) -> None:
    """Check space files and the beliefs they name; print every problem, start nothing."""
    from beliefmod.data.supplied_traces import check_supplied
    from beliefmod.space.load import load_space

    problems: list[str] = []
    for path in spaces:
        try:
            space = load_space(path)
            check_supplied(space.possible("data.traces"), space.spec.beliefs)
            typer.echo(f"ok  {path}  {_size(space)}")
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)


def _size(space: Space) -> str:
    """Such as "15 trials: 12 lora, 1 control, 1 base, 1 icl; 1 belief"."""
    from beliefmod.config import REFERENCE_ARMS
    from beliefmod.space import SWEPT_ARMS

    trials = space.expected()
    arms = [trial.arm for trial in trials]
    counts = ", ".join(
        f"{arms.count(arm)} {arm}" for arm in (*SWEPT_ARMS, "control", *REFERENCE_ARMS) if arm in arms
    )
    beliefs = len(space.spec.beliefs)
    return f"{len(trials)} trials: {counts}; {beliefs} belief{'s' if beliefs > 1 else ''}"
