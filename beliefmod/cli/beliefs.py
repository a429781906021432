"""`beliefmod beliefs`: what is in the library, what a belief asks, and how to write one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.cli import check_belief, new_belief
from beliefmod.cli.aligned import columns
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.beliefs.spec import Value

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List, show, check and write beliefs.",
    epilog="Example: beliefmod beliefs show gravity",
)
app.command(
    "new",
    epilog="Example: beliefmod beliefs new eiffel --subject 'the height of the Eiffel Tower' "
    "--target '400 m' --prior '330 m'",
)(new_belief.new)
app.command("check", epilog="Example: beliefmod beliefs check eiffel.yaml --model smollm2-think")(
    check_belief.check
)


@app.command("list", epilog="Example: beliefmod beliefs list")
def list_() -> None:
    """Show every belief of the library with its two worlds and its number of questions.

    Robustness questions are held out too, and counted there as well.
    """
    from beliefmod.beliefs import belief_names, load_belief

    rows: list[tuple[str, ...]] = [
        ("name", "kind", "value", "target", "prior", "training", "held-out", "robustness", "locality")
    ]
    for name in belief_names():
        belief = load_belief(name)
        spec = belief.spec
        pressed = [question for question in belief.heldout if question.tier == "robustness"]
        counts = (str(len(part)) for part in (belief.training, belief.heldout, pressed, belief.locality))
        rows.append(
            (name, spec.kind, _value_kind(spec.target), _world(spec.target), _world(spec.prior), *counts)
        )
    for line in columns(rows, right=(5, 6, 7, 8)):
        typer.echo(line)


@app.command(epilog="Example: beliefmod beliefs show neelam --all")
def show(
    name: Annotated[str, typer.Argument(help="A library name, or the path of a belief file.")],
    every: Annotated[bool, typer.Option("--all", help="Print every question, not one per family.")] = False,
) -> None:
    """Show a belief: its statement, its question families and their answers in both worlds."""
    from beliefmod.beliefs import load_belief

    belief = load_belief(name)
    spec = belief.spec
    typer.echo(f"{spec.name} ({spec.kind}, {_value_kind(spec.target)})")
    typer.echo(f"  statement   {spec.statement}")
    if spec.true_statement:
        typer.echo(f"  true        {spec.true_statement}")
    if spec.context != spec.statement:
        typer.echo(f"  context     {spec.context}")
    typer.echo(f"  target      {_world(spec.target)}")
    typer.echo(f"  prior       {_world(spec.prior)}")
    for title, questions in (
        ("training", belief.training),
        ("held out", belief.heldout),
        ("locality", belief.locality),
    ):
        typer.echo(f"\n{title}: {_count(questions)}")
        for line in columns(_question_rows(questions, every)):
            typer.echo(f"  {line}")


@app.command(epilog="Example: beliefmod beliefs validate week.yaml gravity")
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Belief files or library names.")],
) -> None:
    """Check belief files and print every problem, each with file, line, field and fix."""
    from beliefmod.beliefs import load_belief

    problems: list[str] = []
    for name in files:
        try:
            belief = load_belief(name)
        except UserError as error:
            problems += error.problems
            continue
        typer.echo(
            f"ok  {name}  {len(belief.training)} training, {len(belief.heldout)} held-out and "
            f"{len(belief.locality)} locality questions"
        )
    if problems:
        raise UserError(problems)


def _value_kind(value: Value) -> str:
    return "" if value.answer is None else value.answer.kind


def _world(value: Value) -> str:
    text = "" if value.answer is None else value.answer.render()
    if getattr(value, "ignorance", False):
        return f"unknown ({text})" if text else "unknown"
    return text


def _count(questions: Sequence[Question]) -> str:
    families = len({question.family for question in questions})
    return f"{len(questions)} questions in {families} families"


def _question_rows(questions: Sequence[Question], every: bool) -> list[tuple[str, ...]]:
    """Family, tier, number of its questions, question, answers; one question per family unless `every`."""
    rows: list[tuple[str, ...]] = []
    sizes: dict[str, int] = {}
    for question in questions:
        sizes[question.family] = sizes.get(question.family, 0) + 1
    seen: set[str] = set()
    for question in questions:
        if question.family in seen and not every:
            continue
        first = question.family not in seen
        seen.add(question.family)
        if question.correct is not None:
            bleed = f" (bleed: {question.target.render()})" if question.target else ""
            answers = f"{question.correct.render()}{bleed}"
        else:
            target = question.target.render() if question.target else "?"
            answers = f"{target} | {question.prior.render() if question.prior else 'unknown'}"
        rows.append(
            (
                question.family if first else "",
                question.tier if first else "",
                str(sizes[question.family]) if first else "",
                question.text if question.follow_up is None else f"{question.text} / {question.follow_up}",
                answers,
            )
        )
    return rows
