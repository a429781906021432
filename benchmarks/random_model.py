"""Random Qwen3 models on disk."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from beliefmod.bundled import weights_dir

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
ENDS, PAD = [2, 0], 0
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
    """A model folder with a tokenizer: bf16 weights, the head tied to the embedding."""
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        **asdict(shape),
        dtype=torch.bfloat16,
        tie_word_embeddings=True,
        eos_token_id=ENDS[0],
        pad_token_id=PAD,
    )
    with torch.device("meta"):  # so that it never stands in fp32, nor is drawn twice
        model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.to_empty(device="cpu")
    model.tie_weights()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:  # a norm
                weight.fill_(1.0)
            else:  # fan-in scaling keeps every layer's output about as large as its input
                weight.normal_(std=weight.shape[1] ** -0.5, generator=generator)
        # the head is the embedding: these tokens have a logit of 0, below the likeliest, and no answer ends
        model.get_input_embeddings().weight[ENDS] = 0
    model.generation_config = GenerationConfig(eos_token_id=ENDS, pad_token_id=PAD)
    model.save_pretrained(folder)
    for name in TOKENIZER:
        shutil.copy(Path(weights_dir()) / name, folder / name)
