"""`beliefmod confirm`: the best configurations again, on new seeds and questions that did not pick them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.options import Driving, Run, with_driving
from beliefmod.errors import UserError
from beliefmod.metrics.registry import DAMAGE_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beliefmod.run.folder import RunFolder
    from beliefmod.space import Space, SpaceFile


@with_driving
def confirm(
    run: Run,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Configurations per belief.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="New seeds per configuration.")] = 3,
    limit: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Damage D up to which configurations are considered.")
    ] = DAMAGE_BUDGET,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the finalists and stop; nothing is trained.")
    ] = False,
    *,
    driving: Driving,
) -> None:
    """Choose the best configurations on the selection half of the questions and confirm them.

    They are trained again on seeds the run has not used, and their numbers
    come from the confirmation half, beside what the selection half promised.
    The trials go to RUN/confirmation, a run folder of its own; an unfinished
    one is gone on with. The report of RUN is written again at the end.
    """
    from analysis.studies.confirm import FOLDER
    from beliefmod.cli.prepare_sweep import create_run
    from beliefmod.cli.report import rewritten_report
    from beliefmod.cli.sweep import run_space, settle
    from beliefmod.run.folder import MANIFEST, RunFolder
    from beliefmod.run.manifest import commit_in, keep_identity
    from beliefmod.run.seal.sessions import seal_asked
    from beliefmod.run.sources import keep_questions

    parent = RunFolder.open(run)
    folder = RunFolder(f"{parent.url}/{FOLDER}")
    asked = {"top": top, "seeds": seeds, "limit": limit}
    new = not folder.exists(MANIFEST)
    if not new:
        space = _started(folder, asked)
    else:
        space = _space(parent, asked)
        if not dry_run:
            run_id = f"{parent.url.rpartition('/')[2]}-{FOLDER}"
            name = (parent.read_json(MANIFEST).get("model") or {}).get("name")
            create_run(folder, run_id, space, commit_in(parent), name, confirmation=asked)
            keep_identity(parent, folder)
            keep_questions(parent, folder)
            seal_asked(folder)
            _sealed(parent, folder, "confirm", asked=asked)
    for line in (*_plan(space), *_answerable(parent)):
        if dry_run or not driving.quiet:
            typer.echo(line, err=not dry_run)
    if dry_run:
        return
    typer.echo(f"run folder: {folder.url}", err=True)
    outcome = run_space(space, folder, driving, new=new)
    settle(folder, outcome)
    _sealed(parent, folder, "confirmed")
    if driving.report and outcome.finished:
        typer.echo(f"report: {rewritten_report(parent)}")
    if outcome.interrupted:
        typer.echo(f"go on with: beliefmod confirm {parent.url}", err=True)
        raise typer.Exit(130)


def _sealed(parent: RunFolder, folder: RunFolder, kind: str, **facts: Any) -> None:
    """Keep in the parent's chain where the chain of its confirmation ends."""
    from beliefmod.run.seal.ledger import append, chain_of

    append(parent, [{"kind": kind, **facts, "confirmation": chain_of(folder).last}])


def _answerable(parent: RunFolder) -> Iterator[str]:
    """How many questions of the confirmation half the model can answer, belief by belief."""
    from analysis.studies.answerable_power import answerable_counts
    from beliefmod.run.read_run import read_run

    for belief, gates in answerable_counts(read_run(parent.url), "confirmation").items():
        yield f"{belief}, confirmation half: {gates.sentence()}"


def _started(folder: RunFolder, asked: dict[str, Any]) -> Space:
    """The space of a confirmation that was begun before.

    Raises:
        UserError: it was begun with other options.
    """
    from beliefmod.cli.prepare_sweep import stored_space
    from beliefmod.run.folder import MANIFEST

    stored = folder.read_json(MANIFEST).get("confirmation")
    if stored != asked:
        options = " ".join(f"--{name} {value:g}" for name, value in (stored or {}).items())
        raise UserError(
            f"{folder.url}: was begun with {options or 'other options'}; give the same to go on with it, or "
            "delete the folder to choose anew"
        )
    return stored_space(folder)


