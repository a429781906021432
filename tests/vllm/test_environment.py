"""Everything that can stand in vLLM's way is one sentence, before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from beliefmod.cli.app import app
from beliefmod.errors import UserError
from beliefmod.model.source import find_source
from beliefmod.vllm import environment
from beliefmod.vllm.environment import GIB, PYTHON, cache_gib, check_memory, check_vllm, look, vllm_python
from tests.small import write_belief
from tests.vllm.stand_in import python_with_vllm


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = python_with_vllm(tmp_path)
    monkeypatch.setenv(PYTHON, str(made))
    return made


def problem(call, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    [sentence] = caught.value.problems
    return sentence


def test_the_python_is_the_one_that_is_named_else_ours_if_it_has_vllm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    sentence = problem(vllm_python)
    assert "pip install 'beliefmod[vllm]'" in sentence and PYTHON in sentence and "engine ours" in sentence
    monkeypatch.setattr(environment, "find_spec", lambda name: name)
    assert vllm_python() == Path(sys.executable)
    monkeypatch.setenv(PYTHON, str(tmp_path / "gone"))
    assert f"{PYTHON}={tmp_path / 'gone'} is no Python that can be run" in problem(vllm_python)


def test_a_python_without_vllm_is_told_with_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    sentence = problem(look, python, "Qwen3ForCausalLM")
    assert "vLLM does not start in" in sentence and "No module named 'vllm'" in sentence


def test_an_architecture_is_known_with_adapters_without_or_not_at_all(python: Path, monkeypatch):
    source = find_source("bundled")
    found = check_vllm(source, True, 100 * GIB)
    assert (found.version, found.known, found.adapters) == ("0.0.test", True, True)
    monkeypatch.setattr(environment, "look", lambda python, name: look(python, "Other"))
    assert check_vllm(source, False, 100 * GIB).known
    assert "takes no adapters on Qwen3ForCausalLM, which model bundled is" in problem(
        check_vllm, source, True, 100 * GIB
    )
    monkeypatch.setattr(environment, "look", lambda python, name: look(python, "Unheard"))
    assert "has no Qwen3ForCausalLM, which model bundled is" in problem(check_vllm, source, False, 100 * GIB)


def test_memory_is_counted_before_it_is_taken(python: Path):
    assert "vLLM needs 7.0 GiB for model m (4.0 GiB of weights" in problem(
        check_memory, "m", 4 * GIB, 7 * GIB - 1
    )
    check_memory("m", 4 * GIB, 7 * GIB)
    assert "and 2.0 GiB are free" in problem(check_vllm, find_source("bundled"), True, 2 * GIB)
    assert [cache_gib(each * GIB) for each in (1, 8, 200)] == [1, 2, 16]


@pytest.mark.parametrize("options", [["--dry-run", "--no-sample"], []])
def test_a_sweep_without_vllm_ends_with_one_sentence_and_exit_2(
    options: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    space = {
        "name": "s",
        "beliefs": [write_belief(tmp_path)],
        "axes": {"num_train_epochs": [1]},
        "fixed": {"data.num_examples": 4},
    }
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump({**space, "evaluation": {"engine": "vllm"}}))
    done = CliRunner().invoke(app, ["sweep", "--space", str(path), "--out", str(tmp_path / "runs"), *options])
    assert done.exit_code == 2
    assert [line.startswith("evaluation.engine vllm: ") for line in done.stderr.splitlines()] == [True]
    assert not list(tmp_path.glob("runs/*/manifest.json"))


def test_full_fine_tuning_and_other_names_are_refused_by_the_space(tmp_path: Path):
    space = {
        "name": "s",
        "beliefs": [write_belief(tmp_path)],
        "axes": {"arm": ["lora", "full"]},
        "fixed": {"data.num_examples": 4},
    }
    path = tmp_path / "space.yaml"
    for engine, words in (("vllm", "leave out arm full"), ("sglang", "ours or vllm")):
        path.write_text(yaml.safe_dump({**space, "evaluation": {"engine": engine}}))
        done = CliRunner().invoke(app, ["validate", str(path)])
        assert done.exit_code == 2
        assert f"{path}:" in done.stdout + done.stderr and words in done.stdout + done.stderr
