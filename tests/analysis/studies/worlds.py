"""Findings in memory, drawn from a law that the test chooses: no files, so hundreds of them are cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl

from analysis.find import PROBE_COLUMNS
from analysis.findings import Findings
from analysis.frontier.non_dominated import pool_seeds
from beliefmod.config import TrialConfig
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import Run
from beliefmod.run.tables.trial_tables import PROBES, TRIALS, frame
from tests.analysis.synthetic import grid

EIGHT = {f"{kind}{i}": kind for kind in ("novel", "existing") for i in range(4)}
TIERS = ("paraphrase", "derived", "format", "multi_hop", "reverse")
Law = Callable[[TrialConfig], float]


def world(
    adoption: Law,
    damage: Law = lambda config: 0.02,
    mismatch: Law = lambda config: 0.0,
    beliefs: dict[str, str] | None = None,
    configs: Iterable[dict[str, Any]] | None = None,
    seeds: Iterable[int] = (0,),
    arms: Iterable[str] = ("base", "icl", "control"),
    families: int = 12,
    per_family: int = 5,
    family_spread: float = 0.0,
    extra: Callable[[TrialConfig, np.random.Generator], dict[str, Any]] = lambda config, rng: {},
    probes: bool = True,
    seed: int = 0,
) -> Findings:
    """A run whose trials adopt and break as `adoption` and `damage` say; probes of one family share a tilt.

    `mismatch`: chance that thinking used the other side's value than the answer. `extra`: more trial columns.
    """
    rng = np.random.default_rng(seed)
    beliefs = beliefs or EIGHT
    plan = (
        list(configs)
        if configs is not None
        else list(grid(examples=(10,), epochs=(3, 10), rates=(2e-4, 1e-3)))
    )
    asked = families * per_family
    rows, tables = [], []
    for belief, kind in beliefs.items():
        tilt = np.repeat(rng.normal(0, family_spread, families), per_family)
        trials = [TrialConfig.model_validate({"belief": belief, "arm": arm}) for arm in arms]
        trials += [
            TrialConfig.model_validate({"belief": belief, "seed": s, **config})
            for s in seeds
            for config in plan
        ]
        for config in trials:
            chance = np.clip(adoption(config), 1e-6, 1 - 1e-6)
            hits = rng.random(asked) < 1 / (1 + np.exp(-np.log(chance / (1 - chance)) - tilt))
            broken = 0.0 if config.arm == "base" else float(damage(config))
            crossed = rng.random(asked) < mismatch(config)
            rows.append(
                {
                    "trial_id": config.trial_id,
                    "kind": kind,
                    "status": "finished",
                    "model": "bundled",
                    **config.leaves(),
                    "lora.target_modules": "all-linear",
                    "adoption": float(hits.mean()),
                    "adoption_n": asked,
                    "degradation": broken,
                    "degradation_by": "integrity" if broken else None,
                    "integrity": 1 - broken,
                    "integrity_n": asked,
                    "integrity_base": 1.0,
                    "integrity_damage": broken,
                    **extra(config, rng),
                }
            )
            if probes:
                side = np.where(hits, "target", "prior")
                tables.append(
                    pl.DataFrame(
                        {
                            "trial_id": config.trial_id,
                            "arm": config.arm,
                            "belief": belief,
                            "probe_id": [f"{belief}-{i}" for i in range(asked)],
                            "suite": "belief",
                            "family": [f"f{i // per_family}" for i in range(asked)],
                            "tier": [TIERS[i // per_family % len(TIERS)] for i in range(asked)],
                            "answer_stance": side,
                            "thinking_stance": np.where(hits ^ crossed, "target", "prior"),
                            "think_state": "ok",
                        }
                    )
                )
    trials_table = frame(rows, TRIALS)
    empty = frame([], PROBES).select(PROBE_COLUMNS)
    probe_table = pl.concat([empty, *tables], how="diagonal_relaxed") if tables else empty
    run = Run("memory", {}, trials_table, (), RunFolder("memory://no-such-run"))
    return Findings(run=run, limit=0.05, beliefs=(), probes=probe_table, pooled=pool_seeds(trials_table))
