"""What a model is made of: a change of any part is seen, and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from beliefmod.model.identity import WORDS, changed_parts, kept_identity, model_identity
from beliefmod.model.load import load_model, load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.space.chat_format import ChatFormat


def identity(folder: Path, chat_template: str | None = None) -> dict[str, str]:
    source = find_source(str(folder), chat=ChatFormat(chat_template))
    return model_identity(source, load_tokenizer(source))


def change_json(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def change_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + torch.tensor(1.0, dtype=torch.bfloat16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_tokenizer(folder: Path) -> None:
    """One merge less, so that some words become other tokens."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"].pop()
    (folder / "tokenizer.json").write_text(json.dumps(content))


def change_template(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text() + " ")


CHANGES: dict[str, Callable[[Path], None]] = {
    "weights": change_weights,
    "configuration": lambda folder: change_json(folder / "config.json", rms_norm_eps=1e-3),
    "tokenizer": change_tokenizer,
    "chat_template": change_template,
    "generation": lambda folder: change_json(folder / "generation_config.json", temperature=0.7),
}


def test_every_part_has_a_change_here():
    assert list(CHANGES) == list(WORDS)


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_one_part_is_seen_as_that_part(part, model_folder, tmp_path):
    first, folder = model_folder("qwen3"), tmp_path / "model"
    before = identity(first)
    shutil.copytree(first, folder)
    assert identity(folder) == before  # wherever it lies
    CHANGES[part](folder)
    after = identity(folder)
    assert [name for name in WORDS if before[name] != after[name]] == [part]
    [said] = changed_parts(before, after)
    assert said == f"{WORDS[part]} ({before[part][:12]} then, {after[part][:12]} now)"
    assert dict(load_model(str(folder), base_storage="none").identity) == after


def test_who_wrote_a_file_when_and_in_what_type_is_no_part(model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder("qwen3"), folder)
    before = identity(folder)
    change_json(folder / "config.json", transformers_version="4.51.0", torch_dtype="float16")
    change_json(folder / "generation_config.json", transformers_version="4.51.0")
    (folder / "README.md").write_text("a model")
    assert identity(folder) == before


def test_a_template_that_the_space_names_is_the_models(model_folder):
    folder = model_folder("qwen3")
    own = (folder / "chat_template.jinja").read_text()
    assert identity(folder, own) == identity(folder)
    assert changed_parts(identity(folder), identity(folder, own + " "))[0].startswith("chat template (")


def test_using_a_tokenizer_does_not_change_what_it_is(model_folder):
    source = find_source(str(model_folder("qwen3")))
    tokenizer = load_tokenizer(source)
    before = model_identity(source, tokenizer)
    tokenizer(["a", "longer text"], padding=True, truncation=True, max_length=3)
    assert model_identity(source, tokenizer) == before


def test_of_an_older_run_what_it_kept_is_compared():
    now = {"weights": "a" * 64, "tokenizer": "b" * 64, "chat_template": "c" * 64}
    assert changed_parts(kept_identity({}), now) == []
    assert changed_parts(kept_identity({"fingerprint": "a" * 64, "chat_template": "c" * 64}), now) == []
    assert len(changed_parts(kept_identity({"fingerprint": "0" * 64, "chat_template": "0" * 64}), now)) == 2
