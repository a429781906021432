"""A config.json that contradicts its weights or its tokenizer is a sentence before any weight is read.

The judge is transformers' own loader: what it calls missing or of another size is refused, and files that it
loads whole are not, whatever lies beside the weights.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from beliefmod.errors import UserError
from beliefmod.model.load import check_model, load_model
from beliefmod.model.source import find_source
from tests.model.chats import CHATS
from tests.model.test_families import FAMILIES, SOON, saved

pytestmark = pytest.mark.long


def check(folder: Path) -> None:
    """As a dry run does; no number of a weight is read, for the files are cut behind their headers."""
    check_model(find_source(str(folder)))


def problem(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        check(folder)
    [sentence] = caught.value.problems
    assert sentence.startswith(f"model {folder}: ") and "\n" not in sentence
    return sentence


def configure(folder: Path, **changes: Any) -> dict[str, Any]:
    """Change config.json; what it said before."""
    before = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(before | changes))
    return before


def rewrite(folder: Path, change: Any) -> None:
    """Change the tensors of the one weight file."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def families(tmp_path_factory) -> dict[str, Path]:
    return {name: Path(saved(tmp_path_factory.mktemp("m") / "model", name)) for name in FAMILIES}


@pytest.fixture
def family(families, tmp_path):
    """family(name) -> a copy of its folder that may be changed."""

    def make(name: str) -> Path:
        return Path(shutil.copytree(families[name], tmp_path / name))

    return make


@pytest.mark.parametrize(
    "name", [name if name in SOON else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES]
)
def test_what_transformers_would_not_load_whole_is_refused(name, family):
    folder = family(name)
    check(folder)
    config = json.loads((folder / "config.json").read_text())
    changed = {
        "vocab_size": 700,
        "hidden_size": config["hidden_size"] + 16,
        "num_key_value_heads": 1,
        "intermediate_size": 112,
    }
    for field, value in changed.items():
        configure(folder, **{**config, field: value})
        _, report = AutoModelForCausalLM.from_pretrained(
            folder, ignore_mismatched_sizes=True, output_loading_info=True
        )
        if not report["mismatched_keys"]:  # a size that this family does without, or sets by itself
            check(folder)
            continue
        sentence = problem(folder)
        assert "config.json does not fit its weights" in sentence
        weight = sentence.split(": ")[2].split(" is ")[0]
        assert weight in {key for key, *_ in report["mismatched_keys"]}
        fields = sentence.partition("by config.json (")[2].partition(")")[0]
        assert f"{field} {value}" in fields.split(", "), sentence


@pytest.mark.parametrize(
    "name", ["qwen3", "llama-r1", "phi3-fused-partial-rotary", "qwen3-moe", "glm-partial-rotary"]
)
@pytest.mark.parametrize("layers", [1, 3])
def test_other_layers_than_the_files_hold_are_counted(name, layers, family):
    folder = family(name)
    types = {"layer_types": ["full_attention"] * layers} if name == "qwen3" else {}
    configure(folder, num_hidden_layers=layers, **types)
    sentence = problem(folder)
    assert (
        f"num_hidden_layers is {layers}, and the files hold 2 layers; set num_hidden_layers to 2" in sentence
    )
    with pytest.raises(UserError, match="the files hold 2 layers"):
        load_model(str(folder), base_storage="none", device="cpu")


def test_no_weight_is_read(family):
    """The file ends behind its header."""
    folder = family("qwen3")
    configure(folder, vocab_size=500)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: 8 + int.from_bytes(whole[:8], "little")])
    assert f"309 x 64 in the files and 500 x 64 by config.json (vocab_size 500); correct {folder}" in problem(
        folder
    )


def test_weights_in_several_shards_are_taken_as_their_index_names_them(family):
    folder = family("llama-r1")
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="50KB")
    (folder / "model.safetensors").unlink()
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    # as Mistral publishes them: the same once more, with names of its own
    save_file({"tok_embeddings.weight": torch.zeros(7, 3)}, folder / "consolidated.safetensors")
    check(folder)
    before = configure(folder, num_hidden_layers=3)
    assert "num_hidden_layers is 3, and the files hold 2 layers" in problem(folder)
    configure(folder, **before)
    index = folder / "model.safetensors.index.json"
    shard = next(iter(json.loads(index.read_text())["weight_map"].values()))
    tensors = load_file(folder / shard)
    gone = tensors.popitem()[0]
    save_file(tensors, folder / shard, metadata={"format": "pt"})
    assert f"the files lack 1 weights that it asks for, {gone} first; complete them" in problem(folder)


def grown(weights: dict[str, torch.Tensor], *more: str) -> None:
    """A third layer as the second, with further weights."""
    for name in [name for name in weights if ".layers.1." in name]:
        weights[name.replace(".layers.1.", ".layers.2.")] = weights[name].clone()
    for name in more:
        weights[name] = torch.ones(64)


