"""What decides a base's answers, the question apart: model, machine, libraries and our own code."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefmod.run.manifest import versions

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel

_LIBRARIES = ("torch", "transformers", "tokenizers", "bitsandbytes", "numpy")
_CODE = ("engine", "model")


def digest(content: Any) -> str:
    """SHA-256 of content that JSON can write, in hex."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def about(loaded: LoadedModel) -> dict[str, Any]:
    """All that decides what a base answers, as far as rounding goes, as JSON can write it.

    The sizes of passes and decoding batches are left out: they change no result beyond rounding.
    """
    model = loaded.model
    return {
        "fingerprint": loaded.fingerprint,
        "tokenizer": loaded.identity.get("tokenizer"),
        "config": sha256(model.config.to_json_string().encode()).hexdigest(),
        "chat_template": loaded.template_sha256,
        "base_storage": loaded.base_storage,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": _device(model.device),
        "eos_ids": list(loaded.eos_ids),
        "versions": {name: versions()[name] for name in _LIBRARIES},
        "code": _code(),
    }


def _device(device: Any) -> str:
    if device.type != "cuda":
        return str(device.type)
    import torch

    return torch.cuda.get_device_name(device)


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of the source that turns questions into answers: a mended engine asks again."""
    here = Path(__file__).parent.parent
    paths = sorted(path for room in _CODE for path in (here / room).rglob("*.py"))
    return digest([[str(path.relative_to(here)), sha256(path.read_bytes()).hexdigest()] for path in paths])
