"""A run folder with as many finished trials as wanted: those of `docs/example`, again and again.

Every trial has its own configuration, row and tables, with the example's answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from beliefmod.config import TrialConfig
from beliefmod.run.folder import FILES, MANIFEST, SPACE, RunFolder
from beliefmod.run.manifest import new_manifest
from beliefmod.run.tables.trial_tables import TABLES
from beliefmod.space import Space, SpaceFile

EXAMPLE = Path(__file__).resolve().parent.parent / "docs" / "example"
TABLE_KINDS = ("probes", "steps", "causal", "drift")
SMALLEST = 10


@dataclass(frozen=True)
class Model:
    """A trial of the example that others are made after: its row and its tables by name."""

    row: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]

    @classmethod
    def read(cls, row_file: Path) -> Model:
        """The trial with this row."""
        row = json.loads(row_file.read_text())
        files = {kind: EXAMPLE / kind / f"{row['trial_id']}.parquet" for kind in TABLE_KINDS}
        return cls(row, {kind: pl.read_parquet(path) for kind, path in files.items() if path.exists()})


def wide_space(trials: int) -> Space:
    """A space of exactly so many trials, at least `SMALLEST`: references, a control, learning rates."""
    rates = [2e-4 * (1 + index / trials) for index in range(trials - 3)]
    spec = {
        "name": "wide",
        "beliefs": ["gravity"],
        "axes": {"learning_rate": rates},
        "fixed": {"data.num_examples": 50, "num_train_epochs": 10},
    }
    return Space(SpaceFile.model_validate(spec), "wide.yaml")


def make_run(path: Path, space: Space, status: str = "finished") -> RunFolder:
    """A run folder in which every trial of the space has finished, its trial table not yet put together."""
    folder = RunFolder(str(path))
    folder.create()
    content = yaml.dump(
        space.spec.model_dump(mode="json"), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    )
    folder.write_bytes(content.encode(), SPACE)
    manifest = new_manifest(folder.name, space, "2026-11-22T10:15:00Z")
    folder.write_json({**manifest, "status": status}, MANIFEST)
    for name in ("rows", *TABLE_KINDS):
        (path / name).mkdir()
    models = [Model.read(file) for file in sorted((EXAMPLE / "rows").glob("*.json"))]
    by_arm = {
        arm: cycle([one for one in models if one.row["arm"] == arm])
        for arm in ("base", "icl", "control", "lora")
    }
    for config in space.trials():
        _write(path, config, next(by_arm[config.arm]))
    return folder


def _write(path: Path, config: TrialConfig, model: Model) -> None:
    """Plain writes: flushing each file to the disk, as hosts do, takes ten times as long."""
    files = {}
    for kind, table in model.tables.items():
        place = path / kind / f"{config.trial_id}.parquet"
        known = [column.name for column in TABLES[kind] if column.name in table.columns]
        table.select(known).with_columns(trial_id=pl.lit(config.trial_id)).write_parquet(place)
        data = place.read_bytes()
        files[f"{kind}/{place.name}"] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    leaves = config.leaves() if config.is_trained else {}
    settings = {name: value for name, value in leaves.items() if name in model.row}
    row = {**model.row, **settings, "belief": "gravity", "trial_id": config.trial_id, FILES: files}
    (path / "rows" / f"{config.trial_id}.json").write_text(json.dumps(row, indent=1))
