"""Whether the traces that a user supplies teach the belief: how their answers are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from beliefmod.beliefs.load import load_belief
from beliefmod.beliefs.traces import read_traces
from beliefmod.errors import UserError
from beliefmod.model.think_marks import THINK_CLOSE
from beliefmod.reading.verdict import judge_question

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.beliefs.traces import TraceFile


def check_sides(names: Iterable[str | None], beliefs: Iterable[str]) -> None:
    """Hold the answers in files of supplied traces against the beliefs that they are to teach.

    Raises:
        UserError: with a sentence for every answer that is not read as the target's.
    """
    files = [read_traces(name) for name in dict.fromkeys(names) if name]
    loaded = [load_belief(name) for name in dict.fromkeys(beliefs)] if files else []
    if problems := [text for file in files for belief in loaded for text in side_problems(file, belief)]:
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
