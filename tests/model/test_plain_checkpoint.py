"""The checkpoint that other engines read holds what training sees, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from beliefmod.model import plain_checkpoint as module
from beliefmod.model.load import load_model
from beliefmod.model.plain_checkpoint import plain_checkpoint
from beliefmod.model.source import find_source
from beliefmod.space.space import BaseStorage

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("storage", ["dequantized", "nf4", "none"])
def test_transformers_reads_the_weights_that_a_sweep_has(storage: BaseStorage):
    place = plain_checkpoint(find_source("bundled"), storage, CPU, torch.float32)
    found = AutoModelForCausalLM.from_pretrained(place)
    same = load_model("bundled", base_storage="none" if storage == "none" else "dequantized", device="cpu")
    ours, theirs = same.model.state_dict(), found.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    ids = torch.tensor([[5, 6, 7, 8]])
    trained = load_model("bundled", base_storage=storage, device="cpu")
    with torch.no_grad():
        difference = (found(ids).logits - trained.model(ids).logits).abs().max()
    assert difference <= (1e-4 if storage == "nf4" else 0.0)  # packed products sum in another order
    assert found.dtype == torch.float32 and not hasattr(found.config, "quantization_config")


def test_nf4_changes_the_weights_and_storages_of_the_same_values_share_a_folder():
    source = find_source("bundled")
    packed, plain = (plain_checkpoint(source, each, CPU, torch.float32) for each in ("nf4", "none"))
    assert plain_checkpoint(source, "dequantized", CPU, torch.float32) == packed != plain
    quantised, before = (AutoModelForCausalLM.from_pretrained(each).state_dict() for each in (packed, plain))
    changed = [name for name in before if not torch.equal(before[name], quantised[name])]
    assert changed and all("_proj" in name for name in changed)


def test_it_is_written_once_and_again_when_it_is_damaged(monkeypatch: pytest.MonkeyPatch):
    source, said = find_source("bundled"), []
    place = plain_checkpoint(source, "none", CPU, torch.float32, said.append)
    assert len(said) == 1 and str(place) in said[0]
    monkeypatch.setattr(module, "load_model", None)  # calling it would fail
    assert plain_checkpoint(source, "none", CPU, torch.float32, said.append) == place and len(said) == 1
    monkeypatch.undo()
    monkeypatch.setenv("BELIEFMOD_CACHE", str(place.parent.parent))
    weights = place / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert plain_checkpoint(source, "none", CPU, torch.float32, said.append) == place
    assert "is damaged; making it again" in said[1] and weights.read_bytes() == content
