"""How many calls of torch one decode step takes: our engine's against those of transformers and PEFT.

A step of few rows is bound by calls and not by what they compute: each costs microseconds of Python and
torch on a CPU, and a launch on a GPU. Answers of two lengths are written to the same prompts, and the calls
that the longer ones take more are divided by their steps. Views compute nothing and stand apart. PEFT writes
the answers of one adapter at a time, so that its steps count for each, or those of all in one mixed batch.

    python -m benchmarks.decode_step --model smollm2-135m-instruct --adapters 4
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from beliefmod.model.load import LoadedModel
from beliefmod.model.target_modules import linear_layers
from benchmarks.harness import (
    alternate,
    command_line,
    medians,
    milliseconds,
    one_thread,
    print_table,
    work_folder,
)
from benchmarks.packed_generation import random_adapter
from benchmarks.packed_training import same_weights

SHORT, LONG = 3, 11
"""Tokens of the two answers; the steps between them are counted."""
ONE, MIXED, PACKED = "PEFT, one adapter", "PEFT, all adapters mixed", "packed, all adapters"


class Calls(TorchDispatchMode):
    """Counts operations of torch below autograd, by name; those made of others by what they consist of."""

    def __init__(self) -> None:
        super().__init__()
        self.computing: Counter[str] = Counter()
        self.views = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_inference_mode_enabled():  # there they arrive whole
            with self:
                found = func.decompose(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        if func.is_view or func.name() == "aten::_unsafe_view":
            self.views += 1
        else:
            self.computing[func.name().removeprefix("aten::").partition(".")[0]] += 1
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Step:
    """Of one step: calls that compute, by name, views, and milliseconds."""

    computing: dict[str, float]
    views: float
    milliseconds: float

    @property
    def calls(self) -> float:
        """Calls that compute."""
        return sum(self.computing.values())


def measure(write: Callable[[int], object], repeats: int) -> Step:
    """One step of `write`, which writes answers of a number of tokens."""
    counted = []
    for tokens in (SHORT, LONG):
        write(tokens)  # what is done once is done
        with Calls() as calls:
            write(tokens)
        counted.append(calls)
    few, many = counted
    steps = LONG - SHORT
    computing = {name: (n - few.computing[name]) / steps for name, n in many.computing.items()}
    timed = alternate(
        {str(tokens): partial(milliseconds, partial(write, tokens)) for tokens in (SHORT, LONG)}, repeats
    )
    short, long = medians(timed).values()
    return Step(
        {name: n for name, n in computing.items() if n},
        (many.views - few.views) / steps,
        (long - short) / steps,
    )


def ours(loaded: LoadedModel, adapters: list[Path], rows: int, rank: int) -> Callable[[int], object]:
    """Answers of all adapters from one engine, without drafts."""
    engine = Engine(loaded, len(adapters), rank)
    engine.drafts = None
    engine.model.eos_ids = frozenset()  # no row ends, so that none is taken out
    for path in adapters:
        engine.put_adapter(read_adapter(path), path.name)
    requests = [GenerateRequest(path.name, ids) for path in adapters for ids in prompts(rows)]
    return lambda tokens: engine.generate(requests, tokens)


def theirs(model: Any, adapters: list[Path], rows: int, mixed: bool) -> Callable[[int], object]:
    """Answers of one adapter from transformers' `generate`, or those of all adapters in one mixed batch."""
    from peft import PeftModel

    first, *others = adapters
    wrapped: Any = PeftModel.from_pretrained(model, str(first), first.name).eval()
    for path in others:
        wrapped.load_adapter(str(path), adapter_name=path.name)
    wrapped.set_adapter(first.name)
    wrapped.generation_config.eos_token_id = None  # no answer ends
    count = len(adapters) if mixed else 1
    ids = torch.tensor(prompts(rows) * count)
    names = [path.name for path in adapters[:count] for _ in range(rows)]
    options: dict[str, Any] = {"adapter_names": names} if mixed else {}

    def write(tokens: int) -> object:
        return wrapped.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens,
            pad_token_id=0, **options,
        )  # fmt: skip

    return write


def prompts(rows: int) -> list[tuple[int, ...]]:
    """Prompts of as many random tokens each, the same for every adapter."""
    generator = torch.Generator().manual_seed(0)
    return [tuple(torch.randint(10, 200, (8,), generator=generator).tolist()) for _ in range(rows)]


def compare(
    loaded: LoadedModel, folder: Path, ranks: list[int], rows: int, repeats: int = 3
) -> dict[str, Step]:
    """One step of every candidate: `ranks` are those of the adapters, `rows` the answers of each."""
    layers = linear_layers(loaded.model)
    paths = [folder / f"adapter-{number}" for number in range(len(ranks))]
    for number, (path, rank) in enumerate(zip(paths, ranks, strict=True)):
        tensors = random_adapter(layers, number, rank)
        write_adapter(path, AdapterFile(rank, 2.0 * rank, tensors, loaded.name), tuple(layers))
    alone, mixed = same_weights(loaded.model), same_weights(loaded.model)
    sides = {
        ONE: theirs(alone, paths, rows, mixed=False),
        MIXED: theirs(mixed, paths, rows, mixed=True),
        PACKED: ours(loaded, paths, rows, max(ranks)),
    }
    return {name: measure(write, repeats) for name, write in sides.items()}


def table(steps: dict[str, Step], most: int = 6) -> list[list[str]]:
    """Rows: candidate, calls that compute, views, milliseconds, and the commonest calls."""
    lines = []
    for name, step in steps.items():
        common = sorted(step.computing.items(), key=lambda each: -each[1])[:most]
        words = ", ".join(f"{call} {count:.0f}" for call, count in common)
        lines.append([name, f"{step.calls:.0f}", f"{step.views:.0f}", f"{step.milliseconds:.1f}", words])
    return lines


def main() -> None:
    from beliefmod.model.load import load_model

    parser = command_line(__doc__, repeats=3, what="times that a step is timed")
    parser.add_argument("--model", default="bundled", help="a model of the catalogue, or a folder")
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--rows", type=int, default=2, help="answers of each adapter")
    options = parser.parse_args()
    one_thread()
    for what, ranks in {
        "of one rank": [16] * options.adapters,
        "of ranks 8 and 16": [8, 16] * (options.adapters // 2),
    }.items():
        with work_folder() as folder:
            steps = compare(load_model(options.model), Path(folder), ranks, options.rows, options.repeats)
        print_table(
            f"Calls of one decode step, {options.model}",
            [
                f"{len(ranks)} adapters {what}, {options.rows} answers of each; "
                "milliseconds of the processor, one thread."
            ],
            ("candidate", "calls", "views", "ms", "commonest"),
            table(steps),
            ("torch", "transformers", "peft"),
        )


if __name__ == "__main__":
    main()
