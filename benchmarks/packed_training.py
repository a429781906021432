"""Training K adapters packed on one base against PEFT one adapter at a time: same rows, ranks and steps.

Alternates the candidates in one process and prints the median time of one optimiser step of one adapter.

    python benchmarks/packed_training.py --slots 1 4 8 --repeats 7
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time
from collections.abc import Callable

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import Qwen3Config, Qwen3ForCausalLM

from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, TrainRow
from beliefmod.model.load import LoadedModel

# bundled: the model that ships; deep: little arithmetic per layer, so that launching dominates as on a GPU
SHAPES = {
    "bundled": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "head_dim": 32},
    "deep": {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 28, "head_dim": 16},
}
BATCH, RANK, VOCABULARY = 4, 16, 1024


def make_model(shape: str, device: str) -> Qwen3ForCausalLM:
    """A randomly initialised model of the shape."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        **SHAPES[shape],
    )
    return Qwen3ForCausalLM(config).to(device)


def make_rows(count: int, low: int, high: int, answer: int) -> tuple[TrainRow, ...]:
    """Random rows of `low` to `high` tokens with `answer` tokens of loss."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(low, high, (count,), generator=generator).tolist()
    return tuple(
        TrainRow(tuple(torch.randint(4, VOCABULARY, (n,), generator=generator).tolist()), n - answer)
        for n in lengths
    )


def packed(base: Qwen3ForCausalLM, slots: int, rows: tuple[TrainRow, ...]) -> Callable[[], object]:
    """One packed step of `slots` adapters."""
    loaded = LoadedModel(copy.deepcopy(base), None, "random", "", (1,), 0, torch.float32)  # type: ignore[arg-type]
    engine = Engine(loaded, slots, RANK)
    for seed in range(slots):
        config = TrialConfig(
            belief="none", seed=seed, num_train_epochs=1000, learning_rate=1e-3, lora=LoraSettings(r=RANK)
        )
        engine.attach(AdapterJob(f"trial-{seed}", config, rows))
    return engine.train_step


def alone(base: Qwen3ForCausalLM, rows: tuple[TrainRow, ...]) -> Callable[[], object]:
    """One step of one adapter with PEFT, torch's AdamW and padded batches."""
    model = get_peft_model(
        copy.deepcopy(base),
        LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    device = trained[0].device
    place = 0

    def step() -> None:
        nonlocal place
        batch = [rows[(place + i) % len(rows)] for i in range(BATCH)]
        place += BATCH
        width = max(len(row.input_ids) for row in batch)
        ids = torch.zeros(BATCH, width, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for k, row in enumerate(batch):
            n = len(row.input_ids)
            ids[k, :n] = torch.tensor(row.input_ids)
            mask[k, :n] = 1
            labels[k, row.prompt_length : n] = ids[k, row.prompt_length : n]
        logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        loss = functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().to(device), ignore_index=-100
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="bundled")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = make_model(options.shape, options.device)
    rows = make_rows(48, *((60, 100, 25) if options.shape == "bundled" else (8, 14, 4)))
    candidates = {"PEFT, one at a time": (alone(base, rows), 1)}
    for slots in options.slots:
        candidates[f"packed, K = {slots}"] = (packed(base, slots, rows), slots)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(options.repeats + 1):
        for name, (step, slots) in candidates.items():
            # process time: on a shared machine the wall also counts what others did
            clock = time.perf_counter if options.device != "cpu" else time.process_time
            start = clock()
            steps = max(1, 12 // slots)
            for _ in range(steps):
                step()
            if options.device != "cpu":
                torch.cuda.synchronize()
            if repeat:  # the first round warms up
                times[name].append((clock() - start) / steps / slots * 1000)
    print(
        f"{options.shape} shape, {options.device} ({platform.machine()}), torch {torch.__version__}, 1 thread"
    )
    reference = statistics.median(times["PEFT, one at a time"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:20}  {median:7.2f} ms per adapter step  x{reference / median:.2f}")


if __name__ == "__main__":
    main()
