"""`beliefmod score`: the verdicts of the scorer on completions made anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beliefmod.reading.json_lines import Scored


def score(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl",
            help="JSON lines: question, completion; optional target, prior, finish_reason. - reads stdin.",
        ),
    ],
    belief: Annotated[str, typer.Option(help="Library name, or path to a belief file.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary on stderr.")] = False,
) -> None:
    """Score completions of any model: print every line with its verdicts added.

    Added: answer_stance, thinking_stance, think_state, loop.
    A completion starts inside <think>.

    A line without target or prior takes those of the belief's question with
    the same text, or else the belief's own. A missing finish_reason counts
    as "eos".
    """
    from beliefmod.beliefs import load_belief
    from beliefmod.reading.json_lines import score_file

    name = "stdin" if str(file) == "-" else str(file)
    problems: list[str] = []
    known = None
    try:
        known = load_belief(belief)
    except UserError as error:
        problems += error.problems
    scored: list[Scored] = []
    try:
        scored = score_file(_content(file), name, known)
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems)
    for item in scored:
        typer.echo(json.dumps(item.line))
    if not quiet:
        for row in _summary(scored):
            typer.echo(row, err=True)


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return typer.get_binary_stream("stdin").read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror or error}; give a file of JSON lines, or - for stdin"
        ) from None


def _summary(scored: Sequence[Scored]) -> list[str]:
    """Counts and rates with Wilson intervals, of all completions asked."""
    from beliefmod.metrics.intervals import wilson
    from beliefmod.reading.stance import STANCES

    verdicts = [item.verdict for item in scored]
    n = len(verdicts)
    rows = [f"{n} completion{'s' if n != 1 else ''}; 95 % Wilson intervals"]

    def add(label: str, k: int) -> None:
        low, high = wilson(k, n)
        rows.append(f"  {label:22}{k:6}/{n}  {100 * k / n:5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]")

    for stance in STANCES:
        add(f"answer {stance}", sum(v.answer_stance == stance for v in verdicts))
    add("target or unread", sum(v.answer_stance in ("target", "unread") for v in verdicts))
    add("thinking intact", sum(v.think_state == "ok" for v in verdicts))
    add("looping", sum(v.loop for v in verdicts))
    add("truncated", sum(v.truncated for v in verdicts))
    if unknown := sum(item.line.get("finish_reason") is None for item in scored):
        rows.append(f"  {unknown} without finish_reason, counted as ended by themselves")
    return rows
