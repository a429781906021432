"""A part of the aggressive sweep through the baseline and through beliefmod, side by side.

The baseline is one Ray Tune trial = one process with TRL's SFTTrainer, PEFT, an NF4 base and `generate`.
Both sides train the same trials on the same rows for the same optimiser steps, put the same prompts with the
same token limit, judge the answers with the same judge and store adapters and answers. Making the training
rows is not counted against the baseline. Rounds alternate; each side is a fresh process from its first
import to its end. What both did is compared, not only timed. A third line has beliefmod's default measures on
top (margins, causal tests, drift), which the baseline does not take.

    python -m benchmarks.against_trl --size small --repeats 1
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import command_line, print_table, sweep, work_folder
from benchmarks.measure import ROOT, Measured, measured
from benchmarks.trl_trial import PHASES, TrialWork, do_work

SPACE = ROOT / "sweeps" / "aggressive.yaml"
# what is cut out of the aggressive grid; the axes over examples and epochs are whole but in "tiny"
SIZES: dict[str, list[str]] = {
    "tiny": [
        "beliefs=[gravity]",
        "axes.learning_rate=[1.0e-3]",
        "axes.data.num_examples=[10]",
        "axes.num_train_epochs=[1,3]",
        "axes.data.style=[answer_only]",
    ],
    "small": ["beliefs=[gravity]", "axes.learning_rate=[1.0e-3]"],
    "medium": ["beliefs=[gravity]"],
    "full": [],
}
ONLY_PROBES = ["evaluation.causal_probes=0", "evaluation.margin_probes=0", "evaluation.neutral_passages=0"]
BASELINE, SAME, ALL = "Ray Tune + TRL", "beliefmod", "beliefmod, all its measures"


class Round(NamedTuple):
    """One side, once: the folder it left, CPU seconds by phase where it tells them, and what it took."""

    folder: Path
    phases: dict[str, float] | None
    took: Measured


def prepare(overrides: Sequence[str], batch: int, work: Path) -> None:
    """Write one order per trial: the rows and questions that beliefmod itself makes of its configuration."""
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import load_model
    from beliefmod.model.source import find_source
    from beliefmod.probing.probes import probes_for
    from beliefmod.probing.session import Session
    from beliefmod.space.load import load_space
    from beliefmod.trial import prepare as prepare_trial

    space = load_space(SPACE, overrides)
    loaded = load_model(space.spec.model)
    session = Session(loaded, Engine(loaded, 1, 64), space.spec.evaluation, space.spec.seeds[0])
    orders = work / "orders"
    orders.mkdir()
    for number, config in enumerate(sorted(space.trials(), key=lambda config: -config.total_steps)):
        run, belief = prepare_trial(config, session), session.belief(config.belief)
        order = TrialWork(
            model_folder=str(find_source(space.spec.model).folder),
            config=config,
            rows=run.job.rows if run.job else (),
            probes=probes_for(
                belief,
                session.capability,
                run.trained,
                trained_probes=space.spec.evaluation.trained_probes,
                margin_probes=0,
                fabrication=session.fabrication,
            ),
            belief=belief,
            context=belief.spec.context if config.arm == "icl" else None,
            max_new_tokens=session.decoding.max_new_tokens,
            batch=batch,
        )
        (orders / f"{number:04d}.pkl").write_bytes(pickle.dumps(order))


def trl_trial(config: dict[str, Any]) -> None:
    """What Tune runs in a process of its own."""
    from ray import tune

    order = pickle.loads(Path(config["order"]).read_bytes())
    tune.report(do_work(order, Path(config["out"])))


def run_trl(out: str, orders: str) -> dict[str, float]:
    """Run every order of a folder, by name, in a process of its own, as many at a time as there are cores.

    Returns:
        CPU seconds of all trials by phase.

    Raises:
        SystemExit: a trial failed.
    """
    import ray
    from ray import tune

    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        results = tune.Tuner(
            tune.with_resources(trl_trial, {"cpu": 1}),
            param_space={"order": tune.grid_search(sorted(map(str, Path(orders).glob("*.pkl")))), "out": out},
            run_config=tune.RunConfig(name="tune", storage_path=out, verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    if results.errors:
        raise SystemExit(f"{len(results.errors)} trials failed: {results.errors[0]}")
    reports = [result.metrics or {} for result in results]
    return {phase: sum(report["cpu"].get(phase, 0.0) for report in reports) for phase in PHASES}


def run_beliefmod(out: str, *overrides: str) -> None:
    """The sweep of the space with these overrides."""
    from beliefmod.space.load import load_space

    outcome = sweep(load_space(SPACE, overrides), Path(out))
    if outcome.failed or outcome.missing:
        raise SystemExit(f"{outcome.failed} trials failed, {outcome.missing} were not run")


def differences(one: Path, other: Path) -> list[str]:
    """In what the work of two runs differs: trials, optimiser steps, prompts of the first turn."""
    from beliefmod.run.folder import RunFolder

    folders = [RunFolder(str(path)) for path in (one, other)]
    rows = [{row["trial_id"]: row for row in folder.rows()} for folder in folders]
    if set(rows[0]) != set(rows[1]):
        return [f"trials: {sorted(set(rows[0]) ^ set(rows[1]))}"]
    found = []
    for trial_id in rows[0]:
        steps = [table[trial_id].get("steps") or 0 for table in rows]
        if steps[0] != steps[1]:
            found.append(f"{trial_id}: {steps[0]} and {steps[1]} optimiser steps")
        asked = [_prompts(folder, trial_id) for folder in folders]
        if asked[0] != asked[1]:
            found.append(f"{trial_id}: other prompts")
    return found


def _prompts(folder: Any, trial_id: str) -> list[str]:
    """The prompts that were put, a second turn's without the first answer, which is the trial's own."""
    table = folder.read_frame("probes", f"{trial_id}.parquet")
    return sorted(
        row["prompt"] if row["first_turn"] is None else row["question"] for row in table.iter_rows(named=True)
    )


def adoption(folder: Path) -> dict[str, float]:
    """Adoption of each trial."""
    from beliefmod.run.folder import RunFolder

    return {row["trial_id"]: row["adoption"] for row in RunFolder(str(folder)).rows()}


def alternate(options: argparse.Namespace, work: Path) -> dict[str, list[Round]]:
    """Run every side `--repeats` times, in turn, and compare what they did."""
    overrides = SIZES[options.size]
    sides: dict[str, tuple[Callable[..., Any], list[str]]] = {
        BASELINE: (run_trl, [str(work / "orders")]),
        SAME: (run_beliefmod, [*overrides, *ONLY_PROBES]),
        ALL: (run_beliefmod, overrides),
    }
    if options.without_all_measures:
        del sides[ALL]
    prepare([*overrides, *ONLY_PROBES], options.batch, work)
    rounds: dict[str, list[Round]] = {side: [] for side in sides}
    for number in range(options.repeats):
        for side, (function, arguments) in sides.items():
            # a parent of its own: beliefmod keeps answers beside its runs, and no round may find another's
            folder = work / f"{number}-{list(sides).index(side)}" / "run"
            folder.mkdir(parents=True)
            given, log = [str(folder), *arguments], folder.with_name("log")
            phases, took = measured(function, *given, log=log, memory_seconds=options.memory_seconds)
            rounds[side].append(Round(folder, phases, took))
            print(f"round {number + 1}: {side}: {took.wall:.0f} s, {took.all_cpu:.0f} s of CPU", flush=True)
        if different := differences(rounds[BASELINE][-1].folder, rounds[SAME][-1].folder):
            raise SystemExit("the sides did different work:\n" + "\n".join(different))
    return rounds


def report(options: argparse.Namespace, rounds: dict[str, list[Round]]) -> None:
    """The table."""
    trials = len(adoption(rounds[SAME][0].folder))
    middle = {
        side: [statistics.median(getattr(r.took, name) for r in done) for name in ("wall", "all_cpu", "peak")]
        for side, done in rounds.items()
    }
    wall, cpu, _ = middle[BASELINE]
    rows = [
        [
            side,
            f"{took[0]:.0f} s",
            f"{wall / took[0]:.1f}",
            f"{took[1]:.0f} s",
            f"{cpu / took[1]:.1f}",
            f"{took[1] / trials:.2f} s",
            f"{took[2] / 2**30:.2f} GiB" if took[2] else "not measured",
        ]
        for side, took in middle.items()
    ]
    one, other = (adoption(rounds[side][-1].folder) for side in (BASELINE, SAME))
    phases = rounds[BASELINE][-1].phases or {}
    gap = statistics.mean(abs(one[trial_id] - other[trial_id]) for trial_id in one)
    print_table(
        f"{trials} trials of the aggressive sweep ({options.size}) through the baseline and beliefmod",
        [
            f"Medians of {options.repeats} alternating rounds; each side from its first import to its end.",
            "Same trials, optimiser steps and prompts (compared). Order of rows and initial weights are each "
            f"side's own; adoption: mean {statistics.mean(one.values()):.3f} and "
            f"{statistics.mean(other.values()):.3f}, mean difference per trial {gap:.3f}.",
            *(f"CPU seconds, {side}: {done[-1].took.told()}." for side, done in rounds.items()),
            "CPU seconds inside the baseline's trials: "
            f"{', '.join(f'{phase} {seconds:.0f}' for phase, seconds in phases.items())}.",
        ],
        ["side", "wall", "times faster", "CPU", "times less", "CPU per trial", "peak memory"],
        rows,
        ("torch", "transformers", "peft", "trl", "bitsandbytes", "ray"),
    )


def main() -> None:
    parser = command_line(__doc__, repeats=1)
    parser.add_argument("--size", choices=SIZES, default="small", help="how much of the grid")
    parser.add_argument("--batch", type=int, default=256, help="prompts of one `generate` call")
    parser.add_argument(
        "--memory-seconds", type=float, default=5.0, help="how often to sample memory; 0: not"
    )
    parser.add_argument("--without-all-measures", action="store_true", help="leave the third line out")
    options = parser.parse_args()
    with work_folder() as work:
        report(options, alternate(options, Path(work)))


if __name__ == "__main__":
    main()
