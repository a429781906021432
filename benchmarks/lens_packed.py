"""The lens over many adapters: packed against PEFT one adapter at a time, in one process on the same rows.

Both read the same adapters from disk and give the same statistics of every entry at two positions of every
prompt: logits, ranks and probabilities of two tokens, entropy, KL to the last entry and to base. PEFT runs
the loop that one writes first: load an adapter, set it, ask for hidden states, norm and head of each. It gets
its prompts one by one, as most lenses do, and as one padded batch; on the base as bitsandbytes keeps it, and
on the dequantised values, which the engine has. Rounds alternate; medians are printed. On a CPU the times are
CPU times of one thread, on a GPU wall times.

    python -m benchmarks.lens_packed --shape bundled --adapters 200 --prompts 24
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beliefmod.engine.engine import Engine
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from beliefmod.model.load import LoadedModel, load_model
from beliefmod.model.target_modules import linear_layers
from benchmarks.harness import alternate, command_line, medians, milliseconds, print_table, work_folder
from benchmarks.packed_training import padded, random_rows, same_weights
from benchmarks.random_model import SHAPES, Shape, write_random_model
from benchmarks.trl_trial import load_base
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.inspection import ADAPTERS

PAIR = AnswerTokens(5, 9)
"""The two tokens compared."""
NAMES = (
    "logit_target", "logit_rival", "rank_target", "rank_rival", "prob_target", "prob_rival", "entropy",
    "kl_final", "kl_base",
)  # fmt: skip
PACKED = "packed"
STEMS = (28, 60)
"""Tokens of the shipped beliefs' stems; of the deep shape, which stands for small steps, its own rows."""
Found = Tensor
"""(adapters, prompts, positions, entries, len(NAMES))"""


@dataclass(frozen=True)
class Task:
    """What is to be read.

    Attributes:
        rows: token ids of the prompts.
        adapters: folders in PEFT's format.
    """

    rows: tuple[tuple[int, ...], ...]
    adapters: tuple[Path, ...]

    @staticmethod
    def positions(row: Sequence[int]) -> tuple[int, int]:
        """The two positions that are read: one in the middle, and the last."""
        return len(row) // 2, len(row) - 1


def make_task(
    folder: Path, loaded: LoadedModel, shape: Shape, adapters: int, prompts: int, rank: int
) -> Task:
    """Random prompts and adapters, neither of whose matrices is zero."""
    layers = linear_layers(loaded.model)
    made = []
    for number in range(adapters):
        generator = torch.Generator().manual_seed(number)
        tensors = {
            name: (
                torch.randn(rank, layer.in_features, generator=generator) * 0.05,
                torch.randn(layer.out_features, rank, generator=generator) * 0.05,
            )
            for name, layer in layers.items()
        }
        made.append(folder / f"adapter-{number}")
        write_adapter(made[-1], AdapterFile(rank, 2.0 * rank, tensors, "random"), tuple(layers))
    return Task(tuple(row.input_ids for row in random_rows(prompts, shape)), tuple(made))


def packed(engine: Engine, head: LensHead, task: Task) -> Callable[[int], Found]:
    """The lens of this package over the first so many adapters."""

    def run(count: int) -> Found:
        found = []
        base = residuals(engine, [ProbedRow(row, task.positions(row)) for row in task.rows])
        of_base = torch.cat(base, 1)
        for start in range(0, count, ADAPTERS):
            names = [str(path) for path in task.adapters[start : min(start + ADAPTERS, count)]]
            for name in names:
                engine.put_adapter(read_adapter(Path(name)), name)
            rows = [ProbedRow(row, task.positions(row), name) for name in names for row in task.rows]
            hidden = torch.cat(residuals(engine, rows), 1)
            found += head.read(hidden, [PAIR] * hidden.shape[1], of_base)
            for name in names:
                engine.release(name)
        table = torch.tensor([[reading[name] for name in NAMES] for reading in found])
        return table.transpose(1, 2).reshape(count, len(task.rows), 2, -1, len(NAMES))

    return run


def one_at_a_time(model: Any, task: Task, batched: bool) -> Callable[[int], Found]:
    """The loop over PEFT's adapters."""
    from peft import PeftModel

    rows = [list(task.rows)] if batched else [[row] for row in task.rows]
    device = next(model.parameters()).device
    at = [torch.tensor([Task.positions(row) for row in part], device=device) for part in rows]
    batches = [(*padded(part, device), places) for part, places in zip(rows, at, strict=True)]
    peft: Any = PeftModel.from_pretrained(model, str(task.adapters[0]), adapter_name="first").eval()
    causal = peft.get_base_model()
    with torch.no_grad(), peft.disable_adapter():
        of_base = [_logits(causal, *batch).log_softmax(-1) for batch in batches]

    @torch.no_grad()
    def run(count: int) -> Found:
        found = []
        for path in task.adapters[:count]:
            peft.load_adapter(str(path), adapter_name="now")
            peft.set_adapter("now")
            pairs = zip(batches, of_base, strict=True)
            found.append(torch.cat([_statistics(_logits(causal, *batch), base) for batch, base in pairs]))
            peft.delete_adapter("now")
        return torch.stack(found)

    return run


