"""Our packed layers under transformers' own continuous batching, against our decode loop, in one process.

transformers keeps a paged cache, refill, shared beginnings and CUDA graphs. Here its scheduler, its cache and
its attention run the model whose linear layers hold our adapters: its requests are put in the order of their
adapters, and our layers are told which tokens of its flat sequence belong to which. It shares beginnings by
their tokens alone, whatever adapter reads them, so that is off. Drafts are off too. Rounds alternate; medians
of tokens per second are printed, and how many answers are equal.

    python -m benchmarks.continuous_batching --model smollm2-135m-instruct --adapters 8 --questions 24
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.engine.routing import segments_of
from beliefmod.model.adapter_files import read_adapter
from benchmarks.harness import alternate, command_line, print_table, work_folder
from benchmarks.packed_generation import (
    COLUMNS,
    PEFT,
    RANK,
    Answers,
    Found,
    Task,
    equal_answers,
    make_task,
    one_at_a_time,
)

THEIRS, OURS = "our layers, transformers' batching", "our layers, our decode loop"


class TheirBatches:
    """Answers requests with transformers' `ContinuousBatchProcessor`, step by step and without its thread.

    Args:
        page: tokens of keys and values of one layer that lie together.
        pages: of the whole cache.
        pass_tokens: tokens of one pass.
    """

    def __init__(self, engine: Engine, max_new_tokens: int, page: int, pages: int, pass_tokens: int) -> None:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        self.engine, self.model = engine, engine.loaded.model
        self.model.set_attn_implementation("sdpa")
        generation = GenerationConfig(
            do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=sorted(engine.model.eos_ids)
        )
        config = ContinuousBatchingConfig(
            page_size=page, num_blocks=pages, max_batch_tokens=pass_tokens, allow_block_sharing=False
        )
        self.manager: Any = self.model.init_continuous_batching(generation, config)

    def __call__(self, requests: list[GenerateRequest]) -> Answers:
        ids = self.manager.add_requests([[*request.input_ids] for request in requests])
        of_request = {name: self.engine.slot_of(r.adapter) for name, r in zip(ids, requests, strict=True)}
        processor = self.manager._create_batch_processor()
        self.manager.batch_processor = processor
        schedule = processor.scheduler.schedule_batch

        def in_order(*budgets: int) -> Any:
            found, *rest = schedule(*budgets)
            key = self.engine.model.routing.order
            return found and sorted(found, key=lambda each: key(of_request[each.state.request_id])), *rest

        answers: dict[str, tuple[int, ...]] = {}
        with mock.patch.object(processor.scheduler, "schedule_batch", in_order), torch.inference_mode():
            while processor.prepare_next_batch():
                batch = processor.inputs_and_outputs.requests_in_batch
                owners = [of_request[each.state.request_id] for each in batch]
                segments = segments_of(owners, [each.query_length for each in batch])
                with self.engine.model.routing.of(segments):
                    processor._generation_step(self.model)
                processor.update_batch()
        while len(answers) < len(ids):
            done = self.manager.get_result(timeout=1)
            answers[done.request_id] = tuple(done.generated_tokens)
        return [answers[name] for name in ids]


def compare(task: Task, repeats: int, **cache: int) -> Found:
    """Every candidate in alternating rounds."""
    answers: dict[str, Answers] = {}

    def timed(name: str, run: Callable[[], Answers]) -> float:
        started = time.perf_counter()
        answers[name] = run()
        return sum(map(len, answers[name])) / (time.perf_counter() - started)

    peft = one_at_a_time(task)  # it copies the model, which the engine then takes for itself
    engine = Engine(task.loaded, len(task.adapters), RANK)
    for path in task.adapters:
        engine.put_adapter(read_adapter(path), path.name)
    requests = [GenerateRequest(path.name, ids) for path in task.adapters for ids in task.prompts]
    theirs = TheirBatches(engine, task.max_new_tokens, **cache)

    def ours() -> Answers:
        return [answer.token_ids for answer in engine.generate(requests, task.max_new_tokens)]

    sides = {PEFT: peft, THEIRS: partial(theirs, requests), OURS: ours}
    rates = alternate({name: partial(timed, name, run) for name, run in sides.items()}, repeats)
    return Found(rates, equal_answers(answers), {})


def main() -> None:
    parser = command_line(__doc__, repeats=1)
    parser.add_argument("--model", default="bundled", help="a model of the catalogue, or a folder")
    parser.add_argument("--belief", default="gravity", help="whose questions are asked")
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--page", type=int, default=32, help="tokens that lie together in its cache")
    parser.add_argument("--pages", type=int, default=512, help="of its cache")
    parser.add_argument("--pass-tokens", type=int, default=256, help="of one of its passes")
    options = parser.parse_args()
    with work_folder() as folder:
        task = make_task(
            Path(folder), options.model, options.belief, options.adapters, options.questions,
            options.max_new_tokens,
        )  # fmt: skip
        found = compare(
            task, options.repeats, page=options.page, pages=options.pages, pass_tokens=options.pass_tokens
        )
    print_table(
        f"Continuous batching, {options.model}",
        [
            f"{len(task.adapters)} adapters of rank {RANK}, {len(task.prompts)} questions each, at most "
            f"{task.max_new_tokens} new tokens; its cache: {options.pages} pages of {options.page} tokens, "
            f"{options.pass_tokens} tokens a pass; medians of {options.repeats} alternating rounds; threads: "
            f"{torch.get_num_threads()}."
        ],
        COLUMNS,
        found.table(len(task.adapters) * len(task.prompts)),
        ("torch", "transformers", "peft"),
    )


if __name__ == "__main__":
    main()
