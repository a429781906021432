"""vLLM's actor in a Ray of its own, with a vLLM that counts; and the places that hosts leave it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from beliefmod.capacity.resources import Capacity
from beliefmod.engine.jobs import GREEDY, EngineError
from beliefmod.errors import UserError
from beliefmod.fleet.cluster import session
from beliefmod.fleet.vllm_actor import NAME, ask_actor, beside_vllm, running_vllm, vllm_facts
from beliefmod.space import Evaluation
from beliefmod.vllm.environment import PYTHON
from beliefmod.vllm.process import How, Question
from beliefmod.worker.host_settings import HostSettings
from tests.vllm.stand_in import python_with_vllm

HOW = How(3, 1000, (2,), GREEDY)
ADAPTERS = {"a": {"adapter_config.json": b'{"r": 2}', "adapter_model.safetensors": b""}}


def settings(folder: Path, model: str = "bundled") -> HostSettings:
    return HostSettings(
        run_url=str(folder),
        model=model,
        revision=None,
        base_storage="none",
        slots=1,
        max_rank=8,
        threads=1,
        evaluation=Evaluation(engine="vllm"),
        reference_seed=0,
    )


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(PYTHON, str(python_with_vllm(tmp_path)))
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path / "cache"))
    with session(None, "vllm-test", dashboard=False):
        yield tmp_path


@pytest.mark.slow
@pytest.mark.long
def test_it_answers_for_all_is_started_again_when_lost_and_ends_with_the_block(cluster: Path):
    said: list[str] = []
    capacity = Capacity().on({"CPU": 2})
    with running_vllm(settings(cluster), capacity, True, said.append):
        assert len(said) == 1 and vllm_facts() == {"version": "0.0.test", "max_model_len": 50}
        questions = [Question("a" if n % 2 else None, (n,)) for n in range(20, 60)]
        found = dict(ask_actor(questions, ADAPTERS, HOW))
        assert [found[n].token_ids[0] for n in range(40)] == [n + 1 + 2 * (n % 2) for n in range(20, 60)]
        with pytest.raises(EngineError, match="max_tokens must be at least 1"):
            list(ask_actor([Question(None, (1,) * 1000)], {}, HOW))
        with pytest.raises(EngineError, match="vLLM ended with code 7"):  # its process alone
            list(ask_actor([Question(None, (99,))], {}, HOW))
        assert len(dict(ask_actor(questions, ADAPTERS, HOW))) == 40
        ray.kill(ray.get_actor(NAME), no_restart=False)
        assert len(dict(ask_actor(questions, ADAPTERS, HOW))) == 40
    end = time.monotonic() + 30
    with pytest.raises(ValueError, match=NAME):
        while time.monotonic() < end:
            ray.get_actor(NAME)


@pytest.mark.slow
@pytest.mark.long
def test_a_model_that_vllm_does_not_know_ends_the_start_with_one_sentence(cluster: Path, monkeypatch: Any):
    text = (cluster / "packages/vllm/model_executor/models/registry.py").read_text()
    (cluster / "packages/vllm/model_executor/models/registry.py").write_text(text.replace("Qwen3", "Qwen9"))
    started = running_vllm(settings(cluster), Capacity().on({"CPU": 2}), True, lambda line: None)
    with pytest.raises(UserError, match="has no Qwen3ForCausalLM, which model bundled is"), started:
        raise AssertionError("it started")


@pytest.mark.parametrize(
    ("cluster", "asked", "hosts", "share"),
    [
        ({"CPU": 4}, {}, 4, 0.0),
        ({"CPU": 4, "GPU": 1}, {}, 1, 0.5),
        ({"CPU": 4, "GPU": 4}, {}, 3, 1.0),
        ({"CPU": 4, "GPU": 4}, {"hosts": 2}, 2, 1.0),
        ({"CPU": 4, "GPU": 2}, {"hosts_per_gpu": 2}, 3, 0.5),
    ],
)
def test_hosts_leave_vllm_a_place(cluster: dict[str, int], asked: dict[str, int], hosts: int, share: float):
    capacity = beside_vllm(Capacity(**asked).on(cluster), cluster.get("GPU", 0))
    assert (capacity.hosts, capacity.gpu_share) == (hosts, share)
    if cluster.get("GPU"):
        assert capacity.gpu_share * (capacity.hosts + 1) <= cluster["GPU"]
