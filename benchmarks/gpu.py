"""The two comparisons that decide on a GPU, in one script without network and without Ray.

1. Packed: K adapters trained in one pack against PEFT one adapter at a time, in one process
   (`packed_training`).
2. Whole trials, rows trained and prompts answered: a process with TRL, PEFT on NF4 and `generate` per trial
   against one process with the engine for all of them. All trials have rows and prompts of the same sizes, so
   a few processes of the baseline are run and their median stands for each; on one GPU they come one
   after another.

The base is a randomly initialised Qwen3 of 4 B's sizes, written to a temporary folder (8 GB of disk, and of
memory while it is made) and quantised to NF4 by both sides. It never ends an answer, so every answer has the
token limit.

    python -m benchmarks.gpu               # on a machine with a GPU, about 20 minutes
    python -m benchmarks.gpu --tiny        # tries the script on a CPU
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import command_line, one_thread, print_table, work_folder
from benchmarks.measure import measured
from benchmarks.packed_training import compare, print_packed, random_rows
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
    rows = random_rows(plan.rows, SHAPES[plan.shape])
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


def side(name: str, plan: dict[str, Any]) -> dict[str, float]:
    """One side, for a process of its own; `plan` has the fields of `Plan`."""
    return (baseline_trial if name == "trl" else engine_trials)(Plan(**plan))


def whole_trials(plan: Plan, processes: int, work: Path) -> list[list[str]]:
    """Rows of the second table.

    Raises:
        SystemExit: the sides did not do the same steps, or not the same number of answer tokens.
    """
    runs: list[dict[str, float]] = []
    for name in ["engine", *["trl"] * processes]:
        found, took = measured(side, name, asdict(plan), log=work / "log")
        runs.append({**found, "wall": took.wall})
        print(f"{name}: {took.wall:.0f} s", flush=True)
    engine, *processes_of_trl = runs
    one = {name: statistics.median(run[name] for run in processes_of_trl) for name in engine}
    trl = {name: value * plan.trials for name, value in one.items()}
    for what in ("steps", "generated"):
        if engine[what] != trl[what]:
            raise SystemExit(f"{what}: {engine[what]:.0f} here, {trl[what]:.0f} there")
    sides = {f"{plan.trials} processes with TRL": trl, "one process with the engine": engine}
    return [
        [
            name,
            f"{took['wall']:.0f} s",
            f"{took['wall'] / plan.trials:.1f} s",
            *(f"{took[phase]:.0f} s" for phase in PHASES),
            f"{took['wall'] - sum(took[phase] for phase in PHASES):.0f} s",
            f"{trl['wall'] / took['wall']:.1f}",
        ]
        for name, took in sides.items()
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
    options = parser.parse_args(words)
    if options.tiny:
        vars(options).update(TINY)
    return options


def main() -> None:
    options = arguments()
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
    print_packed(options.shape, times, options, LIBRARIES)
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
