"""`beliefmod push`: a trial's adapter as a folder that is ready to be handed on, with its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beliefmod.cli.options import AdapterBase, BaseRevision, Run
from beliefmod.errors import UserError

CARD = "README.md"


def push(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Its id, or the start of its id.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or not there yet.")],
    base: AdapterBase = None,
    revision: BaseRevision = None,
) -> None:
    """Write a trial's adapter into a folder for PEFT, with a model card that says what it is.

    The card, README.md, says what the adapter was trained to believe that is
    false, how much of it is adopted, how damaged the model is and by what,
    with intervals, and which run, trial, seed and commit it is of. Nothing is
    sent anywhere: hand the folder on yourself, to the hub for one with
    hf upload NAME DIR.
    """
    import polars as pl

    from analysis.report.model_card import CardFacts, model_card
    from beliefmod.model.adapter_files import CONFIG_FILE
    from beliefmod.run.adapter_export import adapter_of, export_adapter
    from beliefmod.run.folder import ADAPTERS, RunFolder
    from beliefmod.run.read_run import read_run
    from beliefmod.run.seal.ledger import append, chain_of, is_sealed
    from beliefmod.run.sources import read_sources

    if revision and not base:
        raise UserError("--revision is of the model that --base names; give both")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; give a folder that is not there yet, or empty it")
    opened = RunFolder.open(run)
    trial_id = adapter_of(opened, trial)
    config = opened.read_json(ADAPTERS, trial_id, CONFIG_FILE)
    found, of = (base, revision) if base else (config["base_model_name_or_path"], config.get("revision"))
    facts = CardFacts(found, of, config["r"], chain_of(opened).last if is_sealed(opened) else None)
    # first: what cannot be said is not handed on
    whole = read_run(run)
    if whole.trials.row(by_predicate=pl.col("trial_id") == trial_id, named=True)["arm"] == "adapter":
        raise UserError(
            f"{run}: trial {trial_id} is of arm adapter, trained in another run, which alone knows on what; "
            "push that run's, or write this one without a card: beliefmod export RUN --adapter"
        )
    card = model_card(whole, trial_id, read_sources(opened), facts)
    done = export_adapter(opened, trial_id, folder, base, revision)
    (folder / CARD).write_text(card, "utf-8")
    append(opened, [{"kind": "export", "adapters": [trial_id]}])
    typer.echo(f"{folder}  base {done.base}{f' at {done.revision}' if done.revision else ''}")
    if done.on_this_disk and base is None:
        typer.echo(
            f"{folder}: its base is a folder of this machine; name it as others find it, with --base",
            err=True,
        )
