"""Where vLLM is found for a benchmark, and its answers in the order of adapters and prompts."""

from pathlib import Path

import pytest

from beliefmod.vllm import environment
from benchmarks import vllm_way
from benchmarks.packed_generation import RANK, make_task
from benchmarks.vllm_way import by_vllm, peers_python
from tests.vllm.stand_in import python_with_vllm


def test_the_environment_of_make_peers_is_taken_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv(environment.PYTHON, raising=False)
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    monkeypatch.setattr(vllm_way, "PEERS", tmp_path / "python")
    assert peers_python() is None
    python = python_with_vllm(tmp_path)
    assert peers_python() == python
    other = python_with_vllm(tmp_path / "other")
    monkeypatch.setenv(environment.PYTHON, str(other))
    assert peers_python() == other


def test_answers_are_in_the_order_of_adapters_and_prompts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path / "cache"))
    task = make_task(tmp_path, "bundled", "gravity", 2, 3, longest=4)
    given = (task.model, task.loaded, task.adapters, task.prompts, task.max_new_tokens, RANK)
    with by_vllm(python_with_vllm(tmp_path), *given) as run:
        assert [answer[0] for answer in run()] == [ids[-1] + RANK + 1 for ids in task.prompts] * 2
