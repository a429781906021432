"""From a name to a frozen model that is ready for the engine."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from beliefmod.errors import UserError
from beliefmod.model.source import ModelSource, find_source

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BaseStorage = Literal["dequantized", "nf4", "none"]


@dataclass(frozen=True)
class LoadedModel:
    """A frozen causal language model with what the other rooms need to know of it.

    fingerprint: sha256 over the weight files. eos_ids end a completion. quantized and unquantized: names
    of the linear layers whose values went through NF4, and of those left as they were (transformers
    spares the head).
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    name: str
    fingerprint: str
    eos_ids: tuple[int, ...]
    pad_id: int
    dtype: "torch.dtype"
    base_storage: BaseStorage = "none"
    quantized: tuple[str, ...] = ()
    unquantized: tuple[str, ...] = ()


def load_model(
    name: str,
    revision: str | None = None,
    base_storage: BaseStorage = "dequantized",
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
) -> LoadedModel:
    """Load `bundled`, a folder or a hub name; never runs a repository's code, reads safetensors only.

    base_storage: "dequantized" quantises the linear layers to NF4 and keeps the dequantised values (those
    that bitsandbytes computes at every step); "nf4" keeps them packed; "none" does not quantise. device
    defaults to the first GPU or the CPU, dtype to bf16 there and fp32 here. Raises UserError, as far as
    possible before weights are read.
    """
    source = find_source(name, revision)
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from beliefmod.model.quantized import (
        dequantize,
        guard_cpu_repacking,
        linear_names,
        nf4_config,
        return_freed_memory,
    )

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    _check_type(source)
    tokenizer = load_tokenizer(source)
    options: dict[str, Any] = {} if base_storage == "none" else {"quantization_config": nf4_config(dtype)}
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=dtype,
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            **options,
        )
    except (ValueError, OSError, KeyError, SafetensorError) as error:
        raise UserError(f"model {name} cannot be loaded: {_first_line(error)}") from error
    model.eval().requires_grad_(False)
    quantized, unquantized = linear_names(model)
    if base_storage == "nf4":
        guard_cpu_repacking(model)
    elif base_storage == "dequantized":
        dequantize(model, dtype)
    if base_storage != "none":
        return_freed_memory()
    eos_ids = _eos_ids(model, tokenizer)
    if not eos_ids:
        raise UserError(
            f"model {name} names no end token, neither in generation_config.json nor in its tokenizer"
        )
    pad_id: Any = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos_ids[0]
    return LoadedModel(
        model,
        tokenizer,
        name,
        source.fingerprint(),
        eos_ids,
        pad_id,
        dtype,
        base_storage,
        quantized,
        unquantized,
    )


def _check_type(source: ModelSource) -> None:
    from transformers.models.auto.configuration_auto import (
        CONFIG_MAPPING_NAMES,  # pyright: ignore[reportPrivateImportUsage]
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = json.loads((source.folder / "config.json").read_text()).get("model_type")
    if kind not in CONFIG_MAPPING_NAMES:
        raise UserError(
            f"model {source.name} is of type {kind}, which the installed transformers does not know; "
            "code from a model's repository is never run"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(f"model {source.name} is of type {kind}, which is not a causal language model")


def load_tokenizer(source: ModelSource) -> "PreTrainedTokenizerBase":
    """The tokenizer of a source. Raises UserError when there is none, or none with a chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=False, local_files_only=True
        )
    except (ValueError, OSError, KeyError) as error:
        raise UserError(f"model {source.name} has no usable tokenizer: {_first_line(error)}") from error
    if not tokenizer.chat_template:
        raise UserError(
            f"model {source.name} has no chat template; take the chat or instruct version of it, or add a "
            "chat_template.jinja to its folder"
        )
    return tokenizer


def _eos_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """End tokens: those of the generation config (a number or a list) and the tokenizer's own."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = list(configured) if isinstance(configured, list | tuple) else [configured]
    return tuple(dict.fromkeys(token for token in [*found, tokenizer.eos_token_id] if token is not None))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
