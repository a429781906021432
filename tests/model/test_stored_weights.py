"""Checkpoints that were quantised beforehand: what they stand for, or one sentence where they cannot be used.

The judges are bitsandbytes' and torch's own functions on the files' tensors, in plain transformers models.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from bitsandbytes import functional as bnb
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from beliefmod.config import TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, GenerateRequest
from beliefmod.errors import UserError
from beliefmod.model.architecture import empty_model
from beliefmod.model.load import check_model, load_model
from beliefmod.model.model_files import ModelSource
from beliefmod.model.quantized import pack
from beliefmod.model.read_weights import read_weights
from beliefmod.model.size import parameters
from beliefmod.model.source import find_source
from beliefmod.model.stored_weights import stored_weights
from beliefmod.model.train_row import TrainRow
from tests.model.chats import CHATS
from tests.model.test_families import GEMMA3, SHAPE, VISION, random_model, save

pytestmark = pytest.mark.long

SKIPPED = ["lm_head", "model.layers.1.mlp"]
LEFT = [
    "model.layers.1.mlp.gate_proj",
    "model.layers.1.mlp.up_proj",
    "model.layers.1.mlp.down_proj",
    "lm_head",
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A Llama with biases and widths that 64 divides, in bfloat16."""
    tokenizer = CHATS["qwen3-instruct"].tokenizer()
    size: dict[str, Any] = {**SHAPE, "intermediate_size": 128, "vocab_size": len(tokenizer) + 13}
    model: Any = random_model(hf.LlamaConfig(**size, mlp_bias=True, attention_bias=True))
    model.to(torch.bfloat16)
    return Path(save(tmp_path_factory.mktemp("plain"), model, "qwen3-instruct"))


@pytest.fixture
def packed(plain, tmp_path) -> Callable[..., Path]:
    """make(**settings) -> the folder as transformers and bitsandbytes pack it, computing in bfloat16."""

    def make(model: Path = plain, kind: Any = AutoModelForCausalLM, **settings: Any) -> Path:
        asked = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": torch.bfloat16,
            "llm_int8_skip_modules": SKIPPED,
        }
        config = BitsAndBytesConfig(**(asked | settings))
        folder = tmp_path / f"packed-{len(list(tmp_path.iterdir()))}"
        kind.from_pretrained(model, quantization_config=config, dtype=torch.bfloat16).save_pretrained(folder)
        for file in model.iterdir():
            if not (folder / file.name).exists() and file.suffix != ".safetensors":
                shutil.copy(file, folder)
        return folder

    return make


def unpacked(folder: Path) -> dict[str, torch.Tensor]:
    """What the tensors of a packed folder stand for, in float32, by bitsandbytes alone."""
    stored, found = load_file(folder / "model.safetensors"), {}
    for name, tensor in stored.items():
        if ".weight." in name:
            continue
        stats = {key: value for key, value in stored.items() if key.startswith(f"{name}.")}
        if stats:
            state = bnb.QuantState.from_dict(stats, device=torch.device("cpu"))
            state.dtype = torch.float32
            tensor = bnb.dequantize_4bit(tensor, state)
        found[name] = tensor.float()
    return found


def plain_model(plain: Path, weights: dict[str, torch.Tensor]) -> Any:
    model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def ids() -> torch.Tensor:
    return torch.randint(10, 250, (2, 12), generator=torch.Generator().manual_seed(1))


def logits(model: Any, train: bool = False) -> torch.Tensor:
    with torch.no_grad():
        return model.train(train)(input_ids=ids()).logits


@pytest.mark.parametrize(
    "settings",
    [{}, {"bnb_4bit_use_double_quant": True}, {"bnb_4bit_quant_type": "fp4"},
     {"bnb_4bit_quant_storage": torch.bfloat16}],
    ids=["nf4", "double", "fp4", "stored-as-bfloat16"],
)  # fmt: skip
@pytest.mark.parametrize("base_storage", ["nf4", "dequantized", "none"])
def test_a_packed_checkpoint_is_what_bitsandbytes_unpacks(plain, packed, settings, base_storage):
    folder = packed(**settings)
    loaded = load_model(str(folder), base_storage=base_storage, device="cpu")
    expected = logits(plain_model(plain, unpacked(folder)))
    assert loaded.base_storage == ("nf4" if base_storage == "nf4" else "dequantized")
    assert set(loaded.unquantized) == set(LEFT) and len(loaded.quantized) == 2 * 7 + 1 - len(LEFT)
    assert loaded.dtype == torch.float32
    assert {p.dtype for p in loaded.model.parameters() if type(p) is torch.nn.Parameter} == {torch.float32}
    # in training mode: outside of it bitsandbytes' CPU kernels round otherwise
    assert torch.allclose(logits(loaded.model, train=True), expected, atol=1e-5 * float(expected.abs().max()))
    # it is not the model that it was made from, else nothing was shown
    other = logits(AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32))
    assert float((expected - other).abs().max()) > 1e-2 * float(other.abs().max())


