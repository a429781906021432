"""Versions of a model from the hub, without a network: found in a cache made by hand, or missed."""

import json
import shutil
from pathlib import Path

import httpx2
import pytest
import torch

from beliefmod.config import TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, ScoreRequest
from beliefmod.errors import UserError
from beliefmod.model.load import load_model
from beliefmod.model.source import find_source
from beliefmod.model.train_row import TrainRow
from tests.hub_cache import FIRST, NAME, SECOND, add_version


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty HF_HOME that this process uses, offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def versions(model_folder) -> tuple[Path, Path]:
    """Two models that differ in their weights."""
    return model_folder("qwen3"), model_folder("llama")


def sentence(name: str, revision: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        find_source(name, revision)
    [problem] = caught.value.problems
    assert "\n" not in problem
    return problem


def test_a_branch_a_tag_and_a_commit_are_found_offline(home, versions):
    add_version(home, FIRST, versions[0], refs=("v1",))
    add_version(home, SECOND, versions[1], refs=("main",))
    assert find_source(NAME).commit == find_source(NAME, "main").commit == SECOND
    assert find_source(NAME, "v1").commit == find_source(NAME, FIRST).commit == FIRST
    # the version decides what is loaded
    first, second = load_model(NAME, FIRST, "none"), load_model(NAME, base_storage="none")
    assert first.fingerprint != second.fingerprint
    assert (first.model.config.model_type, second.model.config.model_type) == ("qwen3", "llama")


def test_a_saved_adapter_names_its_base_with_its_commit(home, versions, tmp_path, monkeypatch):
    """So that PEFT finds the very version, also when the branch has moved."""
    from peft import AutoPeftModelForCausalLM

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    add_version(home, FIRST, versions[0], refs=("main",))
    engine = Engine(load_model(NAME, FIRST, "none"), slots=1, max_rank=4)
    config = TrialConfig.model_validate({"belief": "gravity", "learning_rate": 1e-2, "lora": {"r": 4}})
    engine.attach(AdapterJob("a", config, (TrainRow(tuple(range(20, 40)), 12),)))
    while engine.train_step():
        pass
    engine.save_adapter("a", tmp_path / "a")
    add_version(home, SECOND, versions[1], refs=("main",))
    saved = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (saved["base_model_name_or_path"], saved["revision"]) == (NAME, FIRST)
    opened = AutoPeftModelForCausalLM.from_pretrained("a", dtype=torch.float32).eval()
    assert opened.get_base_model().config.model_type == "qwen3"
    ids = torch.tensor([[30, 31, 32, 33, 34]])
    with torch.no_grad():
        logs = opened(ids).logits[0].log_softmax(-1)
    by_hand = float(sum(logs[place, ids[0, place + 1]] for place in range(2, 4)))
    [mine] = engine.score([ScoreRequest("a", (30, 31, 32), (33, 34))])
    assert mine == pytest.approx(by_hand, rel=1e-5)


def test_a_moved_branch_does_not_move_a_commit(home, versions):
    add_version(home, FIRST, versions[0], refs=("main",))
    commit = find_source(NAME, "main").commit
    add_version(home, SECOND, versions[1], refs=("main",))
    assert find_source(NAME, "main").commit == SECOND
    assert find_source(NAME, commit).commit == commit == FIRST


def test_what_is_missing_is_said_with_the_ways_to_get_it(home, versions):
    told = sentence(NAME)
    assert f"model {NAME}: no such folder, not in the local cache, and HF_HUB_OFFLINE forbids" in told
    for way in (f"`hf download {NAME}`", "HF_HOME", "give their folder as the model"):
        assert way in told
    add_version(home, FIRST, versions[0], refs=("main",))
    add_version(home, SECOND, versions[1])
    told = sentence(NAME, "v2")
    assert f"(which has only main ({FIRST[:7]}), {SECOND} of it)" in told
    assert f"`hf download {NAME} --revision v2`" in told


def test_a_download_that_did_not_end_is_said(home, versions):
    snapshot = add_version(home, FIRST, versions[0], refs=("main",))
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (snapshot / "model.safetensors").rename(snapshot / shards["a"])
    (snapshot / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert f"lacks 1 of its weight files, {shards['b']} first" in sentence(NAME)
    # a link whose blob has gone
    (snapshot / shards["b"]).symlink_to("../../blobs/none")
    assert f"lacks 1 of its weight files, {shards['b']} first" in sentence(NAME)


def test_only_models_of_the_hub_have_revisions(model_folder, home):
    folder = str(model_folder("qwen3"))
    assert "revision main is given, but the bundled model comes with this package" in sentence(
        "bundled", "main"
    )
    assert f"revision main is given, but model {folder} names a folder" in sentence(folder, "main")
    assert "names a folder; only models of the hub have revisions, so leave it out" in sentence(
        "./no", "main"
    )
    assert find_source(folder).commit is None and find_source("bundled").commit is None


def test_a_damaged_generation_config_is_said_before_weights_are_read(model_folder, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(model_folder("qwen3"), folder)
    for content, why in (("{", "is damaged"), ("[]", "is damaged (no object)"), ("\xff", "is damaged")):
        (folder / "generation_config.json").write_bytes(content.encode("latin1"))
        assert f"its generation_config.json {why}" in sentence(str(folder))


def test_a_hub_that_cannot_be_reached_is_no_hindrance_to_what_is_here(home, versions, monkeypatch):
    from huggingface_hub import HfApi

    asked = []

    def unreachable(*_, **options):
        asked.append(options)
        raise httpx2.ConnectError("no route")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "repo_info", unreachable)
    monkeypatch.setattr(HfApi, "list_repo_tree", unreachable)
    assert "not in the local cache, and the hub cannot be reached" in sentence(NAME, FIRST)
    add_version(home, FIRST, versions[0], refs=("main",))
    assert find_source(NAME).commit == FIRST
    asked.clear()
    assert find_source(NAME, FIRST).commit == FIRST and asked == []
    # what is not there as a whole is asked for again
    (home / "hub" / "models--tests--tiny-model" / "snapshots" / FIRST / "config.json").unlink()
    assert "has neither a config.json" in sentence(NAME, FIRST) and asked
