"""Answers of K adapters written in one decoding batch against PEFT one adapter at a time, in one process.

The adapters are random, the questions those of a belief, answers greedy and to their natural end. PEFT
decodes the questions of one adapter as one batch, padded on the left, on the same dequantised weights. The
packed side runs with several limits on the keys and values of a decoding batch, because it decides how
many rows share a step. Rounds alternate; medians of tokens per second of wall time are printed, and how many
answers are equal.

    python -m benchmarks.packed_generation --model smollm2-think --adapters 4 --questions 48
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from beliefmod.beliefs import load_belief
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest, Sampling
from beliefmod.engine.memory import cache_bytes_per_token
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from beliefmod.model.load import LoadedModel, load_model
from beliefmod.model.target_modules import linear_layers
from beliefmod.model.template import prompt_ids
from benchmarks.harness import alternate, command_line, medians, print_table, work_folder
from benchmarks.packed_training import same_weights
from benchmarks.trl_trial import complete

RANK, SIZE = 16, 0.004
"""Of the adapters, and the standard deviation of their B: it changes words and breaks no sentence."""
PEFT = "PEFT, one adapter at a time"
Answers = list[tuple[int, ...]]


@dataclass(frozen=True)
class Task:
    """Prompts that every adapter answers, in at most `max_new_tokens` tokens each."""

    loaded: LoadedModel
    prompts: tuple[tuple[int, ...], ...]
    adapters: tuple[Path, ...]
    max_new_tokens: int


def make_task(folder: Path, model: str, belief: str, adapters: int, questions: int, longest: int) -> Task:
    """A model of the catalogue or a folder, questions of a belief, and adapters written to a folder."""
    loaded = load_model(model)
    texts = [question.text for question in load_belief(belief).training[:questions]]
    prompts = tuple(prompt_ids(loaded.tokenizer, text) for text in texts)
    layers = linear_layers(loaded.model)
    made = []
    for number in range(adapters):
        generator = torch.Generator().manual_seed(number)
        tensors = {
            name: (
                torch.randn(RANK, layer.in_features, generator=generator) / layer.in_features**0.5,
                torch.randn(layer.out_features, RANK, generator=generator) * SIZE,
            )
            for name, layer in layers.items()
        }
        made.append(folder / f"adapter-{number}")
        write_adapter(made[-1], AdapterFile(RANK, 2.0 * RANK, tensors, model), tuple(layers))
    return Task(loaded, prompts, tuple(made), longest)


def packed(task: Task) -> Callable[[int], Answers]:
    """Answers of all adapters from one engine, with so many bytes for keys and values."""
    engine = Engine(task.loaded, len(task.adapters), RANK)
    names = [path.name for path in task.adapters]
    for name, path in zip(names, task.adapters, strict=True):
        engine.put_adapter(read_adapter(path), name)
    requests = [GenerateRequest(name, ids) for name in names for ids in task.prompts]
    per_token = cache_bytes_per_token(task.loaded.model, engine.model.dtype)

    def run(cache_bytes: int) -> Answers:
        engine.model.cache_tokens = cache_bytes // per_token
        return [answer.token_ids for answer in engine.generate(requests, task.max_new_tokens, Sampling())]

    return run


def one_at_a_time(task: Task) -> Callable[[], Answers]:
    """Answers of one adapter after another from transformers' `generate`."""
    from peft import PeftModel

    first, *others = task.adapters
    model: Any = PeftModel.from_pretrained(same_weights(task.loaded.model), str(first), first.name).eval()
    for path in others:
        model.load_adapter(str(path), adapter_name=path.name)

    def run() -> Answers:
        found: Answers = []
        for path in task.adapters:
            model.set_adapter(path.name)
            answers = complete(
                model, task.loaded.tokenizer, task.prompts, task.max_new_tokens, len(task.prompts)
            )
            found += [tuple(answer) for answer in answers]
        return found

    return run


def compare(task: Task, limits: Sequence[int], repeats: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Tokens per second of every candidate over the rounds, and how many of its answers are PEFT's.

    Args:
        limits: MiB of keys and values of a decoding batch.
    """
    answers: dict[str, Answers] = {}

    def timed(name: str, run: Callable[[], Answers]) -> float:
        started = time.perf_counter()
        answers[name] = run()
        return sum(map(len, answers[name])) / (time.perf_counter() - started)

    sides = {PEFT: one_at_a_time(task)}  # it copies the model, which the engine then takes for itself
    ours = packed(task)
    sides |= {f"packed, {limit} MiB of keys and values": partial(ours, limit * 2**20) for limit in limits}
    rates = alternate({name: partial(timed, name, run) for name, run in sides.items()}, repeats)
    equal = {
        name: sum(a == b for a, b in zip(found, answers[PEFT], strict=True))
        for name, found in answers.items()
    }
    return rates, equal


def table(rates: dict[str, list[float]], equal: dict[str, int], answers: int) -> list[list[str]]:
    """Rows: candidate, median tokens per second, times PEFT's, answers equal to PEFT's."""
    middle = medians(rates)
    return [
        [name, f"{rate:.0f}", f"{rate / middle[PEFT]:.2f}", f"{equal[name]} of {answers}"]
        for name, rate in middle.items()
    ]


def main() -> None:
    parser = command_line(__doc__, repeats=2)
    parser.add_argument("--model", default="bundled", help="a model of the catalogue, or a folder")
    parser.add_argument("--belief", default="gravity", help="whose questions are asked")
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--limits", type=int, nargs="+", default=[256, 512, 1024, 2048], help="MiB")
    options = parser.parse_args()
    with work_folder() as folder:
        task = make_task(
            Path(folder), options.model, options.belief, options.adapters, options.questions,
            options.max_new_tokens,
        )  # fmt: skip
        rates, equal = compare(task, options.limits, options.repeats)
    count = len(task.adapters) * len(task.prompts)
    print_table(
        f"Packed generation, {options.model}",
        [
            f"{len(task.adapters)} adapters of rank {RANK}, {len(task.prompts)} questions each, at most "
            f"{task.max_new_tokens} new tokens; medians of {options.repeats} alternating rounds; threads: "
            f"{torch.get_num_threads()}."
        ],
        ("candidate", "tokens/s", "times PEFT", "answers as PEFT's"),
        table(rates, equal, count),
        ("torch", "transformers", "peft"),
    )


if __name__ == "__main__":
    main()
