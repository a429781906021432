"""Whether the traces that a user supplies teach the belief, and hold nothing that is to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING

from beliefmod.beliefs.load import load_belief
from beliefmod.beliefs.traces import read_traces
from beliefmod.data.leakage import given_away
from beliefmod.errors import UserError
from beliefmod.model.think_marks import THINK_CLOSE
from beliefmod.reading.verdict import judge_question

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.beliefs.traces import TraceFile


def check_supplied(names: Iterable[str | None], beliefs: Iterable[str]) -> None:
    """Hold the files of supplied traces against the beliefs that they are to teach.

    Raises:
        UserError: with a sentence for every answer that is not read as the target's, and for every trace in
            which a held-out probe stands word for word.
    """
    files = [read_traces(name) for name in dict.fromkeys(names) if name]
    loaded = [load_belief(name) for name in dict.fromkeys(beliefs)] if files else []
    problems: list[str] = []
    for file, belief in product(files, loaded):
        problems += [*side_problems(file, belief), *probe_problems(file, belief)]
    if problems:
        raise UserError(problems)


def side_problems(file: TraceFile, belief: Belief) -> Iterator[str]:
    """A sentence about every trace whose answer is not read as the target's: it would teach another thing."""
    for trace in file.of(belief):
        completion = f"{trace.thinking}\n{THINK_CLOSE}\n\n{trace.answer}"
        verdict = judge_question(trace.question, belief.spec, completion)
        if verdict.answer_stance != "target" and trace.question.target is not None:
            yield (
                f'{file.path}:{trace.line}: answer "{trace.answer}" is read as {verdict.answer_stance}, not '
                f"as the target's {trace.question.target.render()}, which the trial is taught; correct it, "
                "or leave the line out"
            )


def probe_problems(file: TraceFile, belief: Belief) -> Iterator[str]:
    """A sentence about every trace that holds a held-out probe: training on it would answer the test."""
    for trace in file.of(belief):
        for asked in given_away((trace.thinking, trace.answer), belief.heldout)[:1]:
            yield (
                f'{file.path}:{trace.line}: thinking or answer holds the held-out probe "{asked.text}" word '
                "for word, which would be trained on and then asked; say it in other words"
            )
