"""Training K adapters packed on one base against PEFT one adapter at a time, in one process on the same rows.

The model is random and goes through NF4. PEFT trains on it as bitsandbytes keeps it, which is what one gets
by default, and on the dequantised values, as the engine does. Rounds alternate; medians are printed. On a CPU
the times are CPU times of one thread, on a GPU wall times.

    python -m benchmarks.packed_training --shape bundled --slots 1 4 8 16 32 --repeats 7
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, TrainRow
from beliefmod.model.load import LoadedModel, load_model
from benchmarks.harness import alternate, command_line, medians, milliseconds, print_table, work_folder
from benchmarks.random_model import SHAPES, Shape, write_random_model
from benchmarks.trl_trial import load_base

BATCH, ROWS, RATE = 4, 48, 1e-3
STEPS = 12
"""Adapter steps that a candidate does per round, if it does not do more at once."""
PEFT_NF4, PEFT_DENSE = "PEFT, one at a time, NF4", "PEFT, one at a time, dequantised"

Step = Callable[[], Any]


def random_rows(count: int, shape: Shape, seed: int = 0) -> tuple[TrainRow, ...]:
    """Random rows of the shape's lengths."""
    generator = torch.Generator().manual_seed(seed)
    low, high = shape.row_tokens
    lengths = torch.randint(low, high + 1, (count,), generator=generator).tolist()
    vocabulary = min(shape.vocab_size, 1024)  # the tokenizer's
    return tuple(
        TrainRow(
            tuple(torch.randint(4, vocabulary, (n,), generator=generator).tolist()), n - shape.answer_tokens
        )
        for n in lengths
    )


def padded(rows: Sequence[tuple[int, ...]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (rows, longest), padded on the right."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    mask = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    return ids.to(device), mask.to(device)


def lora_config(seed: int, rank: int) -> TrialConfig:
    """A trial that does not end during the benchmark."""
    settings = LoraSettings(r=rank, lora_alpha=2 * rank)
    return TrialConfig(belief="none", seed=seed, num_train_epochs=10_000, learning_rate=RATE, lora=settings)


def alone(model: Any, rows: Sequence[TrainRow], rank: int) -> Step:
    """One step of one adapter as a trainer does it: padded batch, head at answer positions, torch's AdamW."""
    from peft import LoraConfig, get_peft_model

    peft = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    causal: Any = peft.get_base_model()
    trained = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    device = trained[0].device
    place = 0

    def step() -> Tensor:
        nonlocal place
        batch = [rows[(place + i) % len(rows)] for i in range(BATCH)]
        place += BATCH
        ids, mask = padded([row.input_ids for row in batch], device)
        wanted = [[-100] * row.prompt_length + [*row.input_ids[row.prompt_length :]] for row in batch]
        labels = pad_sequence([torch.tensor(row) for row in wanted], batch_first=True, padding_value=-100)
        labels = labels[:, 1:].to(device)
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            hidden: Any = causal.model(input_ids=ids, attention_mask=mask, use_cache=False)
            answers = labels != -100
            logits = causal.lm_head(hidden.last_hidden_state[:, :-1][answers])
            loss = F.cross_entropy(logits.float(), labels[answers])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


class Packed:
    """One engine, filled with as many adapters as a measurement asks for."""

    def __init__(self, loaded: LoadedModel, slots: int, rank: int, rows: tuple[TrainRow, ...]) -> None:
        self.engine, self.rank, self.rows = Engine(loaded, slots, rank), rank, rows

    def fill(self, count: int) -> Step:
        """Replace its adapters by that many fresh ones; one step of all of them."""
        for trial_id in self.engine.attached():
            self.engine.release(trial_id)
        for seed in range(count):
            self.engine.attach(AdapterJob(f"trial-{seed}", lora_config(seed, self.rank), self.rows))
        return self.engine.train_step


def same_weights(model: Any) -> Any:
    """A model of its own around the same weights, which PEFT may change without the other seeing it."""
    return copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})


def compare(
    folder: str, shape: Shape, slots: Sequence[int], rank: int, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds per step of one adapter, for every candidate, over the rounds."""
    rows = random_rows(ROWS, shape)
    loaded = load_model(folder)
    on_nf4 = alone(load_base(folder)[0], rows, rank)
    on_dense = alone(same_weights(loaded.model), rows, rank)
    packed = Packed(loaded, max(slots), rank, rows)

    def timed(ready: Callable[[], Step], count: int) -> float:
        step = ready()
        step()  # what is done for the first time is not what is measured
        return milliseconds(step, max(1, STEPS // count)) / count

    sides = {PEFT_NF4: partial(timed, lambda: on_nf4, 1), PEFT_DENSE: partial(timed, lambda: on_dense, 1)}
    for count in slots:
        sides[f"packed, K = {count}"] = partial(timed, partial(packed.fill, count), count)
    return alternate(sides, repeats)


def table(times: dict[str, list[float]]) -> list[list[str]]:
    """Rows: candidate, median, times faster than PEFT on NF4 and on the dequantised base."""
    middle = medians(times)
    return [
        [name, f"{value:.2f}", f"{middle[PEFT_NF4] / value:.2f}", f"{middle[PEFT_DENSE] / value:.2f}"]
        for name, value in middle.items()
    ]


def print_packed(
    shape: str, times: dict[str, list[float]], options: argparse.Namespace, libraries: Sequence[str]
) -> None:
    """The table of one shape."""
    low, high = SHAPES[shape].row_tokens
    print_table(
        f"Packed training, {shape} shape",
        [
            f"Rows of {low} to {high} tokens, batches of {BATCH}, rank {options.rank}; medians of "
            f"{options.repeats} alternating rounds; threads: {torch.get_num_threads()}."
        ],
        ("candidate", "ms per adapter step", "against NF4", "against dequantised"),
        table(times),
        libraries,
    )


def main() -> None:
    parser = command_line(__doc__, repeats=5)
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=["bundled", "deep"])
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    parser.add_argument("--rank", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.shape:
        with work_folder() as folder:
            write_random_model(Path(folder), SHAPES[name])
            times = compare(folder, SHAPES[name], options.slots, options.rank, options.repeats)
        print_packed(name, times, options, ("torch", "transformers", "peft", "bitsandbytes"))


if __name__ == "__main__":
    main()