LEGAL = {
    "a layer that guesses tokens further ahead, as DeepSeek and GLM store it": (
        "qwen3-moe",
        lambda w: grown(w, "model.layers.2.eh_proj.weight", "model.layers.2.enorm.weight"),
    ),
    "such layers apart, as Qwen3.5 stores them": (
        "qwen3.5",
        lambda w: w.update({f"mtp.layers.{n}.self_attn.q_proj.weight": torch.ones(9, 9) for n in range(4)}),
    ),
    "rotary frequencies in every layer, as old files have them": (
        "llama-r1",
        lambda w: w.update(
            {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(8) for n in range(2)}
        ),
    ),
    "biases that are zero": (
        "llama-r1",
        lambda w: w.update({f"model.layers.{n}.self_attn.o_proj.bias": torch.zeros(64) for n in range(2)}),
    ),
    "a head beside embeddings that it is tied to": (
        "qwen3",
        lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"].clone()}),
    ),
    "keys and values of layers that share those of others": (
        "gemma4",
        lambda w: w.update({f"model.layers.{n}.self_attn.k_proj.weight": torch.ones(32, 64) for n in (2, 3)}),
    ),
    "parts that see": (
        "gemma3",
        lambda w: w.update(
            {f"vision_tower.encoder.layers.{n}.fc1.weight": torch.ones(3, 3) for n in range(9)}
        ),
    ),
}


@pytest.mark.parametrize("kind", LEGAL)
def test_what_models_have_beside_their_weights_is_let_be(kind, family):
    name, change = LEGAL[kind]
    folder = family(name)
    rewrite(folder, change)
    check(folder)


@pytest.mark.parametrize("part", ["self_attn.q_proj.bias", "self_attn.q_norm.weight"])
def test_what_transformers_would_leave_out_of_every_layer_is_refused(part, family):
    """A Qwen2 or a Qwen3 whose config.json says that it is a Llama would answer, and wrongly."""
    folder = family("llama-r1")
    rewrite(folder, lambda w: w.update({f"model.layers.{n}.{part}": torch.ones(64) for n in range(2)}))
    sentence = problem(folder)
    assert f"every layer has a {part} in the files and none in a llama" in sentence
    assert "correct model_type, or the switch for it" in sentence


def test_a_third_layer_that_config_json_does_not_have_is_counted(family):
    folder = family("llama-r1")
    rewrite(folder, grown)
    assert "num_hidden_layers is 2, and the files hold 3 layers" in problem(folder)


@pytest.mark.parametrize("field", ["hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size"])
@pytest.mark.parametrize("value", [0, -4, "64", 1.5, True])
def test_a_size_that_is_none_is_named(field, value, family):
    folder = family("qwen3")
    configure(folder, **{field: value})
    said = json.dumps(value)
    assert f"{field} is {said} in {folder}/config.json, and must be a whole number of at least 1" in problem(
        folder
    )


def test_a_tokenizer_beyond_the_embedding_is_refused(family):
    """It is another model's: 400 of its tokens, and an embedding of 100 rows."""
    folder = family("qwen2-bias")
    before = configure(folder, vocab_size=100)
    rewrite(
        folder,
        lambda w: w.update({n: w[n][:100].clone() for n in ("model.embed_tokens.weight", "lm_head.weight")}),
    )
    sentence = problem(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ids = {*tokenizer.get_vocab().values()} - {*tokenizer.get_added_vocab().values()}
    beyond = sum(token >= 100 for token in ids)
    assert beyond > 100 and before["vocab_size"] > 100
    assert "its tokenizer does not fit config.json: vocab_size is 100, and " in sentence
    assert f" {beyond} of the tokenizer's tokens lie beyond, 100 (" in sentence


def test_added_tokens_beyond_the_embedding_that_nothing_holds_are_harmless(family):
    """Gemma 3 has one for pictures right behind its last row; an end of turn there is not harmless."""
    folder = family("gemma3")
    tokenizer = CHATS["gemma"].tokenizer()
    rows = len(tokenizer)
    configure(folder, vocab_size=rows)
    rewrite(
        folder,
        lambda w: w.update({"model.embed_tokens.weight": w["model.embed_tokens.weight"][:rows].clone()}),
    )
    tokenizer.add_tokens(["<image_soft_token>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    check(folder)
    tokenizer.chat_template = str(tokenizer.chat_template).replace("<end_of_turn>", "<image_soft_token>")
    tokenizer.save_pretrained(folder)
    assert "1 of the tokenizer's tokens lie beyond" in problem(folder)


def test_packed_files_are_held_against_config_json_too(tmp_path):
    folder = Path(saved(tmp_path / "plain", "llama-r1"))
    packed = tmp_path / "packed"
    config = hf.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    AutoModelForCausalLM.from_pretrained(folder, quantization_config=config).save_pretrained(packed)
    AutoTokenizer.from_pretrained(folder).save_pretrained(packed)
    check(packed)
    before = configure(packed, intermediate_size=128)
    sentence = problem(packed)
    assert (
        "is 6144 in the files and 64 x 128 by config.json" in sentence and "intermediate_size 128" in sentence
    )
    configure(packed, **before | {"num_hidden_layers": 1})
    assert "num_hidden_layers is 1, and the files hold 2 layers" in problem(packed)
    configure(packed, **before | {"vocab_size": 500})
    assert "(vocab_size 500)" in problem(packed)
