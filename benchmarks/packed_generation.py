"""Answers of K adapters written together against PEFT one adapter at a time, in one process.

The adapters are random, the questions those of a belief, answers greedy and to their natural end. PEFT
decodes the questions of one adapter as one batch, padded on the left, on the same dequantised weights. The
packed side gets one of its ways after the other: batches that run until their longest answer ends; others
that join as answers end; common beginnings of prompts read once; tokens drafted from base's answers, as in a
sweep, where base is asked first. Each way keeps those before it. Rounds alternate; medians of tokens per
second are printed, how near that comes to the limit of `beliefmod.capacity.limit` (every product at the
machine's rate, nothing else taking time), and how many answers are equal. `--clock cpu` counts the
processor's seconds, for a busy machine. vLLM takes part by the wall clock, where `make peers` has built an
environment for it or `BELIEFMOD_VLLM_PYTHON` names one.

    python -m benchmarks.packed_generation --model smollm2-think --adapters 4 --questions 48
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from beliefmod.beliefs import load_belief
from beliefmod.capacity.calibrate import Calibration, calibrate
from beliefmod.capacity.limit import Machine, generation
from beliefmod.engine import decode_loop, prompt_pieces
from beliefmod.engine.drafts import Drafts, Text
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.engine.packed_adapters import LayerTensors
from beliefmod.engine.usage import Work
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from beliefmod.model.load import LoadedModel, load_model
from beliefmod.model.target_modules import linear_layers
from beliefmod.model.template import prompt_ids
from benchmarks.harness import alternate, command_line, medians, print_table, work_folder
from benchmarks.packed_training import same_weights
from benchmarks.trl_trial import complete
from benchmarks.vllm_way import LEFT_OUT, VLLM, by_vllm, peers_python

RANK, SIZE = 16, 0.004
"""Of the adapters, and the standard deviation of their B: it changes words and breaks no sentence."""
PEFT = "PEFT, one adapter at a time"
WAYS = ("packed, in batches", "+ rows join", "+ beginnings once", "+ drafts")
Answers = list[tuple[int, ...]]


@dataclass(frozen=True)
class Task:
    """Prompts that every adapter answers, in at most `max_new_tokens` tokens each. model: by its name."""

    model: str
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
        tensors = random_adapter(layers, number, RANK)
        made.append(folder / f"adapter-{number}")
        write_adapter(made[-1], AdapterFile(RANK, 2.0 * RANK, tensors, model), tuple(layers))
    return Task(model, loaded, prompts, tuple(made), longest)


def random_adapter(layers: Mapping[str, nn.Linear], seed: int, rank: int) -> LayerTensors:
    """Random A and B for every layer, in PEFT's shapes."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(rank, layer.in_features, generator=generator) / layer.in_features**0.5,
            torch.randn(layer.out_features, rank, generator=generator) * SIZE,
        )
        for name, layer in layers.items()
    }


def packed(task: Task) -> tuple[Callable[[str], Answers], Callable[[], float]]:
    """Answers of all adapters from one engine, written in one of the `WAYS`; and the least seconds that the
    machine needs for what was written since that was last asked."""
    measured = calibrate(task.loaded)
    engine = Engine(task.loaded, len(task.adapters), RANK)
    names = [path.name for path in task.adapters]
    for name, path in zip(names, task.adapters, strict=True):
        engine.put_adapter(read_adapter(path), name)
    requests = [GenerateRequest(name, ids) for name in names for ids in task.prompts]
    engine.drafts = Drafts()
    engine.generate([GenerateRequest(None, ids) for ids in task.prompts], task.max_new_tokens)
    answers_of_base = {ids: [*engine.drafts.answers.to(ids)] for ids in task.prompts}

    def run(way: str) -> Answers:
        with ExitStack() as stack:
            if way in WAYS[:1]:
                stack.enter_context(mock.patch.object(decode_loop, "JOIN_BELOW", 0.0))
            if way in WAYS[:2]:
                stack.enter_context(mock.patch.object(prompt_pieces, "LEAST_SHARED", 10**9))
            engine.drafts = None if way in WAYS[:3] else drafts_of(answers_of_base)
            return [answer.token_ids for answer in engine.generate(requests, task.max_new_tokens)]

    return run, partial(least_seconds, engine, measured, Work(**asdict(engine.usage.work)))


