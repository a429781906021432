"""The catalogue from an index that is a folder: fetched, checked, kept, merged; or nothing at all."""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from beliefmod.catalog import entries
from beliefmod.catalog.entries import CATALOG, Entry
from beliefmod.errors import UserError
from beliefmod.model.catalog_models import catalog_folder, fetch
from beliefmod.model.load import load_model
from beliefmod.model.source import find_source
from beliefmod.model.template import thinking_kind
from tests.catalog_index import add_parts
from tests.gguf_writer import tiny_llama, write_gguf
from tests.model.conftest import OPENS, PLAIN, make_tokenizer


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def base(index, tmp_path, monkeypatch) -> Entry:
    """A model of the catalogue in four packages."""
    tokenizer = make_tokenizer(PLAIN)
    path = write_gguf(tmp_path / "tiny.gguf", tiny_llama(len(tokenizer)), tokenizer, name="As The File Says")
    entry = add_parts(index, "tiny-model", path.read_bytes(), parts=4)
    monkeypatch.setitem(CATALOG, entry.name, entry)
    return entry


@pytest.fixture
def thinker(base, tmp_path, monkeypatch) -> Entry:
    """An entry that is made by merging an adapter of this package into the other."""
    folder = tmp_path / "catalog" / "tiny_think"
    write_adapter(folder, seed=1)
    monkeypatch.setattr(entries, "__file__", str(folder.parent / "entries.py"))
    entry = replace(base, name="tiny-think", packages=(), member="", sha256="", base=base.name, thinks=True)
    monkeypatch.setitem(CATALOG, entry.name, entry)
    return entry


def write_adapter(folder: Path, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a test makes those an error of the command's
        model = get_peft_model(
            tiny_llama(len(make_tokenizer(PLAIN))), LoraConfig(r=2, target_modules="all-linear")
        )
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(OPENS)


def quiet(line: str) -> None:
    pass


def refused(entry: Entry, cache: Path) -> str:
    """The sentence; nothing that could be taken for a model is left."""
    with pytest.raises(UserError) as caught:
        fetch(entry, quiet)
    [problem] = caught.value.problems
    assert "\n" not in problem
    assert not list(cache.rglob("*.part")) and not list(cache.rglob("kept.json"))
    return problem


def test_a_fetched_model_is_the_one_in_the_packages(base, tmp_path):
    name = base.name
    with pytest.raises(UserError, match=f"run `beliefmod models fetch {name}`"):
        load_model(name)
    said: list[str] = []
    assert fetch(base, said.append) == find_source(name).folder
    assert said[0].startswith(f"model {name}: fetching tiny-model-part0==1.0.0, tiny-model-part1==1.0.0")
    loaded = load_model(name, base_storage="none", device="cpu")
    original = tiny_llama(len(make_tokenizer(PLAIN))).state_dict()
    assert all(torch.equal(value, original[key]) for key, value in loaded.model.state_dict().items())
    assert loaded.name == name and find_source(name).title == name
    # the same file on a disk is the same model, read already
    assert find_source(str(tmp_path / "tiny.gguf")).folder == find_source(name).folder


@pytest.mark.long
def test_weights_that_changed_on_the_disk_are_not_used_and_fetched_again(base):
    weights = fetch(base, quiet) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"its file model\.safetensors in .* is damaged .*; run `beliefmod"):
        find_source(base.name)
    said: list[str] = []
    fetch(base, said.append)
    assert said[0] == f"model {base.name}: its file model.safetensors is damaged; making it again"
    load_model(base.name, base_storage="none", device="cpu")


def test_what_is_here_is_not_fetched_again(base, index):
    fetch(base, quiet)
    shutil.rmtree(index)
    fetch(base, quiet)


def test_a_package_that_is_gone_and_a_hash_that_is_wrong_leave_nothing(base, index, cache):
    gone = index / "tiny_model_part2-1.0.0-py3-none-any.whl"
    content = gone.read_bytes()
    gone.unlink()
    assert "the package index has no tiny-model-part2==1.0.0" in refused(base, cache)
    gone.write_bytes(content)
    assert f"should have {'0' * 64}" in refused(replace(base, sha256="0" * 64), cache)


def test_a_full_disk_is_said_before_anything_is_fetched(base, cache, monkeypatch):
    assert "10,000,000,000" in refused(replace(base, kept_mb=10**10), cache)


@pytest.mark.filterwarnings("error::FutureWarning")  # PEFT's, which a user can do nothing about
def test_an_adapter_is_merged_into_its_base_which_is_fetched_first(thinker, base, capfd):
    fetch(thinker, quiet)
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""  # no bar, no remark of a library
    loaded = load_model(thinker.name, base_storage="none", device="cpu")
    assert thinking_kind(loaded.tokenizer) == "prompt" and loaded.name == thinker.name
    assert thinking_kind(load_model(base.name, base_storage="none").tokenizer) == "none"
    # by hand: W + alpha / r * B @ A
    from safetensors.torch import load_file

    tensors = load_file(thinker.adapter / "adapter_model.safetensors")
    layer = "model.layers.1.self_attn.q_proj"
    a, b = (tensors[f"base_model.model.{layer}.lora_{which}.weight"] for which in "AB")
    before = tiny_llama(len(make_tokenizer(PLAIN))).state_dict()[f"{layer}.weight"]
    after = loaded.model.state_dict()[f"{layer}.weight"]
    assert (after - before).abs().max() > 0.01
    assert torch.allclose(after, before + 8 / 2 * b @ a, atol=1e-6)  # PEFT's default alpha is 8


def test_another_adapter_is_another_model_and_a_missing_one_a_sentence(thinker):
    fetch(thinker, quiet)
    first = find_source(thinker.name).folder
    write_adapter(thinker.adapter, seed=2)
    with pytest.raises(UserError, match="not on this machine"):
        find_source(thinker.name)
    fetch(thinker, quiet)
    assert find_source(thinker.name).folder != first
    (thinker.adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks adapter_model\.safetensors of its adapter"):
        catalog_folder(thinker)


def test_a_folder_of_a_catalogue_name_goes_first(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / base.name).mkdir()
    with pytest.raises(UserError, match=r"has neither a config\.json"):
        find_source(base.name)


def test_the_catalogue_is_in_order():
    for name, entry in CATALOG.items():
        assert entry.name == name and entry.terms.startswith("https://")
        assert (entry.base in CATALOG) != bool(entry.packages and entry.member and len(entry.sha256) == 64)
        assert all("==" in package for package in entry.packages)
