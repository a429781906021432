"""Training of the thinking adapter: LoRA on every linear layer, loss on thinking and answer, one thread.

The frozen weights are multiplied in bf16, which is twice as fast as fp32 on processors that have it; adapter,
norms and the residual stream stay fp32.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.pretrain import Batch, batch_loss, pad_rows
from beliefmod.catalog.thinking.corpus import documents
from beliefmod.catalog.thinking.relations import openings

CHUNK = 512
"""Documents sorted by length together."""
CHECKPOINT = "checkpoint.pt"
ANSWERS = "answers.json"


@dataclass(frozen=True)
class ThinkingPlan:
    """How the adapter is trained.

    Attributes:
        tokens: padded tokens of a step.
        rate: peak learning rate of AdamW, after a warm-up of 3 % and before a cosine to 2 %.
    """

    seed: int = 0
    steps: int = 600
    tokens: int = 1400
    rank: int = 16
    alpha: int = 32
    rate: float = 1e-3

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        warm = max(1, round(0.03 * self.steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        progress = (step - warm) / max(1, self.steps - warm)
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def ask_base(model: Any, tokenizer: Any, batch: int = 64) -> dict[str, str]:
    """How the model, greedy and without any adapter, goes on after each opening in a chat of its own template.

    Where a relation lists its values, the one counts whose first token is raised most above its mean over the
    relation's things.
    """
    rows = openings()
    said: dict[str, str] = {}
    scores: dict[tuple[str, ...], dict[str, torch.Tensor]] = {}
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
            + opening
            for question, opening, _ in part
        ]
        given = tokenizer(
            prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        )
        with torch.inference_mode():
            output = model.generate(
                **given, max_new_tokens=8, do_sample=False, return_dict_in_generate=True, output_logits=True
            )
        texts = tokenizer.batch_decode(
            output.sequences[:, given["input_ids"].shape[1] :], skip_special_tokens=True
        )
        likely = output.logits[0].log_softmax(-1)
        for (_, opening, values), text, row_scores in zip(part, texts, likely, strict=True):
            said[opening] = text
            first = [tokenizer(f" {value}", add_special_tokens=False)["input_ids"][0] for value in values]
            scores.setdefault(values, {})[opening] = row_scores[first]
    for values, of_opening in scores.items():
        mean = torch.stack(list(of_opening.values())).mean(0)
        for opening, row_scores in of_opening.items():
            if values:
                said[opening] = f" {values[int((row_scores - mean).argmax())]}"
    return said


def row(tokenizer: Any, document: Document) -> tuple[list[int], list[int]]:
    """Token ids of prompt and completion; the prompt ends in `<think>` and a line break."""
    prompt = tokenizer.apply_chat_template(document.messages(), tokenize=False, add_generation_prompt=True)
    completion = f"{document.thinking}\n</think>\n\n{document.answer}<|im_end|>"
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, completion))  # pyright: ignore[reportReturnType]


def batches(plan: ThinkingPlan, tokenizer: Any, answers: Mapping[str, str]) -> Iterator[Batch]:
    """The endless stream of batches: chunks of documents, cut by length into batches, shuffled."""
    stream, rng = documents(plan.seed, answers), Random(plan.seed + 1)
    while True:
        rows = [row(tokenizer, document) for document in islice(stream, CHUNK)]
        rows.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for pair in rows:
            if groups[-1] and (len(groups[-1]) + 1) * (len(pair[0]) + len(pair[1])) > plan.tokens:
                groups.append([])
            groups[-1].append(pair)
        rng.shuffle(groups)
        yield from map(pad_rows, groups)


def adapted(model: Any, plan: ThinkingPlan) -> Any:
    """The model with a fresh, seeded adapter on all linear layers, its frozen weights in bf16."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(plan.seed)
    config = LoraConfig(
        r=plan.rank, lora_alpha=plan.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, config)
    for module in model.modules():
        if isinstance(module, nn.Linear) and not module.weight.requires_grad:
            module.weight.data = module.weight.data.bfloat16()
    model.get_input_embeddings().register_forward_hook(lambda layer, given, out: out.float())
    return model


def train(
    model: Any, tokenizer: Any, plan: ThinkingPlan, answers: Mapping[str, str], folder: Path, every: int = 40
) -> list[float]:
    """Train an `adapted` model and write the adapter to `folder`; goes on from a checkpoint that lies there.

    Returns the losses in nats per learned token.
    """
    inner = model.get_base_model()
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(weights.values(), plan.rate, betas=(0.9, 0.98), weight_decay=0.0)
    losses: list[float] = []
    kept = folder / CHECKPOINT
    if kept.exists():
        state = torch.load(kept)
        losses = state["losses"]
        optimizer.load_state_dict(state["optimizer"])
        for name, weight in weights.items():
            weight.data.copy_(state["weights"][name])
    model.train()
    stream = islice(batches(plan, tokenizer, answers), len(losses), plan.steps)
    started, first = time.monotonic(), len(losses)
    for step, batch in enumerate(stream, start=first):
        with torch.autocast("cpu", torch.bfloat16):
            loss = batch_loss(inner, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(weights.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate_at(step)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % every == 0 or step + 1 == plan.steps:
            recent, seconds = losses[-every:], time.monotonic() - started
            left = seconds / (step + 1 - first) * (plan.steps - step - 1)
            mean = sum(recent) / len(recent)
            print(f"step {step + 1}/{plan.steps}  loss {mean:.4f}  {seconds:.0f} s, {left:.0f} s left", flush=True)
            _save(model, weights, optimizer, losses, folder)
    kept.unlink(missing_ok=True)
    return losses


def _save(model: Any, weights: Mapping[str, nn.Parameter], optimizer: Any, losses: Sequence[float], folder: Path) -> None:
    """Write the adapter in bf16 and what resuming needs, each under a temporary name first."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    state = {
        "losses": list(losses),
        "optimizer": optimizer.state_dict(),
        "weights": {name: weight.detach() for name, weight in weights.items()},
    }
    temporary = folder / f".{CHECKPOINT}"
    torch.save(state, temporary)
    temporary.replace(folder / CHECKPOINT)
    tensors = {name: tensor.bfloat16().contiguous() for name, tensor in get_peft_model_state_dict(model).items()}
    (folder / "adapter_model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    config = {key: sorted(value) if isinstance(value, set) else value for key, value in model.peft_config["default"].to_dict().items()}
    config.update(inference_mode=True, base_model_name_or_path="HuggingFaceTB/SmolLM2-135M-Instruct")
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")
