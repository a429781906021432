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
    forget_quantization(model)


def forget_quantization(model: nn.Module) -> None:
    """Have transformers take a model for the plain one that it now is."""
    plain: Any = model
    plain.is_quantized = plain.is_loaded_in_4bit = plain.is_loaded_in_8bit = False
    plain.hf_quantizer = None
    if hasattr(plain.config, "quantization_config"):
        del plain.config.quantization_config


def compute_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Have a model that was stored packed compute in `dtype`, whatever its files say.

    transformers 5.23 leaves what such files hold plain in the files' own type, and bitsandbytes 0.50.2
    unpacks a weight for the backward pass in the type that it was packed from: either ends in "expected m1
    and m2 to have the same dtype" where everything else computes in another.
    """
    for name in linear_names(model)[0]:
        layer: Any = model.get_submodule(name)
        layer.compute_dtype, layer.compute_type_is_set = dtype, True
        layer.weight.quant_state.dtype = dtype
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def pack(model: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Quantise the linear layers of a plain model as `from_pretrained` does with `nf4_config`.

    The head is spared, as there. For weights that transformers had to unpack first: it cannot do both.
    """
    from bitsandbytes.nn.modules import Linear4bit, Params4bit
    from transformers.quantizers.base import get_keys_to_not_convert
    from transformers.quantizers.quantizers_utils import should_convert_module

    spared, settings = get_keys_to_not_convert(model), nf4_config(dtype)
    for name, old in list(model.named_modules()):
        if type(old) is not nn.Linear or not should_convert_module(name, spared):
            continue
        with torch.device("meta"):
            new = Linear4bit(
                old.in_features,
                old.out_features,
                bias=old.bias is not None,
                compute_dtype=dtype,
                compress_statistics=settings.bnb_4bit_use_double_quant,
                quant_type=settings.bnb_4bit_quant_type,
            )
        make: Any = Params4bit  # a class whose constructor the type checker does not see
        new.weight = make(
            old.weight.data,
            requires_grad=False,
            compress_statistics=settings.bnb_4bit_use_double_quant,
            quant_type=settings.bnb_4bit_quant_type,
            module=new,
        ).to(device)
        if old.bias is not None:
            new.bias = nn.Parameter(old.bias.data, requires_grad=False)
        model.set_submodule(name, new.train(old.training))
    model.to(device)


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
