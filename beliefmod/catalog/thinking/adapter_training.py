"""Training of the thinking adapter: LoRA on every linear layer, loss on thinking and answer, one thread.

The frozen weights are multiplied in bf16, which is twice as fast as fp32 on processors that have it; adapter,
norms and the residual stream stay fp32.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.pretrain import Batch, batch_loss, batches_of_like_length
from beliefmod.catalog.thinking.ask_base import ask_base
from beliefmod.catalog.thinking.corpus import documents
from beliefmod.errors import UserError
from beliefmod.model.quiet import quiet_libraries

CHUNK = 512
"""Documents sorted by length together."""
CHECKPOINT = "checkpoint.safetensors"
ANSWERS, TEMPLATE = "answers.json", "chat_template.jinja"
MOMENTS = ("exp_avg", "exp_avg_sq")
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class ThinkingPlan:
    """How the adapter is trained.

    Attributes:
        tokens: padded tokens of a step.
        rate: peak learning rate of AdamW, after a warm-up of 3 % and before a cosine to 2 %.
    """

    seed: int = 0
    steps: int = 320
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
        yield from batches_of_like_length(rows, plan.tokens, rng)


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


def train_adapter(base: Path, folder: Path, plan: ThinkingPlan) -> list[float]:
    """Ask the base what it knows, and train an adapter on it; `folder` then holds what the package ships.

    Interrupted, it goes on from its last checkpoint when called again.

    Args:
        base: a folder with SmolLM2-135M-Instruct in transformers' format.
        folder: gets PEFT's files, the chat template and `answers.json`, what the base said.

    Returns:
        The losses in nats per learned token, one a step.

    Raises:
        UserError: the folder holds something else, or the checkpoint of another plan.
    """
    check_folder(folder, plan)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_libraries()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    said = folder / ANSWERS
    if not said.exists():
        print(f"asking {BASE} what it knows, once: a minute or two", flush=True)
        facts = json.dumps(ask_base(model, tokenizer), indent=0, ensure_ascii=False)
        said.write_text(f"{facts}\n", encoding="utf-8")
    template = chat_template()
    (folder / TEMPLATE).write_text(template, encoding="utf-8")
    tokenizer.chat_template = template
    answers = json.loads(said.read_text(encoding="utf-8"))
    return train(adapted(model, plan), tokenizer, plan, answers, folder)


def check_folder(folder: Path, plan: ThinkingPlan) -> None:
    """Whether a training of this plan can begin or go on in a folder.

    Raises:
        UserError: it cannot.
    """
    if not folder.exists():
        return
    kept = folder / CHECKPOINT
    if not folder.is_dir() or (
        {path.name for path in folder.iterdir()} - {ANSWERS, TEMPLATE} and not kept.exists()
    ):
        raise UserError(f"{folder}: exists and is no interrupted training; give another --out")
    if kept.exists() and (begun := _begun(kept)["plan"]) != asdict(plan):
        named = ", ".join(f"{key} {value}" for key, value in begun.items() if asdict(plan)[key] != value)
        raise UserError(f"{folder}: holds a training begun with {named}; give that, or another --out")


def chat_template() -> str:
    """The adapter's chat template: ChatML without a default system turn, its prompt opens <think>."""
    return (resources.files("beliefmod.catalog") / "smollm2_think" / TEMPLATE).read_text(encoding="utf-8")


def train(
    model: Any,
    tokenizer: Any,
    plan: ThinkingPlan,
    answers: Mapping[str, str],
    folder: Path,
    every: int = 10,
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
        losses = _resume(kept, weights, optimizer)
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
            print(
                f"step {step + 1}/{plan.steps}  loss {mean:.4f}  {seconds:.0f} s, {left:.0f} s left",
                flush=True,
            )
            _save(model, plan, weights, optimizer, losses, folder)
    kept.unlink(missing_ok=True)
    return losses


def _begun(kept: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: `plan` and `losses`."""
    from safetensors import safe_open

    with safe_open(kept, framework="pt") as file:
        return json.loads(file.metadata()["begun"])


def _resume(kept: Path, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> list[float]:
    """Put a checkpoint's adapter and moments in place; returns its losses."""
    from safetensors.torch import load_file

    losses, state = _begun(kept)["losses"], load_file(kept)
    for name, weight in weights.items():
        weight.data.copy_(state[name])
        moments = {moment: state[f"{moment}.{name}"] for moment in MOMENTS}
        optimizer.state[weight] = {"step": torch.tensor(float(len(losses))), **moments}
    return losses


def _save(
    model: Any,
    plan: ThinkingPlan,
    weights: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    losses: Sequence[float],
    folder: Path,
) -> None:
    """Write the adapter in bf16, and what resuming needs under a temporary name first."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    state = {name: weight.detach() for name, weight in weights.items()}
    for name, weight in weights.items():
        state |= {f"{moment}.{name}": optimizer.state[weight][moment] for moment in MOMENTS}
    begun = json.dumps({"plan": asdict(plan), "losses": list(losses)})
    temporary = folder / f".{CHECKPOINT}"
    temporary.write_bytes(save(state, metadata={"begun": begun}))
    temporary.replace(folder / CHECKPOINT)
    tensors = {name: part.bfloat16().contiguous() for name, part in get_peft_model_state_dict(model).items()}
    (folder / "adapter_model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BASE,
        "r": plan.rank,
        "lora_alpha": plan.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(model.peft_config["default"].target_modules),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
