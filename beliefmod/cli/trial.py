"""`beliefmod trial`: one trial in this process, without Ray - the way to look at what goes wrong."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli.options import ChatTemplate

if TYPE_CHECKING:
    from beliefmod.engine.jobs import StepReport
    from beliefmod.probing.decoding import Decoding


class ArmName(StrEnum):
    """Which arm of the experiment."""

    lora = "lora"
    control = "control"
    full = "full"
    base = "base"
    icl = "icl"
    prompt = "prompt"
    few_shot = "few_shot"
    steering = "steering"
    adapter = "adapter"


class Storage(StrEnum):
    """How the base's weights are kept."""

    dequantized = "dequantized"
    nf4 = "nf4"
    none = "none"


def trial(
    belief: Annotated[str, typer.Option(help="Library name, or path to a belief file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A setting, such as learning_rate=1.0e-3 or template.enable_thinking=false; repeatable.",
        ),
    ] = None,
    arm: Annotated[
        ArmName,
        typer.Option(
            help="control: trained on what base says; full: every weight trained, no adapter; "
            "icl: statement in the prompt; prompt, few_shot, steering, adapter: other ways without training."
        ),
    ] = ArmName.lora,
    model: Annotated[
        str, typer.Option(help="bundled, a name of the catalogue or the hub, a folder or a GGUF file.")
    ] = "bundled",
    revision: Annotated[str | None, typer.Option(help="Of a hub name: branch, tag or commit.")] = None,
    chat_template: ChatTemplate = None,
    base_storage: Annotated[
        Storage, typer.Option(help="NF4 unpacked once, NF4 kept packed, or not quantised.")
    ] = Storage.dequantized,
    seed: Annotated[int, typer.Option(help="Initialisation, example choice and data order.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for probes, steps, adapter and row; default: keep nothing.")
    ] = None,
    answers: Annotated[int, typer.Option(min=0, help="Belief answers to print in full.")] = 3,
) -> None:
    """Train and question one trial without Ray; print its row and a few answers."""
    from beliefmod.data.prompt_frame import check_few_shot
    from beliefmod.data.supplied_traces import check_supplied
    from beliefmod.model.source import find_source
    from beliefmod.run.folder import RunFolder
    from beliefmod.space.load import load_trial

    config, chat = load_trial(belief, arm.value, seed, set_ or [], chat_template)
    check_supplied([config.data.traces], [belief])
    source = find_source(model, revision, chat)
    # what follows takes seconds to import
    from beliefmod.engine.engine import Engine
    from beliefmod.model.architecture import model_config
    from beliefmod.model.load import check_model, load_model, load_tokenizer
    from beliefmod.model.size import positions
    from beliefmod.model.target_modules import check_steering, check_targets
    from beliefmod.model.template import opens_thinking
    from beliefmod.model.template_check import check_masking, check_place_for_thinking, check_system_turn
    from beliefmod.probing.budget_pilot import settle
    from beliefmod.probing.drift import self_test
    from beliefmod.probing.session import Session
    from beliefmod.run.source_adapters import check_adapters
    from beliefmod.space import Evaluation
    from beliefmod.trial import TrialFailed, run_trial

    folder = RunFolder(str(out)) if out else None
    if folder:
        folder.create()
    check_model(source)
    check_targets(source, [config.lora.target_modules], [config.lora.layers_to_transform])
    check_steering(source, [config.steering.layer])
    check_adapters(source, [config])
    if config.context.place == "system":
        check_system_turn(source.name, load_tokenizer(source))
    check_few_shot([config], load_tokenizer(source), positions(model_config(source)), 1)
    check_masking(source.name, load_tokenizer(source), [config.data.masks_thinking])
    check_place_for_thinking(source.name, load_tokenizer(source), [config.data.style])
    loaded = load_model(model, source.commit, base_storage.value, chat=chat)
    session = Session(loaded, Engine(loaded, slots=1, max_rank=config.max_rank), Evaluation(), seed, folder)
    if budget := settle([config.belief], session):
        typer.echo(f"token limit: {budget.words()}", err=True)
    _show_decoding(session.decoding)
    self_test(session)
    try:
        result = run_trial(config, session, folder, on_step=_show_step)
    except TrialFailed as error:
        typer.echo(f"failed: {error}", err=True)
        raise typer.Exit(1) from None
    for name, value in result.row.items():
        if value is not None:
            typer.echo(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    opened = "<think>\n" if opens_thinking(loaded.tokenizer) else ""
    for probe in [probe for probe in result.probes if probe["suite"] == "belief"][:answers]:
        typer.echo(
            f"\n{probe['question']}\n{opened}{probe['completion'].strip()}\n-> {probe['answer_stance']}"
        )


def _show_decoding(decoding: Decoding) -> None:
    from beliefmod.probing.decoding_words import decoding_words, not_applied_note

    facts = decoding.facts()
    typer.echo(f"answers: {decoding_words(facts)}, at most {decoding.max_new_tokens} tokens each", err=True)
    if note := not_applied_note(facts):
        typer.echo(note, err=True)


def _show_step(report: StepReport) -> None:
    if report.finished or report.step % 10 == 1:
        loss = "none" if report.loss is None else f"{report.loss:.4f}"
        typer.echo(f"step {report.step}/{report.total_steps}  loss {loss}", err=True)