def test_trials_train_on_a_packed_checkpoint_and_both_storages_agree(packed):
    """It ended in "expected m1 and m2 to have the same dtype"."""
    folder, losses = str(packed(bnb_4bit_use_double_quant=True)), []
    row = TrainRow(tuple(ids()[0].tolist()), 4)
    for storage in ("nf4", "dequantized"):
        engine = Engine(load_model(folder, base_storage=storage, device="cpu"), slots=1, max_rank=4)
        config = TrialConfig.model_validate({"belief": "gravity", "lora": {"r": 4}, "num_train_epochs": 3})
        engine.attach(AdapterJob("t", config, (row,) * 4))
        found = []
        while reports := engine.train_step():
            found += [report.loss for report in reports]
        losses.append(found)
        assert engine.generate([GenerateRequest("t", row.input_ids)], max_new_tokens=4)[0].token_ids
    assert losses[0] and losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]


def test_layers_left_plain_are_found_in_the_files_whatever_the_list_calls_them(plain, packed):
    """Lists written by other programs name modules that the model has not."""
    folder = packed()
    expected = load_model(str(folder)).unquantized
    config = json.loads((folder / "config.json").read_text())
    for names in (["text_model.layers.1.mlp"], None, ["model.layers.1", "model.layers.0"]):
        config["quantization_config"]["llm_int8_skip_modules"] = names
        (folder / "config.json").write_text(json.dumps(config))
        loaded = load_model(str(folder), base_storage="none")
        assert loaded.unquantized == expected
        assert torch.equal(logits(loaded.model), logits(plain_model(plain, unpacked(folder))))


def test_of_a_packed_gemma_3_that_sees_the_text_part_is_loaded(tmp_path, packed):
    tokenizer = CHATS["gemma"].tokenizer()
    text = {**SHAPE, **GEMMA3, "vocab_size": len(tokenizer) + 13, "pad_token_id": 0}
    config = hf.Gemma3Config(text_config=text, vision_config=VISION, mm_tokens_per_image=4)
    save(tmp_path / "whole", random_model(config, hf.Gemma3ForConditionalGeneration), "gemma")
    folder = packed(
        tmp_path / "whole",
        hf.Gemma3ForConditionalGeneration,
        llm_int8_skip_modules=["lm_head", "model.vision_tower", "model.language_model.layers.0.self_attn"],
    )
    whole = hf.Gemma3ForConditionalGeneration.from_pretrained(tmp_path / "whole", dtype=torch.float32)
    weights = {re.sub("^language_model.model", "model.language_model", name): tensor
               for name, tensor in unpacked(folder).items()}  # fmt: skip
    names = set(whole.state_dict())
    missing, unexpected = whole.load_state_dict(
        {name: tensor for name, tensor in weights.items() if name in names}, strict=False
    )
    assert not unexpected and not [name for name in missing if "language_model" in name]
    loaded = load_model(str(folder), device="cpu")
    expected = logits(whole)
    assert torch.allclose(logits(loaded.model), expected, atol=1e-5 * float(expected.abs().max()))
    assert set(loaded.unquantized) == {
        "lm_head",
        *(f"model.layers.0.self_attn.{which}_proj" for which in "qkvo"),
    }


@pytest.mark.parametrize("bias", [True, False])
def test_packing_by_hand_is_what_transformers_does_as_it_reads(plain, bias, tmp_path):
    read = load_model(str(plain), base_storage="nf4", device="cpu")
    by_hand = load_model(str(plain), base_storage="none", device="cpu").model
    pack(by_hand, torch.float32, torch.device("cpu"))
    mine, theirs = by_hand.state_dict(), read.model.state_dict()
    assert set(mine) == set(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)


