"""What `beliefmod lens` has left in a run folder, and which trials of it the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.findings import Findings
from beliefmod.run.read_run import Run
from beliefmod.run.tables.lens_tables import LENS_TABLES

PARTS = {
    "readings": "what each layer would say",
    "commitments": "where an arm commits",
    "ablations": "which blocks carry the adapter's effect",
    "patching": "which residuals carry it over to base",
    "doses": "adapters at other scales",
    "thresholds": "scales at which belief and damage set in",
    "channels": "thinking against answer inside",
    "chain": "the lens at every cut of the thinking",
    "early": "how early the thinking settles the answer",
    "truth": "truth probes",
    "overview": "one row per trial",
}
"""The tables that a run is said to lack; `leak`, which came later than many runs, is none of them."""


@dataclass(frozen=True)
class ShownTrial:
    """The trained trial that stands for a belief in the charts, with its row of the trial table."""

    belief: str
    trial_id: str
    row: Mapping[str, Any]

    @property
    def title(self) -> str:
        """`gravity, trial 0c035f681a: adoption 85 %, D 0.016`."""
        adoption, damage = self.row.get("adoption"), self.row.get("degradation")
        known = [
            "adoption not measured" if adoption is None else f"adoption {100 * adoption:.0f} %",
            "no D" if damage is None else f"D {damage:.3f}",
        ]
        return f"{self.belief}, trial {self.trial_id}: {', '.join(known)}"


@dataclass(frozen=True)
class Lens:
    """The tables of RUN/lens by name, empty where one is missing; shown: one trial per belief.

    notes: sentences on what is missing. looked: every LoRA trial that was looked at, of each belief the
    shown one first.
    """

    tables: Mapping[str, pl.DataFrame]
    shown: tuple[ShownTrial, ...]
    manifest: Mapping[str, Any]
    notes: tuple[str, ...]
    looked: tuple[ShownTrial, ...] = ()

    def of(self, table: str, shown: ShownTrial) -> pl.DataFrame:
        """The rows of a table about a belief: those of the shown trial and of the untrained arms."""
        rows = self.tables[table].filter(pl.col("belief") == shown.belief)
        return rows.filter((pl.col("trial_id") == shown.trial_id) | pl.col("arm").is_in(["base", "icl"]))


def read_lens(found: Findings) -> Lens | None:
    """The tables, or None where nobody has looked inside (no table has a row).

    Raises:
        UserError: a table cannot be read.
    """
    tables = {name: found.run.lens(name) for name in LENS_TABLES}
    return assemble(tables, found, found.run.lens_manifest())


def assemble(tables: Mapping[str, pl.DataFrame], found: Findings, manifest: Mapping[str, Any]) -> Lens | None:
    """The tables with the trials to show and what is missing; None without any row."""
    if all(table.is_empty() for table in tables.values()):
        return None
    looked = _looked(tables, found)
    first = {one.belief: one for one in reversed(looked)}
    shown = tuple(one for one in looked if first[one.belief] is one)
    return Lens(tables, shown, manifest, tuple(_notes(tables, found.run)), looked)


def _looked(tables: Mapping[str, pl.DataFrame], found: Findings) -> tuple[ShownTrial, ...]:
    """The LoRA trials that were looked at, by belief: first those that most of the costly parts looked at,
    of these the one that adopts most, of equals the one that is damaged least."""
    looked = {name: set(table["trial_id"].drop_nulls()) for name, table in tables.items()}
    every = set().union(*looked.values())
    deep = [looked[name] for name in ("ablations", "patching", "chain", "channels") if looked[name]]
    trials = found.run.trials.filter(
        (pl.col("arm") == "lora") & (pl.col("status") == "finished") & pl.col("trial_id").is_in(list(every))
    ).with_columns(
        pl.sum_horizontal(pl.col("trial_id").is_in(list(ids)).cast(pl.Int64) for ids in deep).alias("deep")
        if deep
        else pl.lit(0).alias("deep")
    )
    order = ["belief", "deep", "adoption", "degradation", "trial_id"]
    best = trials.sort(order, descending=[False, True, True, False, False], nulls_last=True)
    rows = best.iter_rows(named=True)
    return tuple(ShownTrial(row["belief"], row["trial_id"], row) for row in rows)


def _notes(tables: Mapping[str, pl.DataFrame], run: Run) -> list[str]:
    """What is not there, in words."""
    notes = []
    if missing := [words for name, words in PARTS.items() if tables[name].is_empty()]:
        notes.append(f"Not looked at in this run: {'; '.join(missing)}.")
    known = set(run.trials["trial_id"])
    strange = set().union(*(set(table["trial_id"].drop_nulls()) for table in tables.values())) - known
    if strange:
        notes.append(
            f"The tables in lens/ name {len(strange)} trial{'s' * (len(strange) > 1)} that the trial table "
            f"does not have (first: {sorted(strange)[0]}); run `beliefmod lens` again."
        )
    return notes
