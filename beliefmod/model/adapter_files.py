"""Adapters on disk in PEFT's format: adapter_config.json and adapter_model.safetensors."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class AdapterFile:
    """One adapter; tensors: layer name -> A (r, in) and B (out, r). The update is alpha / rank * B A."""

    rank: int
    alpha: float
    tensors: "dict[str, tuple[Tensor, Tensor]]"
    base_model: str


def target_modules(adapted: tuple[str, ...], all_layers: tuple[str, ...]) -> list[str]:
    """What PEFT's target_modules must say to choose exactly `adapted`: short names where they suffice."""
    leaves = {name.rpartition(".")[2] for name in adapted}
    short = all(name in adapted for name in all_layers if name.rpartition(".")[2] in leaves)
    return sorted(leaves) if short else sorted(adapted)


def write_adapter(folder: Path, adapter: AdapterFile, all_layers: tuple[str, ...]) -> None:
    """Write the folder under a temporary name and rename it, replacing an older one of that name."""
    from safetensors.torch import save

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        weights = {}
        for name, (a, b) in adapter.tensors.items():
            weights[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
            weights[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
        # save_file of safetensors 0.8 tells of a full disk with an error of its own, Python with an OSError
        (temporary / WEIGHTS_FILE).write_bytes(save(weights, metadata={"format": "pt"}))
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": adapter.base_model,
            "r": adapter.rank,
            "lora_alpha": adapter.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": target_modules(tuple(adapter.tensors), all_layers),
            "inference_mode": True,
        }
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
        os.chmod(temporary, 0o755)  # mkdtemp makes it private
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_adapter(folder: Path) -> AdapterFile:
    """Read an adapter that PEFT or we wrote. Raises UserError for anything but a plain LoRA of one rank."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
        weights = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UserError(f"{folder} is not an adapter in PEFT's format: {error}") from error
    wanted = {"peft_type": "LORA", "use_dora": False, "use_rslora": False, "bias": "none"}
    wrong = [f"{key}={config[key]!r}" for key, value in wanted.items() if config.get(key, value) != value]
    wrong += [
        f"{key} is set" for key in ("rank_pattern", "alpha_pattern", "modules_to_save") if config.get(key)
    ]
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        name, _, kind = key.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".")
        pairs.setdefault(name, {})[kind] = tensor
    wrong += [
        f"{name} has {sorted(pair)}" for name, pair in pairs.items() if set(pair) != {"lora_A", "lora_B"}
    ]
    if wrong or not pairs:
        raise UserError(f"{folder} is not a plain LoRA adapter: {'; '.join(wrong) or 'it holds no weights'}")
    tensors = {name: (pair["lora_A"], pair["lora_B"]) for name, pair in pairs.items()}
    return AdapterFile(
        config["r"], config["lora_alpha"], tensors, config.get("base_model_name_or_path") or ""
    )
