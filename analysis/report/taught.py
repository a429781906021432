"""What a run's adapters are taught, in the words of the belief files that the run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.findings import Findings
from beliefmod.errors import UserError
from beliefmod.run.sources import read_sources


@dataclass(frozen=True)
class Taught:
    """A belief in a sentence: `statement` is what is taught; `truth` what holds instead, None for something
    made up."""

    statement: str
    truth: str | None

    @property
    def kind(self) -> str:
        """What the statement is, in a word or two."""
        return "made up" if self.truth is None else "false"


def taught(found: Findings) -> Mapping[str, Taught]:
    """Belief, as tables have it, -> what is taught; nothing of a run that keeps no belief files."""
    try:
        beliefs = read_sources(found.run.folder).beliefs
    except (UserError, OSError):
        return {}
    names = [belief.choice.belief for belief in found.beliefs]
    specs = {
        name: beliefs.get(name.partition(", ")[0]) for name in names
    }  # behind it, switches of the template
    return {
        name: Taught(belief.spec.statement, belief.spec.true_statement)
        for name, belief in specs.items()
        if belief is not None
    }
