"""All parts of an inspection, batch by batch, and what they leave in `RUN/lens/`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.run.manifest import versions
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import PARTS, LensSettings
from interp.opened.arms import deep_trials
from interp.opened.lens_guards import unchanged
from interp.opened.listing import finished_trials
from interp.parts.ablation import ablations
from interp.parts.chain import chain
from interp.parts.channels import channels
from interp.parts.dose_response import doses
from interp.parts.leak import leak
from interp.parts.logit_lens import lens
from interp.parts.overview import SOURCES, overview, read_table
from interp.parts.patching import patching
from interp.parts.truth_probe import truth
from interp.run.batches import KeptBatches, NoteKeeper, PartSpec, Progress, batches, run_batches
from interp.types import Say

if TYPE_CHECKING:
    import polars as pl

    from beliefmod.run.folder import RunFolder
    from interp.opened.inspection import Inspection, TrainedTrial

FOLDER, LENS_MANIFEST = "lens", "manifest.json"


PART_SPECS = {
    "lens": PartSpec(lens, ("readings", "commitments")),
    "ablations": PartSpec(ablations, ("ablations",), deep=True),
    "patching": PartSpec(patching, ("patching",), deep=True),
    "doses": PartSpec(doses, ("doses", "thresholds"), deep_cost=40.0),
    "channels": PartSpec(channels, ("channels",)),
    "chain": PartSpec(chain, ("chain", "early")),
    "truth": PartSpec(truth, ("truth",)),
    "leak": PartSpec(leak, ("leak",)),
}
assert tuple(PART_SPECS) == PARTS


def run_parts(
    inspection: Inspection,
    settings: LensSettings,
    say: Say,
    complete: list[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run the parts that the settings name, one after the other, and write their tables.

    A part's tables are written when it is complete, so what a part cut short had before stays. With named
    trials the rows of other trials are kept, if they were made with the same settings. The overview is put
    together last, from whatever tables there are then.

    Args:
        complete: gets the name of every part that is complete and written.

    Raises:
        UserError: the model's weights changed on the way.
        StorageTrouble: the folder cannot be written.
    """
    for number, name in enumerate(settings.parts, start=1):
        spec, started, notes = PART_SPECS[name], clock(), NoteKeeper(say)
        deep = deep_trials(inspection, settings)
        trials = deep if spec.deep else inspection.trained
        title = f"{name} ({number} of {len(settings.parts)})"
        progress = Progress(title, batches(trials, spec, deep), clock, notes)
        kept_batches = _kept_batches(inspection, name, spec, settings, deep)
        with unchanged(inspection.session.engine.model.model):
            found = run_batches(inspection, spec, progress, settings, kept_batches)
        written = _write(inspection.folder, name, found, settings, notes)
        kept_batches.clear()
        seconds = clock() - started
        _remember(inspection, name, settings, seconds, len(trials), notes.notes)
        if complete is not None:
            complete.append(name)
        say(f"{title}: {len(trials)} trials in {seconds:.0f} s, {written:,} rows")
    folder = inspection.folder
    listed = finished_trials(folder)  # also the trials that were not asked for now
    tables = {name: read_table(folder, FOLDER, name) for name in SOURCES}
    rows = overview(listed.trained, listed.references, tables)
    folder.write_frame(rows, LENS_TABLES["overview"], FOLDER, "overview.parquet")


def _kept_batches(
    inspection: Inspection, name: str, spec: PartSpec, settings: LensSettings, deep: Sequence[TrainedTrial]
) -> KeptBatches:
    """Where the batches of this part are kept, by all that they depend on."""
    asked = {key: value for key, value in vars(settings).items() if key not in ("parts", "named", "deep")}
    depends = {
        "settings": asked,
        "deep": [trial.trial_id for trial in deep],
        "trials": [
            trial.trial_id for trial in inspection.trained
        ],  # the first of a belief brings base's rows
        "model": inspection.session.loaded.fingerprint,
        "versions": versions(),
        "columns": [column.name for table in spec.tables for column in LENS_TABLES[table]],
    }
    return KeptBatches(inspection.folder, FOLDER, name, spec.tables, depends)


def _write(
    folder: RunFolder, name: str, found: dict[str, list[pl.DataFrame]], settings: LensSettings, say: Say
) -> int:
    """Write the tables of a part that is complete; how many rows they have."""
    import polars as pl

    rows = 0
    keep = bool(settings.named) and _same_settings(folder, name, settings)
    if settings.named and not keep and folder.exists(FOLDER, f"{next(iter(found))}.parquet"):
        say(
            f"{name}: what there was of other trials was made with other settings and is replaced; run the "
            "command without --trial to look at all of them again"
        )
    for table, frames in found.items():
        whole = pl.concat([frame((), LENS_TABLES[table]), *frames])
        if keep:
            whole = kept(read_table(folder, FOLDER, table), whole)
        buffer = BytesIO()
        whole.write_parquet(buffer)
        folder.write_bytes(buffer.getvalue(), FOLDER, f"{table}.parquet")
        rows += whole.height
    return rows


def kept(earlier: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The new rows, with the earlier ones of trials that are not among them behind."""
    import polars as pl

    return pl.concat([new, earlier.filter(~pl.col("trial_id").is_in(new["trial_id"].unique().to_list()))])


COMPARABLE = ("prompts", "draws", "seed")
"""Settings that rows must share to stand in one table; the others can be seen in the rows."""


def read_lens_manifest(folder: RunFolder) -> dict[str, Any]:
    """What `lens/manifest.json` holds, empty where it is missing or damaged."""
    try:
        return folder.read_json(FOLDER, LENS_MANIFEST)
    except UserError:
        return {}


def _same_settings(folder: RunFolder, name: str, settings: LensSettings) -> bool:
    earlier = read_lens_manifest(folder).get("parts", {}).get(name, {}).get("settings", {})
    return all(earlier.get(setting) == getattr(settings, setting) for setting in COMPARABLE)


def _remember(
    inspection: Inspection,
    name: str,
    settings: LensSettings,
    seconds: float,
    trials: int,
    notes: Sequence[str],
) -> None:
    """Write into the manifest how a part was run; the other parts' entries stay."""
    folder, loaded = inspection.folder, inspection.session.loaded
    parts = dict(read_lens_manifest(folder).get("parts", {}))
    asked = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(settings).items()}
    parts[name] = {
        "settings": asked,
        "trials": trials,
        "seconds": round(seconds, 1),
        "notes": list(notes),
    }
    parts = {part: parts[part] for part in PARTS if part in parts}
    manifest = {
        "model": {"name": loaded.name, "fingerprint": loaded.fingerprint},
        "versions": versions(),
        "parts": parts,
        "notes": [note for part in parts.values() for note in part["notes"]],
    }
    folder.write_json(manifest, FOLDER, LENS_MANIFEST)
