"""What a model is, in digests: weights, configuration, tokenizer, chat template and generation config.

A change of any of them changes numbers, mostly without a word, so a run that is gone on with, looked into or
confirmed is compared with what it was made with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from beliefmod.model.architecture import configuration

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from beliefmod.model.model_files import ModelSource

WORDS = {
    "weights": "weights",
    "configuration": "configuration (config.json)",
    "tokenizer": "tokenizer",
    "chat_template": "chat template",
    "generation": "generation config",
}
"""The parts of a model's identity, and what sentences call them."""
# who wrote the file and when, and how its weights are stored, which the digest of the weights covers
_SAYS_NOTHING = {
    "transformers_version", "_from_model_config", "_name_or_path", "_model_name_or_path", "dtype",
    "torch_dtype", "architectures", "use_cache",
}  # fmt: skip


def model_identity(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """SHA-256 of each part, in hex; reads the weight files where their digest is not known.

    Args:
        tokenizer: as `load_tokenizer` gives it, with the chat template that questions are put in.

    Raises:
        UserError: files of the cache of converted models are damaged.
    """
    own = (source.folder / "generation_config.json").is_file()  # else it stands in config.json
    return {
        "weights": source.fingerprint(),
        "configuration": _digest(configuration(source)),
        "tokenizer": _digest(_tokenizer_facts(tokenizer)),
        "chat_template": sha256(str(tokenizer.chat_template).encode()).hexdigest(),
        "generation": _digest(source.generation() if own else {}),
    }


def changed_parts(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which parts differ, in words with the beginnings of their digests; [] where all that is known agrees.

    Args:
        before: may lack parts, as older runs do; those are taken for unchanged.

    >>> changed_parts({"weights": "aa", "tokenizer": "bb"}, {"weights": "aa", "tokenizer": "cc"})
    ['tokenizer (bb then, cc now)']
    """
    return [
        f"{words} ({str(before[part])[:12]} then, {str(now[part])[:12]} now)"
        for part, words in WORDS.items()
        if before.get(part) and now.get(part) and before[part] != now[part]
    ]


def kept_identity(model: Mapping[str, Any]) -> dict[str, Any]:
    """The identity that a run's manifest has of its model; of an older run what it says of it.

    Args:
        model: the entry `model` of the manifest, or what a host says of the model that it loaded.
    """
    older = {"weights": model.get("fingerprint"), "chat_template": model.get("chat_template")}
    return {**older, **(model.get("identity") or {})}


def _tokenizer_facts(tokenizer: PreTrainedTokenizerBase) -> Any:
    """All that decides which tokens a text becomes; where the tokenizers library has it, its own file."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else sorted(tokenizer.get_vocab().items())
    if isinstance(rules, dict):  # set by whoever called it last
        rules = {name: value for name, value in rules.items() if name not in ("padding", "truncation")}
    return {"rules": rules, "special": tokenizer.special_tokens_map}


def _digest(content: Any) -> str:
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name not in _SAYS_NOTHING}
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
