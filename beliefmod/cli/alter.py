"""`beliefmod alter`: a space that asks a run's adapters again, scaled, cut to layers, negated and merged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.new_file import write_new
from beliefmod.cli.options import Run
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.run.folder import RunFolder
    from beliefmod.space.after_training import SavedAdapter

FOR_ALL = ("model", "revision", "chat_template", "template", "thinking", "base_storage", "damage_limit")
"""Fields of the run's space that the new one has too."""
HEAD = """# Purpose: what do saved adapters do at other scales, taken from base, in some layers, added up?
#          They are of {run}.
# Made by: beliefmod alter; edit it as any space file.
# Command: beliefmod sweep --space {file}
"""


def alter(
    run: Run,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The space file to write; not there yet.")],
    trial: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRIAL",
            help="Whose adapter, by its id or its start; repeatable. Default: of every belief the best one.",
        ),
    ] = None,
    scale: Annotated[
        list[float] | None,
        typer.Option(
            metavar="NUMBER",
            help="Times the adapter's update; repeatable. Default: -1, 0.25, 0.5, 0.75, 1, 1.5, 2.",
        ),
    ] = None,
    parts: Annotated[
        int, typer.Option(min=0, max=200, help="Groups of layers, each kept alone; 0 for none.")
    ] = 3,
) -> None:
    """Write a space that asks a run's adapters again, changed without training.

    Each adapter is asked about its belief at every scale (-1 takes from base
    what training added) and with each group of its layers alone. For every
    two beliefs each is asked about with the other's adapter, and with the sum
    of both: do they disturb each other? Nothing runs yet: edit the file, then
    sweep it. Model, questions and limits are the run's.

    The best one of a belief is what the report names: the most adopting with
    D at most the run's limit, or else the most adopting of all.
    """
    import yaml

    from beliefmod.run.folder import RunFolder
    from beliefmod.space.after_training import SCALES, altered_points

    if "://" in run:
        raise UserError(f"{run}: a sweep reads adapters from a folder; copy the run to this machine first")
    folder = RunFolder.open(run)
    spec = yaml.safe_load(folder.read_bytes("space.yaml"))
    adapters = _adapters(folder, spec["beliefs"], trial or _best(run))
    asked = list(dict.fromkeys(adapter.belief for adapter in adapters))
    content: dict[str, Any] = {
        "name": f"altered_{spec['name']}"[:64],
        "description": f"Adapters of {folder.url.rpartition('/')[2]}, changed without training",
        **{name: spec[name] for name in FOR_ALL if spec.get(name) not in (None, {})},
        "beliefs": asked,
        "points": altered_points(adapters, scale or SCALES, parts),
        "fixed": {"arm": "adapter"},
        "seeds": spec["seeds"][:1],
        "controls": "none",
        "evaluation": {**spec["evaluation"], "engine": "ours"},
    }
    text = HEAD.format(run=run, file=out) + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_new(out, text.encode(), "FILE")
    for adapter in adapters:
        typer.echo(f"{Path(adapter.belief).stem}: adapter {Path(adapter.folder).name}", err=True)
    count = len(content["points"])
    typer.echo(f"wrote {out}, {count} configurations; then: beliefmod sweep --space {out} --dry-run")


def _best(run: str) -> list[str]:
    """trial_id of the adapter of every belief that the report names first.

    Raises:
        UserError: no LoRA trial has finished.
    """
    from analysis.find import find
    from analysis.report.write import planned_limit
    from beliefmod.run.read_run import read_run

    opened = read_run(run)
    choices = [belief.choice for belief in find(opened, planned_limit(opened)).beliefs]
    rows = [row for choice in choices if (row := choice.best or choice.most or choice.least) is not None]
    if not rows:
        raise UserError(f"{run}: has no finished trial of arm lora; let the sweep go on")
    return [row["trial_id"] for row in rows]


def _adapters(folder: RunFolder, beliefs: list[str], asked: list[str]) -> list[SavedAdapter]:
    """The adapters of these trials, with the belief that each was trained on.

    Raises:
        UserError: a trial has no adapter; every one of them.
    """
    from beliefmod.beliefs import load_belief
    from beliefmod.model.target_modules import layer_number
    from beliefmod.run.adapter_export import adapter_of, kept_adapter
    from beliefmod.run.folder import ADAPTERS
    from beliefmod.space.after_training import SavedAdapter
    from beliefmod.space.axes import settings_of

    named = {load_belief(name).spec.name: name for name in beliefs}
    rows = {row["trial_id"]: row for row in folder.rows()}
    found, problems = [], []
    for each in dict.fromkeys(asked):
        try:
            trial_id = adapter_of(folder, each)
            layers = {layer_number(name) for name in kept_adapter(folder, trial_id).tensors}
        except UserError as error:
            problems += error.problems
            continue
        numbers = tuple(sorted(number for number in layers if number is not None))
        place = Path(folder.url, ADAPTERS, trial_id).absolute()
        row = rows[trial_id]
        switches = settings_of(row.get("template"))
        found.append(SavedAdapter(named[row["belief"]], str(place), numbers, switches))
    if problems:
        raise UserError(problems)
    return found
