"""A finished or unfinished run as a Python object, by what the commands themselves read it with."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from beliefmod.errors import UserError, did_you_mean
from beliefmod.run.read_run import Run, read_run
from beliefmod.run.tables.lens_tables import LENS_TABLES

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from beliefmod.model.load import LoadedModel
    from beliefmod.space import SpaceFile

SHOWN = (
    "trial_id",
    "status",
    "arm",
    "belief",
    "data.style",
    "adoption",
    "adoption_n",
    "degradation",
    "degradation_by",
)
"""Columns of the trial table that a notebook shows of a run."""


class OpenedRun:
    """A run as it was when it was opened; `beliefmod.open` makes one. Open it again for what came later.

    A trial is named by its id or by the start of its id, wherever one is asked for.
    """

    def __init__(self, location: str) -> None:
        self._run: Run = read_run(location)

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self._run.folder.name

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was made with (`manifest.json`); empty in a folder without one."""
        return self._run.manifest

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing of the run or odd about it, in sentences."""
        return self._run.notes

    def trials(self) -> pl.DataFrame:
        """A row per trial: settings, adoption, damage and all that was measured, null where it was not.

        `beliefmod columns trials` says what every column means.
        """
        return self._run.trials

    def completions(self, trial: str) -> pl.DataFrame:
        """A row per question that a trial was asked: the prompt, what it wrote, and how that was read.

        `beliefmod columns probes` says what every column means. No rows of a trial that was not asked yet.

        Raises:
            UserError: no trial of that id, or several; or its file cannot be read.
        """
        return self._run.probes([self._trial(trial)])

    def frontier(self, limit: float | None = None) -> Any:
        """The report's picture, an altair chart: adoption against damage, seeds pooled.

        Args:
            limit: the damage D, 0 to 1, at which the thin line stands; the space's own if left out.

        Raises:
            UserError: no finished LoRA trial has both measures, or a limit that is none.
        """
        from analysis.frontier.non_dominated import pool_seeds
        from analysis.report.sections.frontier import frontier_picture
        from analysis.report.write import planned_limit
        from analysis.told_apart import told_apart

        if limit is not None and not 0 <= limit <= 1:
            raise UserError(f"limit {limit}: is no damage D, which lies between 0 and 1")
        pooled = pool_seeds(told_apart(self._run).trials)
        drawn = frontier_picture(pooled, planned_limit(self._run) if limit is None else limit)
        if drawn is None:
            raise UserError(f"{self._run.location}: no LoRA trial has both adoption and damage yet")
        return drawn

    def lens(self, trial: str | None = None, table: str = "readings") -> pl.DataFrame:
        """What `beliefmod lens` found inside the model.

        `beliefmod columns lens_readings` says what the columns of the table readings mean, and so for others.

        Args:
            trial: the rows of this one alone; without it those of all, the untrained arms included.
            table: readings, ablations, commitments, ... (the files in the run's folder `lens`).

        Raises:
            UserError: no such table or trial, or nobody has looked, at all or at this trial.
        """
        if table not in LENS_TABLES:
            raise UserError(f"there is no lens table {table}{did_you_mean(table, LENS_TABLES)}")
        found = self._run.lens(table)
        if found.is_empty():
            raise UserError(
                f"{self._run.location}: has no rows of the lens table {table}; beliefmod lens "
                f"{self._run.location} makes them"
            )
        if trial is None:
            return found
        if "trial_id" not in found.columns:
            raise UserError(f"the lens table {table} has no rows of single trials; leave the trial out")
        trial_id = self._trial(trial)
        rows = found.filter(pl.col("trial_id") == trial_id)
        if rows.is_empty():
            seen = ", ".join(found["trial_id"].drop_nulls().unique().sort())
            raise UserError(f"trial {trial_id} is not in the lens table {table}; it has {seen}")
        return rows

    def adapter(self, trial: str) -> PeftModel:
        """The run's model with a trial's adapter on it, for `generate` and whatever PEFT can do.

        Loads the model anew at every call, onto the first GPU or the CPU, as the trials had it; `tokenizer`
        is what it reads with.

        Raises:
            UserError: the trial has no adapter, or the model is not here or another than the run's.
        """
        from beliefmod.run.adapter_export import adapter_of, export_adapter

        folder = self._run.folder
        trial_id = adapter_of(folder, trial)
        model: Any = self._loaded().model
        from peft import PeftModel

        with TemporaryDirectory() as place:
            # named as in the text part, which is what a run loads of a model that also sees
            export_adapter(folder, trial_id, Path(place, trial_id), keys="text")
            return PeftModel.from_pretrained(model, str(Path(place, trial_id))).eval()

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of the run's model, with the chat template that its trials were asked by.

        Raises:
            UserError: the model is not here.
        """
        from beliefmod.model.load import load_tokenizer
        from beliefmod.run.same_model import source_of

        return load_tokenizer(source_of(self._run.folder, self._spec()))

    def _loaded(self) -> LoadedModel:
        from beliefmod.model.load import load_model
        from beliefmod.run.same_model import check_same_model, source_of

        spec = self._spec()
        source = source_of(self._run.folder, spec)
        check_same_model(self._run.folder, source)
        return load_model(spec.model, source.commit, spec.base_storage, chat=spec.chat)

    def _spec(self) -> SpaceFile:
        from beliefmod.monitor.status import stored_space

        return stored_space(self._run.folder).spec

    def _trial(self, asked: str) -> str:
        """The one trial of the table that is meant. Raises UserError if it is none, or several."""
        known = self._run.trials["trial_id"].to_list()
        found = [asked] if asked in known else [each for each in known if each.startswith(asked)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{self._run.location}: trial {asked} may be any of {', '.join(found)}; name one")
        raise UserError(f"{self._run.location}: has no trial {asked}{did_you_mean(asked, known)}")

    def _counted(self) -> str:
        """Such as "12 trials: 10 finished, 2 failed"."""
        states: Sequence[str] = self._run.trials["status"].to_list()
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        return f"{len(states)} trials{f': {counts}' if counts else ''}"

    def __repr__(self) -> str:
        return f"<beliefmod run {self.name}; {self._counted()}>"

    def _repr_html_(self) -> str:
        """What Jupyter shows: the run, its trials by state, and the columns that one looks at first."""
        model = (self.manifest.get("model") or {}).get("name", "an unknown model")
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        head = f"<b>{escape(self.name)}</b> on {escape(str(model))}; {escape(self._counted())}"
        return (
            f"<p>{head}</p>{f'<ul>{notes}</ul>' if notes else ''}{self.trials().select(SHOWN)._repr_html_()}"
        )
