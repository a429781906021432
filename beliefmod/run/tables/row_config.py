"""From a row of the trial table back to the configuration that made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beliefmod.config import TrialConfig, leaf_fields, unflatten


def configuration(row: Mapping[str, Any], beliefs: Iterable[str]) -> TrialConfig | None:
    """The configuration whose hash is the row's trial_id, None if the row's settings give another hash.

    Args:
        row: a row of the trial table.
        beliefs: beliefs as the space names them; a path is part of the hash, its belief's name is not.
    """
    leaves = {name: row[name] for name in leaf_fields() if row.get(name) is not None}
    modules = leaves.get("lora.target_modules")
    if modules not in (None, "all-linear"):
        leaves["lora.target_modules"] = tuple(str(modules).split(","))
    for belief in beliefs:
        try:
            config = TrialConfig.model_validate(unflatten({**leaves, "belief": belief}))
        except ValueError:
            return None
        if config.trial_id == row["trial_id"]:
            return config
    return None
