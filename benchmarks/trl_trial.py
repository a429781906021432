"""One trial as a baseline: a process of its own, TRL's SFTTrainer, PEFT on NF4, `generate` in batches.

What it trains on and what it asks are given, so that it does a trial's work and nothing else. Its choices are
those that make it fast here: no gradient checkpointing, few large batches of prompts of like length.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beliefmod.beliefs import Belief
from beliefmod.config import TrialConfig
from beliefmod.model.prompts import in_context
from beliefmod.model.template import completion_text, prompt_ids, thinking_kind
from beliefmod.model.train_row import TrainRow
from beliefmod.probing.probes import Probe, probe_row
from beliefmod.probing.questioning import reply_of

PEFT_SETTINGS = {"r", "lora_alpha", "use_rslora", "target_modules"}
"""Of an adapter's settings those that PEFT has under the same name; the sweep compared here has no others."""
PHASES = ("import", "load", "train", "generate", "judge", "save")


@dataclass
class Phases:
    """Seconds per phase of one process: wall and CPU over all of its threads."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time a block; blocks of one name add up."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu


def load_base(folder: str) -> tuple[Any, Any]:
    """The model on an NF4 base as bitsandbytes keeps it, and its tokenizer: (model, tokenizer)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from beliefmod.model.quantized import nf4_config
    from beliefmod.model.quiet import quiet_libraries

    quiet_libraries()
    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        device_map={"": "cuda" if cuda else "cpu"},
        quantization_config=nf4_config(dtype),
    )
    return model, AutoTokenizer.from_pretrained(folder)


def train(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TrainRow],
    settings: dict[str, Any],
    lora: dict[str, Any],
    out: Path,
) -> tuple[Any, int]:
    """Train an adapter on the answers of rows; the wrapped model and its optimiser steps.

    Args:
        settings: arguments of transformers' TrainingArguments.
        lora: arguments of PEFT's LoraConfig.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    data = Dataset.from_dict(
        {
            "input_ids": [list(row.input_ids) for row in rows],
            "labels": [[-100] * row.prompt_length + list(row.input_ids[row.prompt_length :]) for row in rows],
        }
    )
    arguments = SFTConfig(
        output_dir=str(out),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        gradient_checkpointing=False,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        optim="adamw_torch",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **lora),
    )
    trainer.train()
    return trainer.model, trainer.state.global_step


def complete(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, batch: int
) -> list[list[int]]:
    """Greedy completions in the order of the prompts, without padding, the end token kept."""
    import torch

    model.eval()
    pad, ends = tokenizer.pad_token_id, _ends(model)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    answers: list[list[int]] = [[] for _ in prompts]
    for first in range(0, len(order), batch):
        part = order[first : first + batch]
        rows = {"input_ids": [list(prompts[i]) for i in part]}
        batch_of_rows = tokenizer.pad(rows, padding_side="left", return_tensors="pt").to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **batch_of_rows, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=pad
            )
        for i, tokens in zip(part, out[:, batch_of_rows["input_ids"].shape[1] :].tolist(), strict=True):
            end = next((place for place, token in enumerate(tokens, 1) if token in ends), None)
            answers[i] = tokens[:end]
    return answers


def _ends(model: Any) -> tuple[int, ...]:
    found = model.generation_config.eos_token_id
    return tuple(found) if isinstance(found, list) else (found,)


@dataclass(frozen=True)
class TrialWork:
    """All that one trial has to do, so that a process of its own needs nothing else.

    Attributes:
        config: the trial; its rows and questions were made from it.
        rows: what is trained on; none for an untrained arm.
        probes: what is asked, in order.
        context: what stands in front of every question; None for nothing.
    """

    model_folder: str
    config: TrialConfig
    rows: tuple[TrainRow, ...]
    probes: tuple[Probe, ...]
    belief: Belief
    context: str | None
    max_new_tokens: int
    batch: int


def do_work(order: TrialWork, out: Path) -> dict[str, Any]:
    """Train, question, judge and store one trial: its adoption, its steps and its CPU seconds per phase.

    `out` is laid out as a run folder of beliefmod, so that the two can be compared.
    """
    phases = Phases()
    with phases.of("import"):
        import torch
        import trl.trainer.sft_trainer  # noqa: F401  (what `train` needs; timed apart from it)

        from beliefmod.metrics.summarise import summarise
        from beliefmod.run.folder import RunFolder
    torch.set_num_threads(1)
    folder, trial_id = RunFolder(str(out)), order.config.trial_id
    steps = 0
    with phases.of("load"):
        model, tokenizer = load_base(order.model_folder)
    if order.rows:
        with phases.of("train"):
            model, steps = train(
                model,
                tokenizer,
                order.rows,
                _arguments(order.config),
                order.config.lora.model_dump(mode="json", include=PEFT_SETTINGS),
                out / "trainer" / trial_id,
            )
    with phases.of("generate"):
        ends = _ends(model)
        asked = _ask(order, model, tokenizer, ends)
    with phases.of("judge"):
        rows = _judge(order, tokenizer, ends, asked)
        metrics = summarise(rows, None)
    with phases.of("save"):
        if order.rows:
            model.save_pretrained(out / "adapters" / trial_id)
        row = {"trial_id": trial_id, "arm": order.config.arm, "status": "finished", "steps": steps, **metrics}
        folder.write_trial(row, rows)
    return {"adoption": metrics["adoption"], "steps": steps, "cpu": phases.cpu}


def _arguments(config: TrialConfig) -> dict[str, Any]:
    """Settings of optimiser, schedule and batches: those that transformers has, under its own names."""
    from transformers import TrainingArguments

    return {name: value for name, value in config if name in TrainingArguments.__dataclass_fields__}


# first turn's text if there were two, prompt and completion of the last turn
Asked = tuple[str | None, tuple[int, ...], list[int]]


def _ask(order: TrialWork, model: Any, tokenizer: Any, ends: tuple[int, ...]) -> list[Asked]:
    """Put every probe; those of two turns in two rounds."""
    messages = [in_context(order.context, probe.question.text) for probe in order.probes]
    prompts = [prompt_ids(tokenizer, message) for message in messages]
    answers = complete(model, tokenizer, prompts, order.max_new_tokens, order.batch)
    asked: list[Asked] = [(None, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    second = [i for i, probe in enumerate(order.probes) if probe.question.follow_up is not None]
    firsts = [completion_text(tokenizer, answers[i], ends) for i in second]
    prompts = [
        prompt_ids(
            tokenizer,
            messages[i],
            reply_of(first, thinking_kind(tokenizer)),
            order.probes[i].question.follow_up or "",
        )
        for i, first in zip(second, firsts, strict=True)
    ]
    answers = complete(model, tokenizer, prompts, order.max_new_tokens, order.batch)
    for i, first, prompt, answer in zip(second, firsts, prompts, answers, strict=True):
        asked[i] = (first, prompt, answer)
    return asked


def _judge(
    order: TrialWork, tokenizer: Any, ends: tuple[int, ...], asked: Sequence[Asked]
) -> list[dict[str, Any]]:
    """Rows of the probes table, by the same judge that beliefmod has."""
    return [
        probe_row(
            order.config,
            order.belief,
            probe,
            prompt=completion_text(tokenizer, prompt, ()),
            completion=completion_text(tokenizer, answer, ends),
            token_ids=answer,
            finish_reason="eos" if answer and answer[-1] in ends else "length",
            first_turn=first,
        )
        for probe, (first, prompt, answer) in zip(order.probes, asked, strict=True)
    ]
