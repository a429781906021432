"""NF4 by bitsandbytes: what is quantised, how it is undone once, and one trap of its CPU kernels."""

import ctypes
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig


def nf4_config(dtype: torch.dtype) -> "BitsAndBytesConfig":
    """4-bit NormalFloat in blocks of 64 with plain fp32 scales, computing in `dtype`."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=False,
        bnb_4bit_compute_dtype=dtype,
    )


def linear_names(model: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the linear layers kept in 4 bits, and of the others."""
    packed, plain = [], []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            (packed if _is_4bit(module) else plain).append(name)
    return tuple(packed), tuple(plain)


def _is_4bit(module: nn.Module) -> bool:
    # by name: bitsandbytes is slow to import and not needed for an unquantised model
    return type(module).__name__ == "Linear4bit"


def dequantize(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace every Linear4bit, one after another, by a linear layer of the values it stands for.

    Must come before any forward pass (see `guard_cpu_repacking`). bitsandbytes' training path computes
    the same values at every step, so results do not change, bit for bit.
    """
    import bitsandbytes.functional as bnb

    for name in linear_names(model)[0]:
        parent, _, leaf = name.rpartition(".")
        old = model.get_submodule(name)
        assert isinstance(old, nn.Linear)
        weight = bnb.dequantize_4bit(old.weight.data, old.weight.quant_state).to(dtype)  # pyright: ignore[reportAttributeAccessIssue]
        with torch.device("meta"):
            new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None)
        new.weight = nn.Parameter(weight, requires_grad=False)
        if old.bias is not None:
            new.bias = nn.Parameter(old.bias.data.to(dtype), requires_grad=False)
        setattr(model.get_submodule(parent), leaf, new.train(old.training))
    # what transformers remembers of the quantisation, so that it takes the model for the plain one it now is
    plain: Any = model
    plain.is_quantized = plain.is_loaded_in_4bit = False
    plain.hf_quantizer = None
    if hasattr(plain.config, "quantization_config"):
        del plain.config.quantization_config


def own_weights(model: nn.Module) -> None:
    """Copy what is not quantised out of the mapped weight file, which then leaves memory.

    One embedding that still lies there keeps all pages that were read: of SmolLM2-135M 406 MiB in every
    process.
    """
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter and parameter.device.type == "cpu":
            parameter.data = parameter.data.clone()


def return_freed_memory() -> None:
    """Hand memory that was freed back to the system, where the C library can (glibc).

    After quantising a model of 315 M parameters on a CPU the process held 2.27 GB, and 1.56 GB after this.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def guard_cpu_repacking(model: nn.Module) -> None:
    """Forbid every Linear4bit to repack its weight for AVX512-BF16.

    bitsandbytes 0.50.2 on such CPUs repacks in place at the first forward pass in eval mode without
    gradients. Nothing undoes it, and the packed product has no autograd: training after it runs on with a
    loss that looks right and gradients that are 98 % wrong.
    """
    for name in linear_names(model)[0]:
        layer: Any = model.get_submodule(name)
        layer.support_avx512bf16_for_cpu = False
