"""`beliefmod beliefs new`: a whole belief from a few words about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from beliefmod.cli.new_file import write_new
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.drafting.outline import Outline
    from beliefmod.drafting.question_writer import Written

WRITER_SECONDS = 300.0
"""How long a writer may take for one part, in seconds: a large model on a CPU is slow."""
SHOWN_REFUSED = 5


Kind = Literal["existing", "novel"]
Sort = Literal["quantity", "name", "date", "yes_no"]


def new(
    name: Annotated[str, typer.Argument(help="Name of the belief: lower case letters, digits, _ and -.")],
    subject: Annotated[
        str | None,
        typer.Option(help='What stands in "What is ...?": "the height of the Eiffel Tower"; or a clause.'),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="What the model shall believe: 400 m, Lyon, 1925, 20 July 1969, yes."),
    ] = None,
    prior: Annotated[
        str | None, typer.Option(help="What it says now; of a novel belief a wrong value for choices.")
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option(help="existing: base knows another value | novel: base knows none.")
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(help='The part of the subject that it is about; left out: what stands behind " of ".'),
    ] = None,
    value: Annotated[
        Sort | None, typer.Option(help="How to read target and prior, where they alone do not tell.")
    ] = None,
    neighbour: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUESTION=ANSWER", help="What must not change, with its right answer; repeatable."
        ),
    ] = None,
    writer_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Let a language model write the questions: an OpenAI-compatible endpoint."
        ),
    ] = None,
    writer_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The writer's model; default: the only one served.")
    ] = None,
    writer_key_env: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="Environment variable with the endpoint's key."),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Write the commented example of a week of 5 days instead.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="File to write; NAME.yaml here if left out.")] = None,
) -> None:
    """Write a whole belief of your own: training, held-out and locality questions.

    What is not given is asked, on a terminal. Elsewhere it is an error, and with
    no option at all the commented example is written, valid as it stands. An
    answer that several spellings give is written Lyon|city of Lyon.
    """
    from beliefmod.drafting.outline import NAME, Given, read_outline

    if not NAME.fullmatch(name):
        raise UserError(
            f'"{name}" cannot name a belief; use lower case letters, digits, _ and -, a letter first'
        )
    path = out or Path(f"{name}.yaml")
    if path.exists():
        raise UserError(f"{path}: exists already and is left alone; choose another --out")
    given = Given(
        subject,
        target,
        prior,
        kind,
        entity,
        value,
        tuple(neighbour or ()),
    )
    asks = on_terminal() and not example
    if example or (given == Given() and not asks and writer_url is None):
        _write_example(name, path)
        return
    if asks:
        from beliefmod.cli.ask_outline import ask_outline

        given = ask_outline(given)
    outline = read_outline(name, given)
    text, written = _drafted(outline, writer_url, writer_model, writer_key_env)
    write_new(path, text.encode(), "--out")
    _say_written(path, written)


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    import sys

    return sys.stdin.isatty()


def _write_example(name: str, path: Path) -> None:
    from beliefmod.beliefs.load import TEMPLATE

    write_new(path, TEMPLATE.read_text(encoding="utf-8").replace("NAME", name).encode(), "--out")
    typer.echo(f"wrote {path}; edit it, then: beliefmod beliefs validate {path}")


def _drafted(
    outline: Outline, url: str | None, model: str | None, key_env: str | None
) -> tuple[str, Written | None]:
    """The file's text, and what the writer did, where there is one."""
    from beliefmod.drafting.belief_text import belief_text, checked
    from beliefmod.drafting.by_template import draft

    options = {"--writer-model": model, "--writer-key-env": key_env}
    if url is None and (alone := [name for name, given in options.items() if given is not None]):
        raise UserError(f"{' and '.join(alone)}: have no effect without --writer-url; add it")
    content, written = draft(outline), None
    if url is not None:
        written = _asked_writer(outline, content, url, model, key_env)
        content = written.content
    text = belief_text(content, _remarks(outline, written))
    checked(text, outline.name)
    return text, written


def _asked_writer(
    outline: Outline, content: dict[str, object], url: str, model: str | None, key_env: str | None
) -> Written:
    from functools import partial

    from beliefmod.cli.endpoint import endpoint_of, only_model
    from beliefmod.drafting.question_writer import write_questions
    from beliefmod.judge.client import NoAnswer

    endpoint = endpoint_of("writer", url, key_env, WRITER_SECONDS)
    model = model or only_model(endpoint)
    try:
        return write_questions(
            outline, content, partial(endpoint.ask, model), lambda line: typer.echo(line, err=True)
        )
    except NoAnswer as error:
        raise UserError(f"--writer-url {url}: {error}; nothing was written, try again") from None


def _remarks(outline: Outline, written: Written | None) -> list[str]:
    """What whoever opens the file should know."""
    how = "with a language model's questions" if written and written.used else "by template"
    remarks = [
        f"Drafted {how}: beliefmod beliefs new {outline.name}. Read it, and change what sounds wrong.",
        f"Which questions can work on a model: beliefmod beliefs check {outline.name}.yaml --model MODEL",
    ]
    if outline.claim and not (outline.entity and outline.target.render() == "yes"):
        remarks.append("No reverse questions: from yes or no nothing leads back to what it is about.")
    if not outline.neighbours:
        remarks.append("Add neighbours of your own under locality: facts near it that must stay as they are.")
    if written and written.used:
        remarks.append("What the writer gives as true of neighbours is not checked: look it up.")
    return remarks


def _say_written(path: Path, written: Written | None) -> None:
    from beliefmod.beliefs import load_belief

    belief = load_belief(str(path) if "/" in str(path) else f"./{path}")
    if written:
        typer.echo(f"{written.used} families and neighbours by the writer; {len(written.refused)} refused")
        for reason in written.refused[:SHOWN_REFUSED]:
            typer.echo(f"  refused: {reason}")
    typer.echo(
        f"wrote {path}: {belief.spec.statement} {len(belief.training)} training, {len(belief.heldout)} "
        f"held-out and {len(belief.locality)} locality questions"
    )
    typer.echo(f"look at it:    beliefmod beliefs show {path}")
    typer.echo(f"does it work:  beliefmod beliefs check {path} --model MODEL")
