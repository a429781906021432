"""Which types of model work, in the words of config.json: each is compared with transformers' own numbers.

`tests/model/architectures.py` has a tiny model of every one, and writes the table in docs/models.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SUPPORTED = {
    "apertus", "arcee", "cohere", "cohere2", "cohere2_moe", "cwm", "deepseek_v2", "deepseek_v3",
    "ernie4_5", "ernie4_5_moe", "exaone4", "exaone_moe", "flex_olmo", "gemma", "gemma2", "gemma3_text",
    "gemma3n_text", "gemma4_text", "glm", "glm4", "glm4_moe", "glm4_moe_lite", "gpt_neox", "gpt_oss",
    "granite", "granite_swa", "granitemoe", "granitemoe_swa", "granitemoeshared", "helium",
    "hunyuan_v1_dense", "hyperclovax", "jais2", "lfm2", "lfm2_moe", "llama", "minicpm3", "minimax_m2",
    "ministral", "ministral3", "mistral", "mixtral", "nanochat", "olmo", "olmo2", "olmo3", "olmo_hybrid",
    "olmoe", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_5_moe_text", "qwen3_5_text",
    "qwen3_moe", "qwen3_next", "seed_oss", "smollm3", "solar_open", "starcoder2", "vaultgemma",
}  # fmt: skip
_LAYERS = {"full_attention", "sliding_attention", "conv", "linear_attention"}
_CARRIES_STATE = "carries a state from token to token in a way that rows of a pack would share"
_OWN_ATTENTION = "has an attention of its own, in which rows of a pack would mix"
_WHY = {
    "bamba": _CARRIES_STATE,
    "bloom": _OWN_ATTENTION,
    "falcon": _OWN_ATTENTION,
    "falcon_h1": _CARRIES_STATE,
    "falcon_mamba": _CARRIES_STATE,
    "afmoe": "names a layer of its attention as PEFT names an expert, so no adapter could be read back",
    "gpt2": "keeps its weights in layers that no adapter of ours sits on",
    "granitemoehybrid": _CARRIES_STATE,
    "jamba": _CARRIES_STATE,
    "llama4_text": "cuts its attention into chunks, which rows of a pack would not keep to",
    "mamba": _CARRIES_STATE,
    "mamba2": _CARRIES_STATE,
    "nemotron_h": _CARRIES_STATE,
    "phimoe": "has expert and rotary layers that transformers computes differently for every batch",
    "recurrent_gemma": _CARRIES_STATE,
    "rwkv": _CARRIES_STATE,
}


def refusal(kind: str) -> str | None:
    """Why models of this type cannot be used, behind "a model of type X"; None if they can."""
    if kind in SUPPORTED:
        return None
    why = _WHY.get(kind, "has not been compared with what transformers itself computes")
    return f"{why}; beliefmod docs models lists the types that work"


def layer_refusal(text: PretrainedConfig) -> str | None:
    """Why this model of a type that works cannot be used all the same; None if it can."""
    other = sorted(set(getattr(text, "layer_types", None) or []) - _LAYERS)
    if other:
        return (
            f"has layers of a kind that rows of a pack cannot go through ({', '.join(other)} in layer_types)"
        )
    bidirectional = getattr(text, "use_bidirectional_attention", None)
    if bidirectional not in (None, False, "vision"):
        return "attends to tokens that come later (use_bidirectional_attention), so it writes no text"
    return None


def text_config(config: PretrainedConfig) -> PretrainedConfig:
    """The text part of a configuration, which ties its head to its embeddings where the whole model does."""
    text = config.get_text_config()
    text.tie_word_embeddings = bool(text.tie_word_embeddings or config.tie_word_embeddings)
    return text
