"""A part's trials batch by batch: in what order, with what is kept of each, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.types import NOTE, Rows, Say

if TYPE_CHECKING:
    import polars as pl

    from beliefmod.run.folder import RunFolder
    from interp.opened.inspection import Inspection, TrainedTrial

LINE_SECONDS = 5.0
UNFINISHED = "unfinished"
Frames = dict[str, "pl.DataFrame"]


Part = Callable[["Inspection", "Sequence[TrainedTrial]", LensSettings, Say], Rows]
"""A part of the inspection: rows of its tables for a batch of at most `ADAPTERS` trials, which share the
switches of the chat template that the inspection asks with.

None of them is in the engine; it puts there what it needs. Rows of the untrained arms it writes for every
belief that `first_of_belief` gives it, so that each is written once.
"""


@dataclass(frozen=True)
class PartSpec:
    """A part, the tables it writes, and what it does for the deep trials.

    Attributes:
        deep: whether it runs over them only.
        deep_cost: how many times as long one of them takes as another trial, roughly; where it is not 1 they
            have batches of their own.
    """

    run: Part
    tables: tuple[str, ...]
    deep: bool = False
    deep_cost: float = 1.0


@dataclass
class NoteKeeper:
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
    trials: Sequence[TrainedTrial], spec: PartSpec, deep: Sequence[TrainedTrial]
) -> list[tuple[list[TrainedTrial], float]]:
    """Trials in batches that fit into the engine, each with what it costs in ordinary trials. Those of one
    belief and one shape of adapter stand beside each other, for these share questions and products; those
    with other switches of the chat template are in other batches."""
    from interp.opened.inspection import ADAPTERS

    def shape(trial: TrainedTrial) -> tuple[str, int, str]:
        lora = trial.config.lora
        return trial.belief, lora.r, f"{lora.target_modules} {lora.layers_to_transform}"

    order = sorted(trials, key=shape)
    named = {trial.trial_id for trial in deep}
    apart = spec.deep or spec.deep_cost != 1.0
    costly = [trial for trial in order if apart and trial.trial_id in named]
    others = [trial for trial in order if not apart or trial.trial_id not in named]
    return [
        *(([trial], spec.deep_cost) for trial in costly),
        *(
            (part, float(len(part)))
            for template in dict.fromkeys(trial.config.template for trial in others)
            for alike in [[trial for trial in others if trial.config.template == template]]
            for start in range(0, len(alike), ADAPTERS)
            for part in [alike[start : start + ADAPTERS]]
        ),
    ]


@dataclass(frozen=True)
class KeptBatches:
    """Batches of a part that are done, kept in `RUN/lens/unfinished/` until the whole part is.

    A part over a large sweep takes minutes; what is stopped goes on behind its last whole batch when the same
    command is given again. A batch is known by all that its rows depend on, so another setting finds nothing.

    Attributes:
        place: the folder of the lens's tables in the run.
        depends: what all batches depend on beside their trials, as JSON can hold it.
    """

    folder: RunFolder
    place: str
    part: str
    tables: tuple[str, ...]
    depends: Mapping[str, Any]

    def read(self, trials: Sequence[str]) -> tuple[Frames, list[str]] | None:
        """The tables and notes of a batch of trials; None where it was not kept, or is damaged."""
        from polars.exceptions import PolarsError

        name = self._name(trials)
        try:
            notes = self.folder.read_json(*self._path(f"{name}.json"))["notes"]
            frames = {t: self.folder.read_frame(*self._path(f"{name}-{t}.parquet")) for t in self.tables}
        except (UserError, FileNotFoundError, PolarsError, KeyError):
            return None
        return frames, list(notes)

    def write(self, trials: Sequence[str], frames: Frames, notes: Sequence[str]) -> None:
        """Keep a batch; its notes are written last and make it whole.

        Raises:
            StorageTrouble: the folder cannot be written.
        """
        name = self._name(trials)
        for table in self.tables:
            buffer = BytesIO()
            frames[table].write_parquet(buffer)
            self.folder.write_bytes(buffer.getvalue(), *self._path(f"{name}-{table}.parquet"))
        self.folder.write_json({"notes": list(notes)}, *self._path(f"{name}.json"))

    def clear(self) -> None:
        """The part is complete, or what is kept of it is of no use."""
        self.folder.delete(self.place, UNFINISHED, self.part)
        if not self.folder.sizes(self.place, UNFINISHED):
            self.folder.delete(self.place, UNFINISHED)

    def _name(self, trials: Sequence[str]) -> str:
        known = json.dumps([self.depends, list(trials)], sort_keys=True, default=list)
        return sha256(known.encode()).hexdigest()[:20]

    def _path(self, file: str) -> tuple[str, str, str, str]:
        return (self.place, UNFINISHED, self.part, file)


@dataclass(frozen=True)
class Progress:
    """The batches of a part, and the lines on how far it is."""

    title: str
    batches: list[tuple[list[TrainedTrial], float]]
    clock: Callable[[], float]
    notes: NoteKeeper

    def each(self) -> Iterator[tuple[list[TrainedTrial], bool]]:
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
                self.notes(f"{self.title}: {trials} of {count} trials, about {left:.0f} s left")


def run_batches(
    inspection: Inspection,
    spec: PartSpec,
    progress: Progress,
    settings: LensSettings,
    kept: KeptBatches,
) -> dict[str, list[pl.DataFrame]]:
    """The frames of every table, one per batch: rows as dictionaries would fill the memory of a long run."""
    keeper = progress.notes
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in spec.tables}
    for part, more in progress.each():
        names = [trial.trial_id for trial in part]
        known = kept.read(names)
        if known is not None:
            for note in known[1]:
                keeper(f"{NOTE}{note}")
        else:
            before = len(keeper.notes)
            rows = spec.run(inspection.asking(part[0].config.template), part, settings, keeper)
            known = {t: frame(rows.get(t, ()), LENS_TABLES[t]) for t in frames}, keeper.notes[before:]
            if more:
                kept.write(names, *known)
        for table, found in frames.items():
            found.append(known[0][table])
    return frames
