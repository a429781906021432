"""How a model's files store its weights: plain, packed by bitsandbytes in 4 bits, or in a format to unpack.

Packed ones are used as they are, what the files leave plain included. Those of other formats are turned back
into plain weights by transformers while they are read, and quantised as plain ones are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.architecture import configuration, text_name

if TYPE_CHECKING:
    import torch
    from torch import nn

    from beliefmod.model.model_files import ModelSource

# formats that transformers 5.23 unpacks while it reads, with the package that it needs for it
_UNPACKED = {"fp8": None, "mxfp4": None, "compressed-tensors": "compressed_tensors"}
_PACKED, _EIGHT_BITS = "bitsandbytes in 4 bits", "bitsandbytes in 8 bits"
MOST_NAMED = 4
"""Layers that a sentence names."""
_WAY_OUT = "take the model that it was made from, or a bitsandbytes (bnb-4bit), fp8 or GGUF version of it"
# how safetensors names numbers that stand for others only together with a scale
_CODED = ("F8_", "F4", "F6_", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64")
_WEIGHTS = (".weight", ".qweight", ".weight_packed", "_blocks")


@dataclass(frozen=True)
class StoredWeights:
    """What config.json and the headers of the weight files say of how weights are stored.

    Attributes:
        method: the format in words; None: plain numbers.
        settings: the quantization_config of config.json; {} of plain weights.
    """

    source: ModelSource
    method: str | None
    settings: dict[str, Any]

    @property
    def packed(self) -> bool:
        """Whether the files hold bitsandbytes' 4-bit layers, which are used as they are."""
        return self.method == _PACKED

    @property
    def eight_bits(self) -> bool:
        """Whether the files hold bitsandbytes' 8-bit layers."""
        return self.method == _EIGHT_BITS

    @cached_property
    def packed_layers(self) -> frozenset[str]:
        """Names of the text part's layers that are stored in 4 bits."""
        marks = (name.partition(".weight.quant_state.bitsandbytes__") for name in tensor_headers(self.source))
        return frozenset(text_name(layer) for layer, mark, _ in marks if mark)

    def settings_for(self, empty: nn.Module, dtype: torch.dtype) -> dict[str, Any]:
        """The quantization_config to load with.

        Layers that are left plain are taken from the files, not from the configuration's list: older
        transformers and other programs wrote that with other names than the model has now.

        Args:
            empty: the model without weights.
            dtype: that everything computes in, whatever the files' own is.
        """
        if not self.packed:
            return self.settings | {"dequantize": True}
        compute, plain = str(dtype).removeprefix("torch."), self.plain_layers(empty)
        return self.settings | {"bnb_4bit_compute_dtype": compute, "llm_int8_skip_modules": plain}

    def plain_layers(self, empty: nn.Module) -> list[str]:
        """Names of the linear layers that the files do not store in 4 bits."""
        return [name for name in linear_names(empty) if name not in self.packed_layers]

    @property
    def double_quantised(self) -> bool:
        """Whether the scales of packed layers are quantised themselves."""
        return self.packed and bool(self.settings.get("bnb_4bit_use_double_quant"))

    def words(self, empty: nn.Module) -> str | None:
        """What is done about the format, for plan and report; None for plain weights."""
        if self.method is None:
            return None
        if not self.packed:
            return f"stored in {self.method}, unpacked when they are read"
        kind = self.settings.get("bnb_4bit_quant_type", "fp4")
        scales = ", scales quantised too" if self.double_quantised else ""
        names = self.plain_layers(empty)
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        plain = f"; left plain as in the files: {', '.join(names[:MOST_NAMED])}{more}" if names else ""
        return f"stored by {self.method} ({kind}{scales}), used as they are{plain}"


def four_bit_bytes(weights: int, double_quantised: bool = False) -> int:
    """Bytes that bitsandbytes keeps of a linear layer's weights in 4 bits, its bias not among them.

    Half a byte each, a scale in fp32 for every 64, and a table of 16 values. Quantised themselves, scales
    take a byte each, one in fp32 for every 256 of them, a table of 256 values and an offset.

    >>> four_bit_bytes(4096), four_bit_bytes(4096, double_quantised=True)
    (2368, 3208)
    """
    scales = -(-weights // 64)
    kept = 4 * scales if not double_quantised else scales + 4 * (-(-scales // 256) + 256 + 1)
    return -(-weights // 2) + kept + 64


def stored_weights(source: ModelSource) -> StoredWeights:
    """How a model's weights are stored, from its configuration and the headers of its weight files.

    Raises:
        UserError: in a way that cannot be used on this machine; one sentence with a way out.
    """
    config = configuration(source)
    parts = (config, config.get("text_config") or {})
    settings = next((part["quantization_config"] for part in parts if part.get("quantization_config")), {})
    settings = settings or config.get("compression_config") or {}  # of early compressed-tensors
    if not isinstance(settings, dict):
        raise UserError(f"model {source.name}: quantization_config of its config.json is damaged (no object)")
    if not settings:
        _check_plain(source)
        return StoredWeights(source, None, {})
    method = str(settings.get("quant_method") or "a format without a name")
    if settings.get("load_in_4bit"):
        method = _PACKED
    elif settings.get("load_in_8bit"):
        method = _EIGHT_BITS
    elif method not in _UNPACKED:
        raise UserError(
            f"model {source.name} is quantised with {method} (quant_method in its config.json), which cannot "
            f"be turned back into plain weights here; {_WAY_OUT}"
        )
    elif (package := _UNPACKED[method]) and find_spec(package) is None:
        raise UserError(
            f"model {source.name} is stored in {method}, and the package that reads it is not installed; run "
            f"`pip install {package.replace('_', '-')}`, or {_WAY_OUT}"
        )
    stored = StoredWeights(source, method, settings)
    if stored.packed and not stored.packed_layers:
        raise UserError(
            f"model {source.name}: its config.json says that its weights are packed in 4 bits, and its files "
            f"hold no packed layer; take quantization_config out of {source.folder}/config.json"
        )
    return stored


def _check_plain(source: ModelSource) -> None:
    """Numbers that need a scale, without a word in config.json on how to read them, would be read as weights.

    Raises:
        UserError: there are some.
    """
    for name, entry in tensor_headers(source).items():
        if name.endswith(_WEIGHTS) and str(entry["dtype"]).startswith(_CODED):
            raise UserError(
                f"model {source.name}: its files hold {name} as {entry['dtype']}, and its config.json has no "
                f"quantization_config that says how to read it; {_WAY_OUT}"
            )


def tensor_headers(source: ModelSource) -> dict[str, dict[str, Any]]:
    """Name -> dtype and shape of every tensor in a model's weight files, without reading any.

    Raises:
        UserError: a file is damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in source.weight_files():
        found |= dict(headers_of(path, source.name))
    return found


def headers_of(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name, dtype, shape and place of every tensor in a weight file of the model with this name.

    Raises:
        UserError: the file is damaged.
    """
    # the format: eight bytes with the header's length, then the header as JSON
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        yield from ((key, entry) for key, entry in header.items() if key != "__metadata__")
    except (ValueError, AttributeError, MemoryError, OverflowError) as error:
        raise UserError(f"model {name} cannot be loaded: {path.name} is damaged ({error})") from error


def linear_names(model: nn.Module) -> list[str]:
    """Names of all linear layers, the output head included."""
    from torch import nn

    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