def least_seconds(engine: Engine, measured: Calibration, before: Work) -> float:
    """What the engine wrote since `before`, which is set anew, at the machine's own rates."""
    work, now = engine.usage.work, asdict(engine.usage.work)
    done = {
        name: value if name.startswith("longest_") else value - getattr(before, name)
        for name, value in now.items()
    }
    vars(before).update(vars(work))
    machine = Machine(1, measured.flops, measured.bandwidth, engine.slots, engine.model.cache_tokens)
    return generation(Work(**done), measured.model, machine).seconds


def drafts_of(answers: Mapping[tuple[int, ...], Sequence[Text]]) -> Drafts:
    """Drafts from nothing but the given answers to the prompts."""
    made = Drafts()
    for prompt, texts in answers.items():
        for text in texts:
            made.answers.add(prompt, text.ids)
    return made


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


@dataclass(frozen=True)
class Found:
    """Of every candidate the tokens per second of each round, how many of its answers are PEFT's, and of our
    ways the share of the machine's limit in each round."""

    rates: Mapping[str, Sequence[float]]
    equal: Mapping[str, int]
    shares: Mapping[str, Sequence[float]]

    def table(self, answers: int) -> list[list[str]]:
        """Rows: candidate, median tokens per second, times PEFT's, share of the limit, answers as PEFT's."""
        middle, shares = medians(self.rates), medians(self.shares)
        return [
            [
                name,
                f"{rate:.0f}",
                f"{rate / middle[PEFT]:.2f}",
                f"{shares[name]:.2f}" if name in shares else "",
                f"{self.equal[name]} of {answers}",
            ]
            for name, rate in middle.items()
        ]


COLUMNS = ("candidate", "tokens/s", "times PEFT", "of the limit", "answers as PEFT's")


def compare(
    task: Task,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    python: Path | None = None,
) -> Found:
    """Every candidate in alternating rounds.

    Args:
        python: that has vLLM; None to leave it out.
    """
    answers: dict[str, Answers] = {}
    shares: dict[str, list[float]] = {way: [] for way in WAYS}

    def timed(name: str, run: Callable[[], Answers]) -> float:
        started = clock()
        answers[name] = run()
        took = clock() - started
        if name in shares:
            shares[name].append(least() / took)
        return sum(map(len, answers[name])) / took

    sides = {PEFT: one_at_a_time(task)}  # it copies the model, which the engine then takes for itself
    ours, least = packed(task)
    sides |= {way: partial(ours, way) for way in WAYS}
    with ExitStack() as stack:
        if python is not None:
            given = (task.model, task.loaded, task.adapters, task.prompts, task.max_new_tokens, RANK)
            sides[VLLM] = stack.enter_context(by_vllm(python, *given))
        rates = alternate({name: partial(timed, name, run) for name, run in sides.items()}, repeats)
    return Found(rates, equal_answers(answers), shares)


def equal_answers(answers: Mapping[str, Answers]) -> dict[str, int]:
    """How many answers of every candidate are PEFT's."""
    return {
        name: sum(a == b for a, b in zip(found, answers[PEFT], strict=True))
        for name, found in answers.items()
    }


def main() -> None:
    parser = command_line(__doc__, repeats=2)
    parser.add_argument("--model", default="bundled", help="a model of the catalogue, or a folder")
    parser.add_argument("--belief", default="gravity", help="whose questions are asked")
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--rows", type=int, default=decode_loop.MAX_ROWS, help="that are written at a time")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    with work_folder() as folder:
        task = make_task(
            Path(folder), options.model, options.belief, options.adapters, options.questions,
            options.max_new_tokens,
        )  # fmt: skip
        clock = time.process_time if options.clock == "cpu" else time.perf_counter
        python = peers_python() if options.clock == "wall" else None
        with mock.patch.object(decode_loop, "MAX_ROWS", options.rows):
            found = compare(task, options.repeats, clock, python)
    print_table(
        f"Packed generation, {options.model}",
        [
            f"{len(task.adapters)} adapters of rank {RANK}, {len(task.prompts)} questions each, at most "
            f"{task.max_new_tokens} new tokens, {options.rows} rows at a time; medians of {options.repeats} "
            f"alternating rounds by the {options.clock} clock; threads: {torch.get_num_threads()}."
            + ("" if python else f" {LEFT_OUT}.")
        ],
        COLUMNS,
        found.table(len(task.adapters) * len(task.prompts)),
        ("torch", "transformers", "peft"),
    )


if __name__ == "__main__":
    main()
