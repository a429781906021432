"""From a model's files to a frozen model in memory, its linear layers quantised as asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM

from beliefmod.errors import UserError
from beliefmod.model.architecture import empty_model, text_options
from beliefmod.model.quantized import (
    compute_in,
    dequantize,
    forget_quantization,
    guard_cpu_repacking,
    linear_names,
    nf4_config,
    own_weights,
    pack,
    return_freed_memory,
)
from beliefmod.model.quiet import quiet_libraries, silent_transformers
from beliefmod.model.stored_weights import StoredWeights, stored_weights
from beliefmod.space.space import BaseStorage

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from beliefmod.model.model_files import ModelSource


@dataclass(frozen=True)
class ReadModel:
    """A model in memory, not to be trained.

    Attributes:
        base_storage: how its linear layers are kept. Files that are packed in 4 bits stand for the values
            that they unpack to, so of these `none` is `dequantized`.
        quantized, unquantized: names of the linear layers whose values went through 4 bits, and of the rest.
        stored: how the files store the weights, in words; None where they are plain.
    """

    model: PreTrainedModel
    base_storage: BaseStorage
    quantized: tuple[str, ...]
    unquantized: tuple[str, ...]
    stored: str | None


def read_weights(
    source: ModelSource, base_storage: BaseStorage, device: torch.device, dtype: torch.dtype
) -> ReadModel:
    """Read a model's weights, of one that also sees those of its text part.

    Raises:
        UserError: they cannot be read, or some are not there; one sentence.
    """
    stored = stored_weights(source)
    if stored.packed and base_storage == "none":
        base_storage = "dequantized"
    to_pack = base_storage != "none" and not stored.packed  # by us, or by transformers as it reads
    # unpacked weights take more memory than those that are wanted, so they are packed beside a GPU
    place = torch.device("cpu") if to_pack and stored.method and base_storage == "nf4" else device
    empty = empty_model(source)
    model = _from_files(source, stored, empty, base_storage, place, dtype)
    if stored.eight_bits:
        _unpack_eight_bits(model, dtype)
    if stored.method:
        compute_in(model, dtype)
    if stored.method and not stored.packed:
        forget_quantization(model)
        if to_pack:
            pack(model, dtype, device)
    model.eval().requires_grad_(False)
    quantized, unquantized = linear_names(model)
    if base_storage != "none":
        own_weights(model)
    if base_storage == "nf4":
        guard_cpu_repacking(model)
    elif base_storage == "dequantized":
        dequantize(model, dtype)
    if base_storage != "none":
        return_freed_memory()
    return ReadModel(model, base_storage, quantized, unquantized, stored.words(empty))


def _from_files(
    source: ModelSource,
    stored: StoredWeights,
    empty: nn.Module,
    base_storage: BaseStorage,
    device: torch.device,
    dtype: torch.dtype,
) -> PreTrainedModel:
    options = text_options(source)
    if stored.method:
        config = options.get("config") or AutoConfig.from_pretrained(
            source.folder, trust_remote_code=False, local_files_only=True
        )
        config.quantization_config = stored.settings_for(empty, dtype)
        options["config"] = config
    elif base_storage != "none":
        options["quantization_config"] = nf4_config(dtype)
    quiet_libraries()
    # what it would list of the part that sees and of other names is looked at by `check_weights`
    try:
        with silent_transformers():
            found: Any = AutoModelForCausalLM.from_pretrained(
                source.folder,
                dtype=dtype,
                device_map={"": device},
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except (ValueError, OSError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(f"model {source.name} cannot be loaded: {_first_line(error)}") from error
    model, report = found
    if missing := sorted(report["missing_keys"]):  # transformers would draw them at random
        raise UserError(
            f"model {source.name} cannot be loaded: its files lack {len(missing)} weights ({missing[0]})"
        )
    return model


def _unpack_eight_bits(model: PreTrainedModel, dtype: torch.dtype) -> None:
    with silent_transformers():  # it tells in which type
        model.dequantize(dtype)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
