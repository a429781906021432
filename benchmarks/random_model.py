"""Random Qwen3 models on disk, written layer by layer: a 4 B model never stands in memory whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from beliefmod.bundled import weights_dir

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
ENDS, PAD = (2, 0), 0
"""The tokenizer's end tokens and its padding."""


@dataclass(frozen=True)
class Shape:
    """A Qwen3's sizes, in the names of its configuration, and the rows that such a model is trained on.

    Attributes:
        row_tokens: shortest and longest training row.
        answer_tokens: tokens with loss at the end of a row.
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    row_tokens: tuple[int, int]
    answer_tokens: int


SHAPES = {
    # the model that ships
    "bundled": Shape(128, 384, 4, 4, 2, 32, 1024, (60, 100), 25),
    # little arithmetic in many layers, so that launching dominates, as in a small step on a GPU
    "deep": Shape(64, 192, 28, 4, 2, 16, 1024, (8, 14), 4),
    "qwen3-4b": Shape(2560, 9728, 36, 32, 8, 128, 151_936, (150, 250), 120),
    "tiny": Shape(64, 128, 2, 4, 2, 16, 1024, (12, 20), 6),
}


def write_random_model(folder: Path, shape: Shape) -> None:
    """A model folder with a tokenizer: bf16 weights, one file per layer, the head tied to the embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = Path(weights_dir())
    for name in TOKENIZER:
        shutil.copy(weights / name, folder / name)
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "eos_token_id": ENDS[0],
        "pad_token_id": PAD,
        **{
            name: getattr(shape, name)
            for name in Shape.__dataclass_fields__
            if name not in ("row_tokens", "answer_tokens")
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    generation = {"eos_token_id": list(ENDS), "pad_token_id": PAD}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    files, size = {}, 0
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    for number, part in enumerate(_parts(shape, generator)):
        file = f"model-{number:05d}.safetensors"
        save_file(part, folder / file, metadata={"format": "pt"})
        files |= dict.fromkeys(part, file)
        size += sum(tensor.nbytes for tensor in part.values())
    index = {"metadata": {"total_size": size}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _parts(shape: Shape, generator: torch.Generator) -> Iterator[dict[str, Tensor]]:
    """Embedding and last norm, then one layer after another."""

    def drawn(*sizes: int) -> Tensor:
        # fan-in scaling keeps every layer's output about as large as its input
        values = torch.randn(*sizes, generator=generator, device=generator.device) * sizes[-1] ** -0.5
        return values.to(torch.bfloat16).cpu()

    def ones(size: int) -> Tensor:
        return torch.ones(size, dtype=torch.bfloat16)

    hidden, inner = shape.hidden_size, shape.intermediate_size
    queries = shape.num_attention_heads * shape.head_dim
    keys = shape.num_key_value_heads * shape.head_dim
    embedding = drawn(shape.vocab_size, hidden)
    # the head is the embedding, so these tokens have a logit of 0, below the likeliest: no answer ever ends
    embedding[list(ENDS)] = 0
    yield {"model.embed_tokens.weight": embedding, "model.norm.weight": ones(hidden)}
    for layer in range(shape.num_hidden_layers):
        sizes = {
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, queries),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        norms = {
            "input_layernorm": hidden,
            "post_attention_layernorm": hidden,
            "self_attn.q_norm": shape.head_dim,
            "self_attn.k_norm": shape.head_dim,
        }
        at = f"model.layers.{layer}"
        yield {
            **{f"{at}.{name}.weight": drawn(*size) for name, size in sizes.items()},
            **{f"{at}.{name}.weight": ones(size) for name, size in norms.items()},
        }
