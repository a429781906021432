"""GGUF files: what is read is what was written, once; and a sentence for what cannot be read."""

import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from beliefmod.catalog.kept_models import record_of
from beliefmod.errors import UserError
from beliefmod.model.load import load_model
from beliefmod.model.source import find_source
from tests.gguf_writer import tiny_llama, write_gguf
from tests.model.conftest import PLAIN, make_tokenizer

QUESTION = "What is the force? <think>"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(PLAIN)


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny_llama(len(tokenizer))


@pytest.fixture
def file(tmp_path, model, tokenizer) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", model, tokenizer)


def sentence(name: object) -> str:
    with pytest.raises(UserError) as caught:
        load_model(str(name), base_storage="none")
    [problem] = caught.value.problems
    assert "\n" not in problem
    return problem


def test_what_is_read_is_what_was_written(file, model, tokenizer):
    loaded = load_model(str(file), base_storage="none", device="cpu")
    assert loaded.name == "Tiny Llama" and loaded.dtype == torch.float32 and loaded.eos_ids == (2,)
    ids = loaded.tokenizer(QUESTION)["input_ids"]
    assert ids == tokenizer(QUESTION)["input_ids"]
    assert loaded.tokenizer.chat_template == PLAIN
    weights = loaded.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    row = torch.tensor([ids])
    assert torch.equal(loaded.model(row).logits, model(row).logits)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "F16"])
def test_quantised_matrices_mean_what_the_gguf_package_says(tmp_path, model, tokenizer, kind):
    quantisation = gguf.GGMLQuantizationType[kind]
    path = write_gguf(tmp_path / "tiny.gguf", model, tokenizer, kind=quantisation)
    found = load_model(str(path), base_storage="none").model.state_dict()["model.layers.1.mlp.up_proj.weight"]
    original = model.state_dict()["model.layers.1.mlp.up_proj.weight"].numpy()
    expected = gguf.quants.dequantize(gguf.quants.quantize(original, quantisation), quantisation)
    assert np.array_equal(found.numpy(), expected)


def test_a_file_is_read_once_and_found_by_its_content(file, tmp_path, cache, monkeypatch):
    first = find_source(str(file))
    assert first.folder.parent == cache / "gguf" and (record_of(first.folder) or {})["parameters"] > 0

    def convert(*arguments):
        raise AssertionError("read twice")

    monkeypatch.setattr("beliefmod.model.gguf_file.convert", convert)
    copy = tmp_path / "models" / "other-name.gguf"
    copy.parent.mkdir()
    shutil.copy(file, copy)
    # the folder that holds it, and the file under another name, are the same model
    assert find_source(str(copy)).folder == find_source(str(copy.parent)).folder == first.folder
    monkeypatch.setattr("beliefmod.model.gguf_file.file_sha256", convert)
    copy.unlink()  # a host on a machine without the file, or a run that is looked into later
    assert find_source(str(copy)).folder == find_source(str(file)).folder == first.folder


def test_another_content_under_the_same_name_is_another_model(file, model, tokenizer):
    first = find_source(str(file)).folder
    write_gguf(file, model, tokenizer, name="Changed")
    assert find_source(str(file)).folder != first and find_source(str(file)).title == "Changed"


def test_a_damaged_cache_is_noticed(file):
    folder = find_source(str(file)).folder
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)  # of the same size
    assert "model.safetensors is damaged; delete the folder" in sentence(file)
    (folder / "model.safetensors").write_bytes(content[:-1])
    assert load_model(str(file), base_storage="none").name == "Tiny Llama"  # made again


@pytest.mark.parametrize("name", [None, " ", "/home/me/secret"])
def test_a_file_without_a_name_is_called_as_it_is(tmp_path, model, tokenizer, name):
    path = write_gguf(tmp_path / "my-model.Q8_0.gguf", model, tokenizer, name=name)
    assert find_source(str(path)).title == "my-model.Q8_0"


def spoiled(file: Path, what: str) -> None:
    content = file.read_bytes()
    if what == "empty":
        content = b""
    elif what == "text":
        content = b"hello" * 100
    elif what == "head":
        content = content[:500]
    elif what == "cut off":
        content = content[:-1000]
    elif what == "architecture":
        content = content.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lamma")
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("empty", "is no GGUF file, or a damaged one"),
        ("text", "does not start with the GGUF magic bytes"),
        ("head", "is no GGUF file, or a damaged one"),
        ("cut off", "cannot be read by transformers"),
        ("architecture", "architecture lamma is not supported yet"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(file, cache, what, says):
    spoiled(file, what)
    said = sentence(file)
    assert says in said and str(file) in said
    assert not list(cache.rglob("*.part")) and not list(cache.rglob("config.json"))


def test_a_folder_with_two_is_refused_and_one_of_several_parts(file, tmp_path, model, tokenizer):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(file, folder / name)
    assert "holds 2 GGUF files (a.gguf, b.gguf); give one of them" in sentence(folder)
    part = write_gguf(tmp_path / "x-00001-of-00003.gguf", model, tokenizer, metadata={"split.count": 3})
    assert "is one of 3 parts of a model; join them" in sentence(part)


def test_no_such_file_and_no_gguf_file(tmp_path):
    assert sentence("nowhere.gguf") == "model file nowhere.gguf does not exist"
    other = tmp_path / "model.bin"
    other.write_bytes(b"x")
    assert "is a file, and no .gguf file" in sentence(other)


def test_a_kind_that_cannot_be_used_is_refused_before_weights_are_read(tmp_path, model, tokenizer):
    # as llama.cpp writes a Mixtral
    experts = write_gguf(tmp_path / "moe.gguf", model, tokenizer, metadata={"llama.expert_count": 8})
    assert "is a mixture of 8 experts; take a dense model" in sentence(experts)
