"""What a model is called in results: its own name, and never a path of this disk."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.model.model_files import ModelSource
from beliefmod.model.source import find_source


def called(folder: Path, **config: object) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return ModelSource(str(folder), folder).title


@pytest.mark.parametrize(
    ("config", "title"),
    [
        ({}, "my-model"),
        ({"_name_or_path": ""}, "my-model"),
        ({"_name_or_path": "Mistral 7B"}, "Mistral 7B"),
        ({"_model_name_or_path": "Gemma 3 270m", "_name_or_path": "other"}, "Gemma 3 270m"),
        ({"_name_or_path": "somebody/my-model"}, "somebody/my-model"),
        # transformers 4 wrote what the weights were made from, or where they lay
        ({"_name_or_path": "Qwen/Qwen3-4B"}, "my-model"),
        ({"_name_or_path": "/home/me/my-model"}, "my-model"),
        ({"_name_or_path": "./my-model"}, "my-model"),
    ],
)
def test_a_folder_is_called_as_its_files_say_or_as_it_is(tmp_path, config, title):
    assert called(tmp_path / "my-model", **config) == title


@given(name=st.text(max_size=40), field=st.sampled_from(["_name_or_path", "_model_name_or_path"]))
def test_no_name_is_a_path(tmp_path_factory, name, field):
    title = called(tmp_path_factory.mktemp("m") / "my-model", **{field: name})
    assert title and not title.startswith(("/", "./", "~/")) and title.count("/") <= 1


def test_relative_paths_links_and_the_hubs_cache(tmp_path, monkeypatch):
    called(tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path / "models" / "mine")
    assert ModelSource(".", Path(".")).title == "mine"
    snapshot = tmp_path / "models--Qwen--Qwen3-4B" / "snapshots" / ("a1" * 20)
    assert called(snapshot) == "Qwen/Qwen3-4B"


def test_names_of_the_package_and_of_the_hub_stay(tmp_path):
    assert find_source("bundled").title == "bundled"
    assert ModelSource("Qwen/Qwen3-4B", tmp_path, "a1" * 20).title == "Qwen/Qwen3-4B"
    # neutral text and planned lengths are chosen by this name
    assert called(tmp_path / "bundled") != "bundled"
