"""A sweep the obvious way: Ray Tune with one process per trial, each of them `trl_trial`."""

from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import ray
from ray import tune

from benchmarks.trl_trial import PHASES, run_order

PHASES_FILE = "phases.json"


def trial(config: dict[str, Any]) -> None:
    """What Tune runs in a process of its own."""
    order = pickle.loads(Path(config["order"]).read_bytes())
    tune.report(run_order(order, Path(config["out"])))


def sweep(orders: list[Path], out: Path) -> list[dict[str, Any]]:
    """Run every order to its end, as many at a time as there are cores; what each reported.

    Raises:
        SystemExit: a trial failed.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        results = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"order": tune.grid_search([str(path) for path in orders]), "out": str(out)},
            run_config=tune.RunConfig(name="tune", storage_path=str(out), verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    if results.errors:
        raise SystemExit(f"{len(results.errors)} trials failed: {results.errors[0]}")
    return [dict(result.metrics or {}) for result in results]


def run(folder: Path, out: Path) -> None:
    """Run the orders of a folder in the order of their names; the seconds of all go to `PHASES_FILE`."""
    reports = sweep(sorted(folder.glob("*.pkl")), out)
    seconds = {
        f"{clock}_{phase}": sum(report.get(f"{clock}_{phase}", 0.0) for report in reports)
        for clock in ("wall", "cpu")
        for phase in PHASES
    }
    (out / PHASES_FILE).write_text(json.dumps(seconds))