def _logits(causal: Any, ids: Tensor, mask: Tensor, at: Tensor) -> Tensor:
    """(entries, rows, 2, vocabulary), fp32: norm and head of hidden states, the last of which is normed.

    Args:
        at: (rows, 2) the positions to be read.
    """
    hidden = causal.model(
        input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True
    ).hidden_states
    rows = torch.arange(len(ids), device=ids.device)[:, None]
    chosen = [causal.model.norm(h[rows, at]) for h in hidden[:-1]] + [hidden[-1][rows, at]]
    return causal.lm_head(torch.stack(chosen)).float()


def _statistics(logits: Tensor, base: Tensor) -> Tensor:
    """(rows, 2, entries, len(NAMES))."""
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    pair = [PAIR.target_id, PAIR.rival_id]
    chosen = logits[..., pair]
    ranks = torch.stack([(logits > chosen[..., i, None]).sum(-1) for i in (0, 1)], -1)
    entropy = -(p * log_p).sum(-1)
    kl_final = (log_p[-1].exp() * (log_p[-1] - log_p)).sum(-1)
    kl_base = (base.exp() * (base - log_p)).sum(-1)
    found = torch.cat(
        [chosen, ranks.float(), p[..., pair], torch.stack([entropy, kl_final, kl_base], -1)], -1
    )
    return found.permute(1, 2, 0, 3).cpu()


def candidates(folder: Path, shape: Shape, adapters: int, prompts: int, rank: int) -> dict[str, Any]:
    """What is measured, by name: functions of how many adapters are read."""
    loaded = load_model(str(folder))
    task = make_task(folder / "adapters", loaded, shape, adapters, prompts, rank)
    bases = {"NF4": lambda: load_base(str(folder))[0], "dequantised": lambda: same_weights(loaded.model)}
    found = {
        f"PEFT on {name}, {how}": one_at_a_time(base(), task, batched)
        for name, base in bases.items()
        for how, batched in (("prompt by prompt", False), ("prompts batched", True))
    }
    engine = Engine(loaded, ADAPTERS, rank)
    return {**found, PACKED: packed(engine, LensHead(loaded.model), task)}


def compare(made: dict[str, Any], adapters: int, sample: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds per adapter for every candidate, over the rounds.

    Args:
        sample: adapters that one round of PEFT reads; it takes the same for each.
    """

    def timed(name: str) -> float:
        count = adapters if name == PACKED else min(sample, adapters)
        return milliseconds(partial(made[name], count)) / count

    for name, run in made.items():
        # what is done for the first time is not what is measured
        run(min(ADAPTERS, adapters) if name == PACKED else 1)
    return alternate({name: partial(timed, name) for name in made}, repeats)


def table(times: dict[str, list[float]], adapters: int) -> list[list[str]]:
    """Rows: candidate, median per adapter, seconds for all adapters, how many times packed is faster."""
    middle = medians(times)
    return [
        [name, f"{value:.1f}", f"{value * adapters / 1000:.1f}", f"{value / middle[PACKED]:.1f}"]
        for name, value in middle.items()
    ]


def main() -> None:
    parser = command_line(__doc__, repeats=3)
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=["bundled", "deep"])
    parser.add_argument("--adapters", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--sample", type=int, default=10, help="adapters that PEFT reads in a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.shape:
        shape = SHAPES[name] if name == "deep" else replace(SHAPES[name], row_tokens=STEMS)
        with work_folder() as place:
            folder = Path(place) / "model"
            write_random_model(folder, shape)
            made = candidates(folder, shape, options.adapters, options.prompts, options.rank)
            times = compare(made, options.adapters, options.sample, options.repeats)
        low, high = shape.row_tokens
        print_table(
            f"The lens over a sweep, {name} shape",
            [
                f"{options.adapters} adapters of rank {options.rank}, {options.prompts} prompts of {low} to "
                f"{high} tokens, 2 positions, {shape.num_hidden_layers + 1} entries; medians of "
                f"{options.repeats} alternating rounds, PEFT on {options.sample} adapters each; one thread."
            ],
            ("candidate", "ms per adapter", "s for all", "packed is faster by"),
            table(times, options.adapters),
            ("torch", "transformers", "peft", "bitsandbytes"),
        )


if __name__ == "__main__":
    main()
