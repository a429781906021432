"""Adapters on disk in PEFT's format: adapter_config.json and adapter_model.safetensors."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.architecture import text_name
from beliefmod.model.foreign_adapters import foreign_fields

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_WAY_OUT = "train a plain one, or merge it into its base with PEFT and give the merged model"


@dataclass(frozen=True)
class AdapterFile:
    """One adapter; tensors: layer name -> A (r, in) and B (out, r). The update is alpha / rank * B A.

    base_model: where transformers and PEFT find its base: a name of the hub, or a folder.
    revision: of a base from the hub, the commit. Names of layers are those of the base's text part.
    """

    rank: int
    alpha: float
    tensors: "dict[str, tuple[Tensor, Tensor]]"
    base_model: str
    revision: str | None = None


def target_modules(adapted: tuple[str, ...], all_layers: tuple[str, ...]) -> list[str]:
    """What PEFT's target_modules must say to choose exactly `adapted`: short names where they suffice."""
    leaves = {name.rpartition(".")[2] for name in adapted}
    # PEFT would find the number of a layer in a list (Gemma 3n) at the end of many other names
    numbered = any(leaf.isdigit() for leaf in leaves)
    short = not numbered and all(n in adapted for n in all_layers if n.rpartition(".")[2] in leaves)
    return sorted(leaves) if short else sorted(adapted)


def write_adapter(
    folder: Path,
    adapter: AdapterFile,
    all_layers: tuple[str, ...],
    names: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the folder under a temporary name and rename it, replacing an older one of that name.

    Args:
        all_layers: names of all linear layers of the model that PEFT will put the adapter on.
        names: what layers are called there, where that is not what they are called in the text part.
    """
    called = {name: names.get(name, name) for name in adapter.tensors}
    weights = {}
    for name, (a, b) in adapter.tensors.items():
        weights[f"{_PREFIX}{called[name]}.lora_A.weight"] = a.contiguous()
        weights[f"{_PREFIX}{called[name]}.lora_B.weight"] = b.contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base_model,
        "revision": adapter.revision,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": target_modules(tuple(called.values()), all_layers),
        "inference_mode": True,
    }
    _write(folder, config, weights)


def copy_adapter(source: Path, folder: Path, changes: Mapping[str, Any], *, text_keys: bool = False) -> None:
    """Write a plain LoRA adapter once more, replacing a folder that is there.

    Args:
        changes: fields of its configuration.
        text_keys: whether its layers are called as in the text part of a model that also sees, by itself.

    Raises:
        UserError: it is no plain LoRA adapter, or damaged.
    """
    from safetensors.torch import load_file

    read_adapter(source)
    config = {**json.loads((source / CONFIG_FILE).read_text()), **changes}
    weights = load_file(source / WEIGHTS_FILE)
    if text_keys:
        weights = {
            f"{_PREFIX}{text_name(key.removeprefix(_PREFIX))}": tensor for key, tensor in weights.items()
        }
        config["target_modules"] = sorted(map(text_name, config["target_modules"]))
    _write(folder, config, weights)


def _write(folder: Path, config: Mapping[str, Any], weights: "dict[str, Tensor]") -> None:
    from safetensors.torch import save

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        # save_file of safetensors 0.8 tells of a full disk with an error of its own, Python with an OSError
        (temporary / WEIGHTS_FILE).write_bytes(save(weights, metadata={"format": "pt"}))
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
    if not isinstance(config, dict) or not {"r", "lora_alpha"} <= config.keys():
        raise UserError(
            f"{folder} is not an adapter in PEFT's format: {CONFIG_FILE} names no r and lora_alpha"
        )
    if foreign := foreign_fields(config):
        raise UserError(f"{folder} is not a plain LoRA adapter: {each}; {_WAY_OUT}" for each in foreign)
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        name, _, kind = key.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".")
        pairs.setdefault(text_name(name), {})[kind] = tensor
    wrong = [
        f"{name} has {sorted(pair)}" for name, pair in pairs.items() if set(pair) != {"lora_A", "lora_B"}
    ]
    if wrong or not pairs:
        problem = f"{len(wrong)} of its layers are incomplete: {wrong[0]}" if wrong else "it holds no weights"
        raise UserError(f"{folder} is not a plain LoRA adapter: {problem}")
    tensors = {name: (pair["lora_A"], pair["lora_B"]) for name, pair in pairs.items()}
    base, revision = config.get("base_model_name_or_path") or "", config.get("revision")
    # rank-stabilised: alpha over the root of the rank
    alpha = config["lora_alpha"] * (math.sqrt(config["r"]) if config.get("use_rslora") else 1)
    return AdapterFile(config["r"], alpha, tensors, base, revision)