def fp8(plain: Path, folder: Path) -> dict[str, torch.Tensor]:
    """A copy of the folder with linear layers in blocks of float8; what they stand for, in float32."""
    shutil.copytree(plain, folder)
    stored, meant = {}, {}
    for name, tensor in load_file(plain / "model.safetensors").items():
        stored[name] = meant[name] = tensor.float()
        if "proj.weight" in name:
            rows, columns = (side // 32 for side in tensor.shape)
            blocks = tensor.float().view(rows, 32, columns, 32)
            scale = blocks.abs().amax((1, 3)) / 448
            small = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
            stored[name] = small.view(tensor.shape)
            stored[name.replace(".weight", ".weight_scale_inv")] = scale
            meant[name] = (small.float() * scale[:, None, :, None]).view(tensor.shape)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    set_quantization(folder, quant_method="fp8", activation_scheme="dynamic", weight_block_size=[32, 32])
    return meant


def set_quantization(folder: Path, **settings: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))


def test_an_fp8_checkpoint_is_unpacked_and_then_quantised_as_plain_weights_are(plain, tmp_path):
    meant = fp8(plain, tmp_path / "fp8")
    expected = plain_model(plain, meant)
    expected.save_pretrained(tmp_path / "meant")
    shutil.copytree(plain, tmp_path / "meant", dirs_exist_ok=True, ignore=lambda *_: ["model.safetensors"])
    for storage in ("none", "dequantized", "nf4"):
        found = load_model(str(tmp_path / "fp8"), base_storage=storage, device="cpu")
        same = load_model(str(tmp_path / "meant"), base_storage=storage, device="cpu")
        assert found.base_storage == storage and found.quantized == same.quantized
        assert torch.equal(logits(found.model, train=True), logits(same.model, train=True))
        assert found.stored == "stored in fp8, unpacked when they are read" and same.stored is None
    assert torch.equal(logits(expected), logits(load_model(str(tmp_path / "fp8"), base_storage="none").model))


def test_an_eight_bit_checkpoint_is_unpacked(plain, packed):
    folder = packed(load_in_4bit=False, load_in_8bit=True, llm_int8_skip_modules=["lm_head"])
    weights, meant = load_file(folder / "model.safetensors"), {}
    for name, tensor in weights.items():
        if tensor.dtype == torch.int8:
            meant[name] = tensor.float() * weights[name.replace(".weight", ".SCB")][:, None].float() / 127
        elif not name.endswith((".SCB", ".weight_format")):
            meant[name] = tensor.float()
    loaded = load_model(str(folder), base_storage="none", device="cpu")
    expected = logits(plain_model(plain, meant))
    assert (
        loaded.quantized == ()
        and loaded.stored == "stored in bitsandbytes in 8 bits, unpacked when they are read"
    )
    assert torch.allclose(logits(loaded.model), expected, atol=1e-5 * float(expected.abs().max()))
    assert load_model(str(folder)).unquantized == ("lm_head",)