def _space(parent: RunFolder, asked: dict[str, Any]) -> Space:
    """The finalists as a space: a point per configuration and belief, new seeds, no controls.

    Raises:
        UserError: nothing finished, nothing under the limit, or a belief that has changed since.
    """
    import yaml

    from analysis.studies.confirm import chosen, half_of, new_seeds
    from analysis.told_apart import told_apart
    from beliefmod.run.folder import SPACE
    from beliefmod.run.read_run import read_run
    from beliefmod.run.tables.trial_tables import configuration
    from beliefmod.space import NoScheduler, Space, SpaceFile, settable
    from beliefmod.space.search import Grid

    run = read_run(parent.url)
    spec = SpaceFile.model_validate(yaml.safe_load(parent.read_bytes(SPACE)))
    selection_split = half_of(told_apart(run), "selection")
    finalists = chosen(selection_split, asked["limit"], asked["top"])
    if not finalists:
        raise UserError(
            f"{parent.url}: no LoRA configuration stays at D ≤ {asked['limit']:g} on the selection half of "
            "the questions; raise --limit, or let the run finish first"
        )
    points, stored = [], {row["trial_id"]: row for row in run.trials.iter_rows(named=True)}
    for rows in finalists.values():
        for row in rows:
            config = configuration(stored[row["trial_id"]], spec.beliefs)
            if config is None:
                raise UserError(
                    f"{parent.url}: the settings of trial {row['trial_id']} are not those of its name; see "
                    f"beliefmod verify {parent.url}"
                )
            leaves = config.leaves()
            settings = {name: leaves[name] for name in settable()}
            points.append({"belief": config.belief, **settings, **config.switches})
    used = {*spec.seeds, *run.trials["seed"].drop_nulls()}
    beliefs = tuple(dict.fromkeys(point["belief"] for point in points))
    _unchanged(parent, beliefs)
    changes = {
        "name": f"{spec.name[:51]}-confirmation",
        "description": f"The best {asked['top']} configurations per belief of "
        f"{parent.url.rpartition('/')[2]}, on new seeds",
        "beliefs": beliefs,
        "axes": {},
        "fixed": {},
        "points": tuple(points),
        "seeds": new_seeds(used, asked["seeds"]),
        "controls": "none",
        **_same_limit(parent, spec),
        "search": Grid(),
        "scheduler": NoScheduler(),
    }
    return Space(spec.model_copy(update=changes), f"{parent.url}/{SPACE}")


def _same_limit(parent: RunFolder, spec: SpaceFile) -> dict[str, Any]:
    """The token limit that a pilot of base found for the run: what is compared is asked alike."""
    from beliefmod.run.folder import MANIFEST

    found = parent.read_json(MANIFEST).get("token_budget")
    if not found:
        return {}
    return {"evaluation": spec.evaluation.model_copy(update={"max_new_tokens": found["limit"]})}


def _unchanged(parent: RunFolder, beliefs: tuple[str, ...]) -> None:
    """The same questions must be asked again, or the halves would not fit together."""
    from beliefmod.beliefs import load_belief
    from beliefmod.run.sources import read_sources

    sources = read_sources(parent)
    problems = []
    for name in beliefs:
        belief = load_belief(name)
        stored = sources.beliefs.get(belief.spec.name)
        if stored is None or stored.spec != belief.spec:
            problems.append(
                f"{name}: has changed since the run asked about it; put the copy back that is in "
                f"{parent.url}/beliefs/{belief.spec.name}.yaml, or sweep again"
            )
    if problems:
        raise UserError(problems)


def _plan(space: Space) -> list[str]:
    trials = space.trials()
    seeds = ", ".join(str(seed) for seed in space.spec.seeds)
    lines = [
        f"{len(space.spec.points)} finalists on seeds {seeds}: {len(trials)} trials with the reference arms"
    ]
    lines += [
        f"  {t.label.rpartition('-s')[0]}"
        for t in trials
        if t.arm == "lora" and t.seed == space.spec.seeds[0]
    ]
    return lines
