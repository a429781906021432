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

pytestmark = pytest.mark.long

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
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SINKS = {
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": WINDOW,
    "layer_types": ALTERNATING,
    "head_dim": 24,
}
CONV = {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3}
DELTA = {
    "layer_types": ["linear_attention", "full_attention"],
    "head_dim": 16,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 16,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1e4,
        "partial_rotary_factor": 0.5,
        "mrope_section": [2, 1, 1],
    },
}
PER_LAYER = {
    "num_hidden_layers": 4,
    "head_dim": 16,
    "sliding_window": WINDOW,
    "layer_types": ALTERNATING * 2,
    "num_kv_shared_layers": 2,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 400,
}
GEMMA3N = PER_LAYER | {"intermediate_size": [64, 96, 64, 96], "laurel_rank": 8}
GEMMA4 = PER_LAYER | {"global_head_dim": 32, "final_logit_softcapping": 3.0}
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
    "qwen3-moe": ("qwen3-thinking", hf.Qwen3MoeConfig, MOE | {"head_dim": 24}),
    "gpt-oss": ("qwen3-instruct", hf.GptOssConfig, SINKS),
    "lfm2": ("qwen3-instruct", hf.Lfm2Config, CONV),
    "qwen3.5": ("qwen3-instruct", hf.Qwen3_5TextConfig, DELTA),
    "gemma3n": ("gemma", hf.Gemma3nTextConfig, GEMMA3N),
    "gemma4": ("gemma", hf.Gemma4TextConfig, GEMMA4),
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
        through_head = engine.model.head(engine.model.last_hidden(rows, LENGTHS, [None] * len(rows)))
        expected = torch.cat([alone(input_ids=torch.tensor([row])).logits[0] for row in rows])
    for logits in (flat, through_head):
        assert float((logits - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    answers = engine.generate([GenerateRequest(None, row) for row in rows], max_new_tokens=12)
    for row, answer in zip(rows, answers, strict=True):
        written = alone.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), do_sample=False,
            max_new_tokens=12, eos_token_id=list(loaded.eos_ids), pad_token_id=loaded.pad_id,
        )  # fmt: skip
        assert tuple(written[0, len(row) :].tolist()) == answer.token_ids


# plain, sinks and experts, delta nets, inputs per layer
SOON = ("qwen3", "gpt-oss", "qwen3.5", "gemma4")
LONG = pytest.mark.long


@pytest.mark.parametrize(
    "name", [name if name in SOON else pytest.param(name, marks=LONG) for name in FAMILIES]
)
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


def whole_model(kind: str, chat: str) -> PreTrainedModel:
    """A tiny model that sees, whose text part is of a type that works."""
    sizes = {**SHAPE, "vocab_size": len(CHATS[chat].tokenizer()) + 13, "pad_token_id": 0}
    if kind == "mistral3":
        text: hf.PretrainedConfig = hf.Ministral3Config(**sizes, sliding_window=WINDOW)
        config: hf.PretrainedConfig = hf.Mistral3Config(
            text_config=text, vision_config=hf.PixtralVisionConfig(**VISION)
        )
        return random_model(config, hf.Mistral3ForConditionalGeneration)
    if kind == "gemma4":
        text = hf.Gemma4TextConfig(**{**sizes, **GEMMA4})
        config = hf.Gemma4Config(text_config=text, vision_config=None, audio_config=None)
        return random_model(config, hf.Gemma4ForConditionalGeneration)
    vision = {"hidden_size": 16, "intermediate_size": 16, "depth": 1, "num_heads": 2, "out_hidden_size": 64}
    config = hf.Qwen3_5Config(text_config={**sizes, **DELTA}, vision_config=vision)
    return random_model(config, hf.Qwen3_5ForConditionalGeneration)


@pytest.mark.parametrize(
    ("kind", "chat"), [("qwen3_5", "qwen3-instruct"), ("mistral3", "mistral"), ("gemma4", "gemma")]
)
def test_of_other_models_that_see_the_text_part_is_loaded(kind, chat, tmp_path):
    whole = whole_model(kind, chat)
    folder = save(tmp_path, whole, chat)
    check_model(find_source(folder))
    loaded = load_model(folder, base_storage="none", device="cpu")
    assert not any("vision" in name or "visual" in name for name, _ in loaded.model.named_modules())
    weights = sum(parameter.numel() for parameter in loaded.model.parameters())
    assert footprint(AutoConfig.from_pretrained(folder), gpu=False).weights == weights
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


@pytest.mark.parametrize("name", ["qwen3-moe", "gpt-oss"])
def test_of_a_mixture_of_experts_the_experts_stay_as_they_are(name, tmp_path):
    """NF4 packs linear layers, which experts are not; adapters sit on attention alone."""
    folder = saved(tmp_path, name)
    whole = AutoModelForCausalLM.from_pretrained(folder)
    for base_storage in ("nf4", "dequantized"):
        loaded = load_model(folder, base_storage=base_storage, device="cpu")
        kept = loaded.model.state_dict()
        for key, tensor in whole.state_dict().items():
            if ".experts." in key:
                assert torch.equal(kept[key], tensor)
        assert {layer.rpartition(".")[2] for layer in loaded.quantized} == {
            "q_proj", "k_proj", "v_proj", "o_proj"
        }  # fmt: skip
        engine = Engine(loaded, slots=1, max_rank=4)
        assert all(".self_attn." in layer for layer in engine.pack.layers)
        answers = engine.generate([GenerateRequest(None, row) for row in random_rows()], max_new_tokens=4)
        assert all(answer.token_ids for answer in answers)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (hf.MambaConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2), "carries a state from token"),
        (hf.GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=4), "no adapter of ours sits on"),
        (hf.FalconConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2), "an attention of its own"),
    ],
    ids=["mamba", "gpt2", "falcon"],
)
def test_what_does_not_work_is_refused_before_a_weight_is_read(config, says, tmp_path):
    config.save_pretrained(tmp_path)
    CHATS["qwen3-instruct"].tokenizer().save_pretrained(tmp_path)
    folder = str(tmp_path)
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
    with pytest.raises(UserError, match=r"lack 1 weights .* model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(folder, base_storage="none")


def test_a_model_whose_text_part_stands_not_alone_is_refused(tmp_path):
    folder = saved(tmp_path, "qwen3")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "llava", "text_config": {"model_type": "clip_text_model"}}
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["LlavaForCausalLM"]}))
    with pytest.raises(UserError, match="text part cannot be loaded by itself"):
        load_model(folder)
