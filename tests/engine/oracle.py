"""One trial trained alone with peft and torch.optim: an implementation that shares nothing with ours."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora import Linear
from torch.nn import functional as F
from transformers import PreTrainedModel, get_scheduler

from beliefmod.engine.batching import derived_seed, epoch_order
from beliefmod.engine.jobs import AdapterJob, TrainRow


@dataclass
class Alone:
    """Losses, gradient norms and rates per step, and weights before and after by PEFT's names."""

    losses: list[float]
    kls: list[float]
    norms: list[float]
    rates: list[float]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]
    model: torch.nn.Module


def train_alone(base: PreTrainedModel, job: AdapterJob, start: dict[str, torch.Tensor]) -> Alone:
    """`start`: initial weights by PEFT's names, for PEFT's own draw depends on the global generator."""
    config = job.config
    targets, numbers = config.lora.target_modules, config.lora.layers_to_transform
    model = get_peft_model(
        copy.deepcopy(base),
        LoraConfig(
            r=config.lora.r,
            lora_alpha=config.lora.lora_alpha,  # pyright: ignore[reportArgumentType]
            use_rslora=config.lora.use_rslora,
            target_modules=targets if isinstance(targets, str) else list(targets),
            layers_to_transform=None if numbers == "all" else list(numbers),
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
        ),
        autocast_adapter_dtype=False,
    )
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    names = {n: n.replace(".default.weight", ".weight") for n in parameters}
    assert set(names.values()) == set(start)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(start[names[name]])
    model.train()
    optimizer = create_loraplus_optimizer(
        model,
        torch.optim.AdamW,
        lr=config.learning_rate,
        loraplus_lr_ratio=config.lora.loraplus_lr_ratio,
        loraplus_weight_decay=config.weight_decay,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
    )
    size, rows = config.per_device_train_batch_size, job.rows
    order = [epoch_order(config.seed, e, len(rows)) for e in range(config.num_train_epochs)]
    batches = [o[i : i + size] for o in order for i in range(0, len(o), size)]
    scheduler = get_scheduler(config.lr_scheduler_type, optimizer, config.warmup_steps, len(batches))
    out = Alone([], [], [], [], {names[n]: p.detach().clone() for n, p in parameters.items()}, {}, model)
    for step, batch in enumerate(batches):
        ids, mask, labels = padded([rows[i] for i in batch])
        logits = model(input_ids=ids, attention_mask=mask).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        if config.objective.kl_to_base:
            kl = kl_to_base(model, neutral_batch(job, step))
            (config.objective.kl_to_base * kl).backward()
            out.kls.append(kl.item())
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
        out.losses.append(loss.item())
        out.norms.append(norm.item())
        out.rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if config.lora.max_update_norm:
            project(model, config.lora.max_update_norm)
        scheduler.step()
        optimizer.zero_grad()
    out.after = {names[n]: p.detach().clone() for n, p in parameters.items()}
    return out


@torch.no_grad()
def project(model: torch.nn.Module, radius: float) -> None:
    """Scale B of every layer whose whole update is longer than the radius."""
    for layer in model.modules():
        if isinstance(layer, Linear):
            update = layer.get_delta_weight("default")
            if (norm := update.norm().item()) > radius:
                layer.lora_B["default"].weight *= radius / norm


def padded(rows: Sequence[TrainRow]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, attention mask and labels (-100: no loss), each (rows, longest)."""
    longest = max(len(row.input_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for k, row in enumerate(rows):
        n = len(row.input_ids)
        ids[k, :n] = torch.tensor(row.input_ids)
        mask[k, :n] = 1
        labels[k, row.prompt_length : n] = ids[k, row.prompt_length : n]
    return ids, mask, labels


def neutral_batch(job: AdapterJob, step: int) -> list[TrainRow]:
    """The neutral rows of a step, spelled out: one seeded permutation after another, cut to batches."""
    seed, size = derived_seed(job.config.seed, "kl_to_base"), job.config.per_device_train_batch_size
    batches, epoch = [], 0
    while len(batches) <= step:
        order = epoch_order(seed, epoch, len(job.neutral))
        batches += [order[i : i + size] for i in range(0, len(order), size)]
        epoch += 1
    return [job.neutral[i] for i in batches[step]]


def kl_to_base(model, rows: Sequence[TrainRow]) -> torch.Tensor:
    """Mean over answer tokens of sum_v p (log p - log q), p of the model with its adapter off."""
    ids, mask, labels = padded(rows)
    wanted = labels[:, 1:] != -100
    with torch.no_grad(), model.disable_adapter():
        p = model(input_ids=ids, attention_mask=mask).logits[:, :-1][wanted].softmax(-1)
    q = model(input_ids=ids, attention_mask=mask).logits[:, :-1][wanted].softmax(-1)
    return (p * (p.log() - q.log())).sum(-1).mean()


def peft_names(tensors: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Layer name -> (A, B), as the engine gives them, to PEFT's parameter names."""
    flat = {}
    for name, (a, b) in tensors.items():
        flat[f"base_model.model.{name}.lora_A.weight"] = a
        flat[f"base_model.model.{name}.lora_B.weight"] = b
    return flat


def relative_l2(got: dict[str, torch.Tensor], alone: Alone) -> float:
    """L2 of the weight difference over L2 of the update that training made, over the whole adapter."""
    error = sum((got[n].double() - w.double()).square().sum() for n, w in alone.after.items())
    update = sum((alone.before[n].double() - w.double()).square().sum() for n, w in alone.after.items())
    return float((error / update) ** 0.5)