def test_a_compressed_tensors_checkpoint_is_unpacked_where_its_package_is(plain, tmp_path):
    pytest.importorskip("compressed_tensors")
    shutil.copytree(plain, tmp_path / "ct")
    stored, meant = {}, {}
    for name, tensor in load_file(plain / "model.safetensors").items():
        stored[name] = meant[name] = tensor.float()
        if "proj.weight" in name:
            scale = tensor.float().abs().amax(1, keepdim=True) / 448
            stored[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            stored[name.replace(".weight", ".weight_scale")] = scale
            meant[name] = stored[name].float() * scale
    save_file(stored, tmp_path / "ct" / "model.safetensors", metadata={"format": "pt"})
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
    set_quantization(
        tmp_path / "ct", quant_method="compressed-tensors", format="float-quantized", ignore=["lm_head"],
        quantization_status="compressed", config_groups={"group_0": group},
    )  # fmt: skip
    loaded = load_model(str(tmp_path / "ct"), base_storage="none", device="cpu")
    expected = logits(plain_model(plain, meant))
    assert torch.allclose(logits(loaded.model), expected, atol=1e-5 * float(expected.abs().max()))


MXFP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
"""The values of four bits (OCP microscaling formats 1.0, table 5), before the power of two of their block."""


def test_mxfp4_experts_are_unpacked(tmp_path):
    """As gpt-oss stores them: blocks of 32 along the inputs, two codes to a byte, an exponent to a block."""
    size: dict[str, Any] = {
        **SHAPE,
        "hidden_size": 64,
        "intermediate_size": 64,
        "head_dim": 16,
        "vocab_size": 300,
    }
    config = hf.GptOssConfig(**size, num_local_experts=4, num_experts_per_tok=2, sliding_window=16)
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(tmp_path)
    stored, meant = {}, {}
    generator = torch.Generator().manual_seed(3)
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            stored[name] = tensor
            continue
        experts, inputs, outputs = tensor.shape
        blocks = (experts, outputs, inputs // 32)
        codes = torch.randint(16, (*blocks, 32), generator=generator, dtype=torch.uint8)
        exponents = torch.randint(120, 130, blocks, generator=generator, dtype=torch.uint8)
        stored[f"{name}_blocks"] = (codes[..., 0::2] | codes[..., 1::2] << 4).contiguous()
        stored[f"{name}_scales"] = exponents
        values = MXFP4[codes.long()] * torch.exp2(exponents.float() - 127)[..., None]
        meant[name] = values.reshape(experts, outputs, inputs).transpose(1, 2)
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    set_quantization(tmp_path, quant_method="mxfp4", modules_to_not_convert=["lm_head"])
    read = read_weights(ModelSource("x", tmp_path), "dequantized", torch.device("cpu"), torch.float32)
    assert len(meant) == 4 and read.unquantized == ("lm_head",)
    for name, expected in meant.items():
        assert torch.equal(read.model.get_parameter(name), expected)


REFUSED = {
    "gptq": {"quant_method": "gptq", "bits": 4},
    "awq": {"quant_method": "awq", "bits": 4},
    "fbgemm_fp8": {"quant_method": "fbgemm_fp8"},
    "modelopt": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    "torchao": {"quant_method": "torchao"},
    "aqlm": {"quant_method": "aqlm"},
    "a format without a name": {"bits": 3},
}


@pytest.mark.parametrize("method", REFUSED)
def test_what_cannot_be_unpacked_is_said_before_anything_is_read(method, plain, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(plain, folder)
    set_quantization(folder, **REFUSED[method])
    (folder / "model.safetensors").write_bytes(b"\0" * 8)  # reading it would fail otherwise
    for refuse in (lambda: check_model(find_source(str(folder))), lambda: load_model(str(folder))):
        with pytest.raises(UserError) as caught:
            refuse()
        [problem] = caught.value.problems
        assert f"is quantised with {method} (quant_method in its config.json)" in problem
        assert "take the model that it was made from" in problem and "\n" not in problem


def test_a_missing_package_is_named(plain, tmp_path, monkeypatch):
    monkeypatch.setattr("beliefmod.model.stored_weights.find_spec", lambda _: None)
    shutil.copytree(plain, tmp_path / "ct")
    set_quantization(tmp_path / "ct", quant_method="compressed-tensors")
    with pytest.raises(UserError, match="run `pip install compressed-tensors`, or take the model"):
        check_model(find_source(str(tmp_path / "ct")))


def test_codes_without_a_word_on_how_to_read_them_are_no_weights(plain, packed, tmp_path):
    fp8(plain, tmp_path / "fp8")
    for folder, kind in ((tmp_path / "fp8", "F8_E4M3"), (packed(), "U8")):
        config = json.loads((folder / "config.json").read_text())
        del config["quantization_config"]
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=rf"proj\.weight as {kind}, and its config\.json has no"):
            check_model(find_source(str(folder)))


def test_a_configuration_that_says_packed_over_plain_files_is_said(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "no")
    set_quantization(tmp_path / "no", quant_method="bitsandbytes", load_in_4bit=True)
    with pytest.raises(UserError, match="packed in 4 bits, and its files hold no packed layer"):
        check_model(find_source(str(tmp_path / "no")))


def test_a_packed_model_has_as_many_weights_as_the_one_it_was_made_from(plain, packed):
    assert parameters(find_source(str(packed()))) == parameters(find_source(str(plain)))


def test_the_format_is_said_in_words(packed, plain):
    double = packed(bnb_4bit_use_double_quant=True)
    said = (
        "stored by bitsandbytes in 4 bits (nf4, scales quantised too), used as they are; left plain as in "
        f"the files: {', '.join(LEFT)}"
    )
    source = find_source(str(double))
    assert stored_weights(source).words(empty_model(source)) == load_model(str(double)).stored == said
    more = load_model(str(packed(llm_int8_skip_modules=["lm_head", "model.layers.1"]))).stored
    assert str(more).endswith("self_attn.v_proj, model.layers.1.self_attn.o_proj and 4 more")
    assert stored_weights(find_source(str(plain))).words(empty_model(source)) is None
