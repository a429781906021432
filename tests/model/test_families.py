"""Families of models, tiny and random, saved and loaded as a user's folder.

Packed they compute what transformers does, or they are refused in one sentence.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers as hf
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from beliefmod.capacity.footprint import footprint
from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.engine import Engine
from beliefmod.engine.forward import flat_ids
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.errors import UserError
from beliefmod.model.load import check_model, load_model
from beliefmod.model.source import find_source
from tests.model.chats import CHATS

LENGTHS = (23, 5, 11)  # longer than the sliding windows, and shorter
WINDOW = 6
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
ALTERNATING = ["sliding_attention", "full_attention"]
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
GEMMA2 = {
    "query_pre_attn_scalar": 9,
    "head_dim": 24,
    "sliding_window": WINDOW,
    "layer_types": ALTERNATING,
    # far below the sizes that scores and logits have, so that leaving one out shows
    "attn_logit_softcapping": 1.0,
    "final_logit_softcapping": 2.0,
    "tie_word_embeddings": True,
}
GEMMA3 = {
    "query_pre_attn_scalar": 9,
    "head_dim": 24,
    "sliding_window": WINDOW,
    "layer_types": ALTERNATING,
    "tie_word_embeddings": True,
}
# chat template, configuration, what it is about
FAMILIES = {
    "qwen3": ("qwen3-thinking", hf.Qwen3Config, {"head_dim": 24, "tie_word_embeddings": True}),
    "qwen2-bias": ("qwen3-instruct", hf.Qwen2Config, {}),
    "llama-bias": ("llama3", hf.LlamaConfig, {"attention_bias": True, "mlp_bias": True, "head_dim": 24}),
    "llama-r1": ("r1", hf.LlamaConfig, {"tie_word_embeddings": False}),
    "mistral": ("mistral", hf.MistralConfig, {"sliding_window": WINDOW}),
    "gemma2": ("gemma", hf.Gemma2Config, GEMMA2),
    "gemma3": ("gemma", hf.Gemma3TextConfig, GEMMA3),
    "phi3-fused-partial-rotary": ("qwen3-instruct", hf.Phi3Config, {"partial_rotary_factor": 0.5}),
    "olmo2-norms-after": ("qwen3-instruct", hf.Olmo2Config, {}),
    "granite-multipliers": (
        "qwen3-instruct",
        hf.GraniteConfig,
        {
            "embedding_multiplier": 3.0,
            "attention_multiplier": 0.4,
            "residual_multiplier": 0.5,
            "logits_scaling": 2.0,
        },
    ),
    "smollm3-no-position-in-one-layer": ("qwen3-instruct", hf.SmolLM3Config, {"no_rope_layers": [1, 0]}),
    "cohere2": ("qwen3-instruct", hf.Cohere2Config, {"sliding_window": WINDOW, "layer_types": ALTERNATING}),
    "glm-partial-rotary": ("qwen3-instruct", hf.GlmConfig, {"partial_rotary_factor": 0.5, "head_dim": 16}),
}


def random_model(config: hf.PretrainedConfig, kind: type | None = None) -> PreTrainedModel:
    """Every weight random, norms and biases too, so that none can be left out unseen."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config) if kind is None else kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.15)
            else:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def save(folder: Path, model: PreTrainedModel, chat: str) -> str:
    """As a folder of the hub, its weights in float32, with the family's tokenizer."""
    tokenizer = CHATS[chat].tokenizer()
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, 3]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def saved(folder: Path, name: str, **changes: object) -> str:
    """A family's model; its vocabulary is padded beyond the tokenizer's, as most are."""
    chat, config, own = FAMILIES[name]
    tokenizer = CHATS[chat].tokenizer()
    vocabulary = {"vocab_size": len(tokenizer) + 13, "eos_token_id": tokenizer.eos_token_id}
    vocabulary |= {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    return save(folder, random_model(config(**{**SHAPE, **vocabulary, **own, **changes})), chat)


def random_rows() -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [tuple(torch.randint(10, 250, (n,), generator=generator).tolist()) for n in LENGTHS]


def assert_packed_is_alone(name: str, alone: PreTrainedModel) -> None:
    """Logits of rows laid flat, and greedy answers, against transformers' own of each row by itself."""
    loaded = load_model(name, base_storage="none", device="cpu")
    engine = Engine(loaded, slots=1, max_rank=4)
    rows = random_rows()
    blocks = RowBlocks([len(row) for row in rows], engine.model.device)
    keep = torch.arange(sum(LENGTHS))
    with torch.inference_mode():
        flat = engine.model.logits(flat_ids(rows, engine.model.device), blocks, blocks.positions, (), keep)
        expected = torch.cat([alone(input_ids=torch.tensor([row])).logits[0] for row in rows])
    assert float((flat - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    answers = engine.generate([GenerateRequest(None, row) for row in rows], max_new_tokens=12)
    for row, answer in zip(rows, answers, strict=True):
        written = alone.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), do_sample=False,
            max_new_tokens=12, eos_token_id=list(loaded.eos_ids), pad_token_id=loaded.pad_id,
        )  # fmt: skip
        assert tuple(written[0, len(row) :].tolist()) == answer.token_ids


@pytest.mark.parametrize("name", FAMILIES)
def test_packed_a_family_computes_what_transformers_does(name, tmp_path):
    folder = saved(tmp_path, name)
    alone = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    assert_packed_is_alone(folder, alone)


@pytest.mark.parametrize("capped", ["attn_logit_softcapping", "final_logit_softcapping"])
def test_the_soft_caps_of_these_models_matter(capped, tmp_path):
    """Else the comparison above could not see one left out."""
    capping = AutoModelForCausalLM.from_pretrained(
        saved(tmp_path / "a", "gemma2"), attn_implementation="eager"
    )
    config = AutoConfig.from_pretrained(tmp_path / "a")
    setattr(config, capped, None)
    free = AutoModelForCausalLM.from_pretrained(tmp_path / "a", config=config, attn_implementation="eager")
    ids = torch.tensor([random_rows()[0]])
    with torch.inference_mode():
        one, other = (model.eval()(input_ids=ids).logits for model in (capping, free))
    assert float((one - other).abs().max()) > 0.05 * float(one.abs().max())


@pytest.mark.parametrize("decoder", ["language_model.model.", "model.language_model."])
def test_of_a_gemma_3_that_sees_the_text_part_is_loaded(decoder, tmp_path):
    """In the layout of the hub's files, and in the one of the modules."""
    from safetensors.torch import load_file, save_file

    tokenizer = CHATS["gemma"].tokenizer()
    text = {**SHAPE, **GEMMA3, "vocab_size": len(tokenizer) + 13, "pad_token_id": 0}
    config = hf.Gemma3Config(text_config=text, vision_config=VISION, mm_tokens_per_image=4)
    whole = random_model(config, hf.Gemma3ForConditionalGeneration)
    folder = save(tmp_path, whole, "gemma")
    weights = load_file(tmp_path / "model.safetensors")
    assert any(name.startswith("language_model.model.") for name in weights)
    renamed = {name.replace("language_model.model.", decoder): tensor for name, tensor in weights.items()}
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = load_model(folder, base_storage="none", device="cpu")
    assert type(loaded.model).__name__ == "Gemma3ForCausalLM"
    assert not any("vision" in name for name, _ in loaded.model.named_modules())
    stored = AutoConfig.from_pretrained(folder)
    weights = sum(p.numel() for p in loaded.model.parameters())
    assert footprint(stored, gpu=False).weights == weights
    assert_packed_is_alone(folder, whole)


def test_an_end_token_is_also_what_the_template_ends_a_turn_with(tmp_path):
    """As Llama 3 was first published: only <|end_of_text|> in its files, <|eot_id|> in its chats."""
    loaded = load_model(saved(tmp_path, "llama-bias"), base_storage="none")
    names = loaded.tokenizer.convert_ids_to_tokens(list(loaded.eos_ids))
    assert names == ["<|end_of_text|>", "<|end_header_id|>", "<|eot_id|>"]
    assert loaded.tokenizer.pad_token_id is None and loaded.pad_id == loaded.eos_ids[0]


@pytest.mark.parametrize("base_storage", ["nf4", "dequantized"])
@pytest.mark.parametrize("name", ["gemma2", "phi3-fused-partial-rotary"])
def test_quantised_they_load_and_answer(name, base_storage, tmp_path):
    loaded = load_model(saved(tmp_path, name), base_storage=base_storage, device="cpu")
    assert loaded.quantized and loaded.unquantized == ("lm_head",)
    engine = Engine(loaded, slots=1, max_rank=4)
    answers = engine.generate([GenerateRequest(None, row) for row in random_rows()], max_new_tokens=4)
    assert all(answer.token_ids for answer in answers)


MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (hf.Qwen3MoeConfig(**SHAPE, vocab_size=400, **MOE), "mixture of 4 experts"),
        (hf.MixtralConfig(**SHAPE, vocab_size=400, num_local_experts=4), "mixture of 4 experts"),
    ],
    ids=["qwen3-moe", "mixtral"],
)
def test_a_mixture_of_experts_is_refused_before_a_weight_is_read(config, says, tmp_path):
    folder = save(tmp_path, random_model(config), "qwen3-instruct")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 8)  # reading it would fail otherwise
    for refuse in (lambda: check_model(find_source(folder)), lambda: load_model(folder)):
        with pytest.raises(UserError) as caught:
            refuse()
        [problem] = caught.value.problems
        assert says in problem and folder in problem


def test_weights_that_are_not_there_are_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = saved(tmp_path, "qwen3")
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack 1 weights \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load_model(folder, base_storage="none")


def test_a_model_whose_text_part_stands_not_alone_is_refused(tmp_path):
    folder = saved(tmp_path, "qwen3")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "llava", "text_config": {"model_type": "clip_text_model"}}
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["LlavaForCausalLM"]}))
    with pytest.raises(UserError, match="text part cannot be loaded by itself"):
        load_model(folder)
