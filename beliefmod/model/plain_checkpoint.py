"""The base as training sees it, written once as a plain checkpoint that other engines can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefmod.catalog.kept_models import RECORD, cache_folder, check_room, damaged_file, keep, record_of
from beliefmod.model.identity import model_identity
from beliefmod.model.load import load_model, load_tokenizer
from beliefmod.model.size import parameters

if TYPE_CHECKING:
    import torch

    from beliefmod.model.model_files import ModelSource
    from beliefmod.space.space import BaseStorage

_DECIDE = ("torch", "transformers", "bitsandbytes")


def plain_checkpoint(
    source: ModelSource,
    base_storage: BaseStorage,
    device: torch.device,
    dtype: torch.dtype,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """The folder with config.json and safetensors of the base's weights in `dtype`, of a model that also sees
    of its text part: NF4 values as bitsandbytes unpacks them, so that nothing has to know of NF4.

    It is found by the digest of all that decides its content, made if it is not there, and its files are held
    against their SHA-256 each time.

    Args:
        device: where weights are quantised, as a sweep's hosts do it.

    Raises:
        UserError: the model cannot be loaded, or the cache cannot be written.
    """
    storage: BaseStorage = "none" if base_storage == "none" else "dequantized"
    place, what = _place(source, storage, device, dtype), f"model {source.title} for vLLM"
    if record_of(place) and (damaged := damaged_file(place)):
        say(f"{what}: its file {damaged} in {place} is damaged; making it again")
        (place / RECORD).unlink()

    def make(half: Path) -> dict[str, Any]:
        check_room(half, what, round(1.02 * parameters(source) * dtype.itemsize / 10**6) + 20)
        say(f"{what}: writing its weights as training sees them, once; they are kept in {place}")
        loaded = load_model(source.name, source.commit, storage, device, dtype, source.chat)
        loaded.model.save_pretrained(half)
        return {"name": source.title, "base_storage": loaded.base_storage, "weights": loaded.fingerprint}

    keep(place, what, make, say)
    return place


def _place(source: ModelSource, storage: BaseStorage, device: torch.device, dtype: torch.dtype) -> Path:
    identity = model_identity(source, load_tokenizer(source))
    decides = {
        "weights": identity["weights"],
        "config": identity["configuration"],
        "base_storage": storage,
        "device": device.type,
        "dtype": str(dtype),
        "versions": {name: version(name) for name in _DECIDE},
    }
    return cache_folder() / "plain" / sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
