"""The two comparisons that decide on a GPU, in one script without network and without Ray.

1. Packed: K adapters trained in one pack against PEFT one adapter at a time, in one process
   (`packed_training`).
2. Whole trials, rows trained and prompts answered: a process with TRL, PEFT on NF4 and `generate` per trial
   against one process with the engine for all of them. All trials have rows and prompts of the same sizes, so
   a few processes of the baseline are run and their median stands for each; on one GPU they come one
   after another.

The base is a randomly initialised Qwen3 of 4 B's sizes, written to a temporary folder layer by layer (8 GB of
disk) and quantised to NF4 by both sides. It never ends an answer, so every answer has the token limit.

    python -m benchmarks.gpu               # on a machine with a GPU, about 20 minutes
    python -m benchmarks.gpu --tiny        # tries the script on a CPU
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import command_line, medians, one_thread, print_table, work_folder
from benchmarks.measure import Measured, measured
from benchmarks.packed_training import HEADER, compare, random_rows, table
from benchmarks.random_model import SHAPES, write_random_model

PHASES = ("load", "train", "generate")
LIBRARIES = ("torch", "transformers", "peft", "trl", "bitsandbytes")


@dataclass(frozen=True)
class Plan:
    """The work of every trial, and how much of it at once.

    Attributes:
        prompts: prompts that every trial answers with `max_new_tokens` tokens each.
        batch: prompts of one `generate` call of the baseline.
        slots: adapters that the engine holds at a time.
    """

    model_folder: str
    shape: str
    trials: int
    rows: int
    epochs: int
    rank: int
    prompts: int
    prompt_tokens: int
    max_new_tokens: int
    batch: int
    slots: int

    def prompt_ids(self) -> list[tuple[int, ...]]:
        """Random prompts, the same for every trial."""
        shape = SHAPES[self.shape]
        rows = random_rows(self.prompts, shape, seed=1)
        return [(row.input_ids * self.prompt_tokens)[: self.prompt_tokens] for row in rows]


def baseline_trial(plan: Plan) -> dict[str, float]:
    """One trial as a process of its own does it; optimiser steps, generated tokens, seconds per phase."""
    from benchmarks.trl_trial import Phases, complete, load_base, train

    one_thread()
    phases = Phases()
    rows = [(row.input_ids, row.prompt_length) for row in random_rows(plan.rows, SHAPES[plan.shape])]
    settings = {"num_train_epochs": plan.epochs, "per_device_train_batch_size": 4, "learning_rate": 1e-4}
    lora = {"r": plan.rank, "lora_alpha": 2 * plan.rank, "target_modules": "all-linear"}
    with phases.of("load"):
        model, tokenizer = load_base(plan.model_folder)
    with tempfile.TemporaryDirectory() as out, phases.of("train"):
        model, steps = train(model, tokenizer, rows, settings, lora, Path(out))
    with phases.of("generate"):
        answers = complete(model, tokenizer, plan.prompt_ids(), plan.max_new_tokens, plan.batch)
    return {"steps": steps, "generated": sum(map(len, answers)), **phases.wall}


def engine_trials(plan: Plan) -> dict[str, float]:
    """All trials in one process, as many at a time as there are slots; sums over them."""
    from beliefmod.config import LoraSettings, TrialConfig
    from beliefmod.engine.engine import Engine
    from beliefmod.engine.jobs import AdapterJob, GenerateRequest
    from beliefmod.model.load import load_model
    from benchmarks.trl_trial import Phases

    one_thread()
    phases = Phases()
    rows, prompts = random_rows(plan.rows, SHAPES[plan.shape]), plan.prompt_ids()
    with phases.of("load"):
        engine = Engine(load_model(plan.model_folder), plan.slots, plan.rank)
    lora = LoraSettings(r=plan.rank, lora_alpha=2 * plan.rank)
    steps = generated = 0
    for first in range(0, plan.trials, plan.slots):
        names = [f"trial-{number}" for number in range(first, min(first + plan.slots, plan.trials))]
        with phases.of("train"):
            for seed, name in enumerate(names, first):
                config = TrialConfig(
                    belief="none", seed=seed, num_train_epochs=plan.epochs, learning_rate=1e-4, lora=lora
                )
                engine.attach(AdapterJob(name, config, rows))
            while reports := engine.train_step():
                steps += len(reports)
        with phases.of("generate"):
            requests = [GenerateRequest(name, prompt) for name in names for prompt in prompts]
            answers = engine.generate(requests, plan.max_new_tokens)
            generated += sum(len(answer.token_ids) for answer in answers)
        for name in names:
            engine.release(name)
    return {"steps": steps, "generated": generated, **phases.wall}


def side(name: str, plan_file: Path, out: Path) -> None:
    """One side in a process of its own."""
    plan = Plan(**json.loads(plan_file.read_text()))
    started = time.perf_counter()
    found = baseline_trial(plan) if name == "trl" else engine_trials(plan)
    out.write_text(json.dumps({**found, "inside": time.perf_counter() - started}))


def whole_trials(plan: Plan, processes: int, work: Path) -> list[list[str]]:
    """Rows of the second table.

    Raises:
        SystemExit: the sides did not do the same steps, or not the same number of answer tokens.
    """
    plan_file = work / "plan.json"
    plan_file.write_text(json.dumps(asdict(plan)))
    runs: dict[str, list[tuple[Measured, dict[str, float]]]] = {"trl": [], "engine": []}
    for name in ["engine", *["trl"] * processes]:
        out = work / f"{name}-{len(runs[name])}.json"
        took = measured(
            "benchmarks.gpu", ["--side", name, "--plan", str(plan_file), "--out", str(out)], work / "log"
        )
        runs[name].append((took, json.loads(out.read_text())))
        print(f"{name}: {took.wall:.0f} s", flush=True)
    [(engine_took, engine)] = runs["engine"]
    one = runs["trl"][0][1]
    for what in ("steps", "generated"):
        if engine[what] != one[what] * plan.trials:
            raise SystemExit(f"{what}: {engine[what]:.0f} here, {one[what] * plan.trials:.0f} there")
    middle = medians({name: [found[name] for _, found in runs["trl"]] for name in PHASES})
    phases = {name: seconds * plan.trials for name, seconds in middle.items()}
    wall = statistics.median(took.wall for took, _ in runs["trl"]) * plan.trials
    return [
        _row(f"{plan.trials} processes with TRL", wall, plan.trials, phases, 1.0),
        _row("one process with the engine", engine_took.wall, plan.trials, engine, wall / engine_took.wall),
    ]


def _row(name: str, wall: float, trials: int, phases: dict[str, float], ratio: float) -> list[str]:
    parts = [phases[phase] for phase in PHASES]
    return [
        name,
        f"{wall:.0f} s",
        f"{wall / trials:.1f} s",
        *(f"{seconds:.0f} s" for seconds in parts),
        f"{wall - sum(parts):.0f} s",
        f"{ratio:.1f}",
    ]


TINY = {
    "shape": "tiny", "trials": 3, "rows": 6, "epochs": 1, "prompts": 4, "prompt_tokens": 8,
    "max_new_tokens": 6, "batch": 4, "slots": [1, 2], "processes": 1, "repeats": 1,
}  # fmt: skip


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; `--tiny` makes everything small."""
    parser = command_line(__doc__, repeats=5, what="rounds of the packed comparison")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and little work, for a CPU")
    parser.add_argument("--shape", choices=SHAPES, default="qwen3-4b")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rows", type=int, default=50, help="training rows per trial")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=128, help="prompts per trial")
    parser.add_argument("--prompt-tokens", type=int, default=60)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--batch", type=int, default=128, help="prompts of one `generate` call")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    parser.add_argument("--processes", type=int, default=3, help="processes of the baseline that are run")
    parser.add_argument("--work", type=Path, help="where the model is written; a temporary folder")
    parser.add_argument("--side", choices=("trl", "engine"), help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.tiny:
        vars(options).update(TINY)
    return options


def main() -> None:
    options = arguments()
    if options.side:
        side(options.side, options.plan, options.out)
        return
    import torch

    if not torch.cuda.is_available() and not options.tiny:
        raise SystemExit("benchmarks.gpu: PyTorch sees no GPU here; give --tiny to try the script on a CPU")
    one_thread()
    with work_folder(options.work) as folder:
        work = Path(folder)
        shape = SHAPES[options.shape]
        write_random_model(work / "model", shape)
        given = {name: value for name, value in vars(options).items() if name in Plan.__dataclass_fields__}
        plan = Plan(**{**given, "model_folder": str(work / "model"), "slots": min(options.trials, 16)})
        # first, while this process holds nothing on the GPU
        whole = whole_trials(plan, options.processes, work)
        times = compare(plan.model_folder, shape, options.slots, options.rank, options.repeats)
    low, high = shape.row_tokens
    print_table(
        f"Packed training, {options.shape} shape",
        [f"Rows of {low} to {high} tokens, batches of 4, rank {options.rank}; {options.repeats} rounds."],
        HEADER,
        table(times),
        LIBRARIES,
    )
    print_table(
        f"{plan.trials} whole trials, {options.shape} shape",
        [
            f"Each trains {plan.rows} rows for {plan.epochs} epochs and answers {plan.prompts} prompts with "
            f"{plan.max_new_tokens} tokens; the baseline's times are those of {options.processes} "
            "processes, medians, multiplied."
        ],
        ("side", "wall", "per trial", "import and load", "train", "generate", "the rest", "times faster"),
        whole,
        LIBRARIES,
    )


if __name__ == "__main__":
    main()
