"""A part's trials batch by batch: in what order, with what is kept of each, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.types import NOTE, Rows, Say

if TYPE_CHECKING:
    import polars as pl

    from interp.opened.inspection import Inspection, Trained
    from interp.run.unfinished import Unfinished

LINE_SECONDS = 5.0


class Part(Protocol):
    """A part of the inspection.

    It gets a batch of trials, at most `ADAPTERS` of them and none of them in the engine,
    and puts into the engine what it needs (`Inspection.loaded`, `Inspection.holding`). Rows of the untrained
    arms it writes for every belief that `first_of_belief` gives it, so that each is written once.
    """

    def __call__(
        self, inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say
    ) -> Rows: ...


@dataclass(frozen=True)
class PartSpec:
    """Where a part is, the tables it writes, and what it does for the deep trials.

    Attributes:
        deep: whether it runs over them only.
        deep_cost: how many times as long one of them takes as another trial, roughly; where it is not 1 they
            have batches of their own.
    """

    place: str
    tables: tuple[str, ...]
    deep: bool = False
    deep_cost: float = 1.0

    def load(self) -> Part:
        """The function."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


@dataclass
class OnBatch:
    """Passes lines on and keeps the notes among them, each once."""

    say: Say
    notes: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        if line.startswith(NOTE):
            note = line.removeprefix(NOTE)
            if note in self.notes:
                return
            self.notes.append(note)
        self.say(line)


def batches(
    trials: Sequence[Trained], spec: PartSpec, deep: Sequence[Trained]
) -> list[tuple[list[Trained], float]]:
    """Trials in batches that fit into the engine, each with what it costs in ordinary trials. Those of one
    belief and one shape of adapter stand beside each other, for these share questions and products."""
    from interp.opened.inspection import ADAPTERS

    order = sorted(trials, key=lambda t: (t.belief, t.config.lora.r, str(t.config.lora.target_modules)))
    named = {trial.trial_id for trial in deep}
    apart = spec.deep or spec.deep_cost != 1.0
    costly = [trial for trial in order if apart and trial.trial_id in named]
    others = [trial for trial in order if not apart or trial.trial_id not in named]
    return [
        *(([trial], spec.deep_cost) for trial in costly),
        *(
            (part, float(len(part)))
            for start in range(0, len(others), ADAPTERS)
            for part in [others[start : start + ADAPTERS]]
        ),
    ]


@dataclass(frozen=True)
class Work:
    """The batches of a part, and the lines on how far it is."""

    title: str
    batches: list[tuple[list[Trained], float]]
    clock: Callable[[], float]
    told: OnBatch

    def each(self) -> Iterator[tuple[list[Trained], bool]]:
        """The batches with whether more follow. Says after one, at most every LINE_SECONDS, how long the
        others may take."""
        whole = sum(cost for _, cost in self.batches)
        count = sum(len(part) for part, _ in self.batches)
        began = said = self.clock()
        spent, trials = 0.0, 0
        for part, cost in self.batches:
            yield part, trials + len(part) < count
            spent, trials, now = spent + cost, trials + len(part), self.clock()
            if trials < count and now - said >= LINE_SECONDS:
                said, left = now, (now - began) / spent * (whole - spent)
                self.told(f"{self.title}: {trials} of {count} trials, about {left:.0f} s left")


def run_batches(
    inspection: Inspection, spec: PartSpec, work: Work, settings: LensSettings, kept_batches: Unfinished
) -> dict[str, list[pl.DataFrame]]:
    """The frames of every table, one per batch: rows as dictionaries would fill the memory of a long run."""
    function, told = spec.load(), work.told
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in spec.tables}
    for part, more in work.each():
        names = [trial.trial_id for trial in part]
        known = kept_batches.read(names)
        if known is not None:
            for note in known[1]:
                told(f"{NOTE}{note}")
        else:
            before = len(told.notes)
            rows: Rows = function(inspection, part, settings, told)
            known = {t: frame(rows.get(t, ()), LENS_TABLES[t]) for t in frames}, told.notes[before:]
            if more:
                kept_batches.write(names, *known)
        for table, found in frames.items():
            found.append(known[0][table])
    return frames
