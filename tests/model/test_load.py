"""What is loaded, and what is said when it cannot be."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from beliefmod.errors import UserError
from beliefmod.model.load import load_model
from beliefmod.model.source import find_source

HEAD_AND_LAYERS = 2 * 7


def forward(loaded, seed=0, train=False):
    ids = torch.randint(3, 290, (2, 12), generator=torch.Generator().manual_seed(seed))
    loaded.model.train(train)
    embeddings = loaded.model.get_input_embeddings()(ids).detach().requires_grad_(train)
    logits = loaded.model(inputs_embeds=embeddings).logits
    return embeddings, logits


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_dequantised_base_is_what_linear4bit_computes_in_training_bit_for_bit(kind, model_folder):
    folder = str(model_folder(kind))
    dense, packed = load_model(folder), load_model(folder, base_storage="nf4")
    plain = load_model(folder, base_storage="none")
    assert {type(m).__name__ for n, m in dense.model.named_modules() if n in dense.quantized} == {"Linear"}
    assert {type(m).__name__ for n, m in packed.model.named_modules() if n in packed.quantized} == {
        "Linear4bit"
    }
    assert dense.quantized == packed.quantized and len(dense.quantized) == HEAD_AND_LAYERS
    assert dense.unquantized == packed.unquantized == ("lm_head",)
    assert plain.quantized == () and len(plain.unquantized) == HEAD_AND_LAYERS + 1
    gradients = []
    for loaded in (dense, packed):
        embeddings, logits = forward(loaded, train=True)
        (gradient,) = torch.autograd.grad(logits.square().sum(), embeddings)
        gradients.append((logits.detach(), gradient))
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert torch.equal(gradients[0][1], gradients[1][1])
    # quantisation did something, and not too much
    with torch.no_grad():
        off = (forward(plain)[1] - forward(dense)[1]).norm() / forward(plain)[1].norm()
    assert 0.01 < off < 0.5


def test_each_dequantised_weight_is_its_block_scale_times_an_nf4_level(model_folder):
    folder = model_folder()
    dense = load_model(str(folder))
    name = "model.layers.0.mlp.up_proj"
    original = load_file(folder / "model.safetensors")[f"{name}.weight"].float().view(-1, 64)
    blocks = dense.model.get_submodule(name).weight.view(-1, 64)
    # table of QLoRA (arXiv 2305.14314), appendix E, to the digits given there
    levels = torch.tensor(
        [
            *(-1, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0),
            *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1),
        ]
    )
    scale = original.abs().amax(1, keepdim=True)
    distance = (blocks / scale)[..., None].sub(levels).abs()
    assert distance.amin(-1).max() < 1e-5
    # each is the nearest level to the original
    nearest = (original / scale)[..., None].sub(levels).abs().argmin(-1)
    assert (distance.argmin(-1) == nearest).float().mean() > 0.999


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mapped files")
@pytest.mark.parametrize("storage", ["dequantized", "nf4"])
def test_no_weight_keeps_the_weight_file_in_memory(storage, model_folder):
    loaded = load_model(str(model_folder("qwen3")), base_storage=storage, device="cpu")
    ranges = [
        [int(end, 16) for end in line.split()[0].split("-")]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(".safetensors")
    ]
    places = [weight.data_ptr() for weight in (*loaded.model.parameters(), *loaded.model.buffers())]
    assert not [place for place in places if any(start <= place < end for start, end in ranges)]


def test_loaded_fields(model_folder):
    folder = model_folder()
    loaded = load_model(str(folder))
    assert loaded.dtype == torch.float32 and {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in loaded.model.parameters()) and not loaded.model.training
    assert loaded.eos_ids == (2, 0) and loaded.pad_id == 0 and loaded.name == folder.name
    bf16 = load_model(str(folder), dtype=torch.bfloat16)
    assert {p.dtype for p in bf16.model.parameters()} == {torch.bfloat16}
    tied = loaded.model.get_output_embeddings().weight
    assert tied is loaded.model.get_input_embeddings().weight


def test_the_fingerprint_is_of_the_weights(model_folder, tmp_path):
    folder = model_folder()
    first = load_model(str(folder)).fingerprint
    assert len(first) == 64 and find_source(str(folder)).fingerprint() == first
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert find_source(str(copy)).fingerprint() == first
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert find_source(str(copy)).fingerprint() != first


def test_the_hub_caches_own_checksum_is_believed(tmp_path):
    """A file of the hub's cache is a link to a blob that is named by its sha256; it is not read again."""
    blob = tmp_path / "blobs" / ("ab" * 32)
    snapshot = tmp_path / "snapshot"
    blob.parent.mkdir()
    snapshot.mkdir()
    blob.write_bytes(b"not read")
    (snapshot / "model.safetensors").symlink_to(blob)
    from beliefmod.model.model_files import ModelSource

    first = ModelSource("x", snapshot).fingerprint()
    blob.write_bytes(b"still not read")
    assert ModelSource("x", snapshot).fingerprint() == first


def spoil(folder: Path, tmp_path: Path, what: str) -> str:
    broken = tmp_path / what
    shutil.copytree(folder, broken)
    config = json.loads((broken / "config.json").read_text())
    if what == "no-config":
        (broken / "config.json").unlink()
    elif what == "bad-json":
        (broken / "config.json").write_text("{")
    elif what == "pickled":
        (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    elif what == "no-template":
        (broken / "chat_template.jinja").unlink()
    elif what == "damaged":
        (broken / "model.safetensors").write_bytes(b"\0" * 100)
    elif what == "bad-tokenizer":
        (broken / "tokenizer.json").write_text("{}")
    elif what == "no-tokenizer":
        (broken / "tokenizer.json").unlink()
    else:
        change = {
            "own-code": {"model_type": "its_own", "auto_map": {"AutoModelForCausalLM": "modeling.Own"}},
            "encoder": {"model_type": "t5", "architectures": ["T5Model"]},
            "classifier": {"architectures": ["Qwen3ForSequenceClassification"]},
        }[what]
        (broken / "config.json").write_text(json.dumps(config | change))
    return str(broken)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no-config", "neither a config.json"),
        ("bad-json", "config.json is damaged"),
        ("pickled", "pickled weights are never read"),
        ("no-template", "has no chat template"),
        ("damaged", "cannot be loaded"),
        ("bad-tokenizer", "no usable tokenizer"),
        ("no-tokenizer", "has no tokenizer"),
        ("own-code", "code from a model's repository is never run"),
        ("encoder", "not a causal language model"),
        ("classifier", "not a causal language model"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_sentence(what, says, model_folder, tmp_path):
    name = spoil(model_folder(), tmp_path, what)
    with pytest.raises(UserError) as caught:
        load_model(name)
    assert len(caught.value.problems) == 1
    assert says in caught.value.problems[0] and name in caught.value.problems[0]
    assert "\n" not in caught.value.problems[0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./not/here", "folder ./not/here does not exist"),
        ("/not/here", "does not exist"),
        ("a/b/c", "does not exist"),
        ("no such name", "not a possible name"),
        ("beliefmod-tests/no-such-model", "no such folder"),
    ],
)
def test_an_unknown_name_is_said_in_one_sentence(name, says, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=says):
        load_model(name)
