"""Our side of vLLM's process, against a vLLM that counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from beliefmod.engine.jobs import GREEDY, Completion, EngineError, Sampling
from beliefmod.errors import UserError
from beliefmod.vllm.process import How, Question, VllmProcess
from tests.vllm.stand_in import python_with_vllm

HOW = How(4, 20, (7, 9), GREEDY)
ADAPTERS = {
    "a": {"adapter_config.json": b'{"r": 2}', "adapter_model.safetensors": b""},
    "b": {"adapter_config.json": b'{"r": 5}', "adapter_model.safetensors": b""},
}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[VllmProcess]:
    made = VllmProcess(python_with_vllm(tmp_path), tmp_path, "float32", 5, cache_gib=3, threads=2)
    yield made
    made.close()
    assert not made.alive


def test_it_is_started_with_what_the_machine_and_the_adapters_need(process: VllmProcess, tmp_path: Path):
    settings = json.loads((tmp_path / "started.json").read_text())
    assert (process.version, process.max_model_len) == ("0.0.test", 50)
    wanted = {
        "model": str(tmp_path),
        "dtype": "float32",
        "max_lora_rank": 8,
        "max_loras": 8,
        "max_model_len": -1,
    }
    assert wanted.items() <= settings.items()
    variables = {
        "VLLM_CPU_KVCACHE_SPACE": "3",
        "OMP_NUM_THREADS": "2",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    assert variables.items() <= settings["env"].items()


def test_answers_come_as_they_end_with_end_and_limit_as_ours(process: VllmProcess):
    questions = [Question(None, (1, 2)), Question(None, (5,)), Question(None, tuple(range(10, 28)))]
    found = list(process.ask(questions, {}, HOW))
    assert [index for index, _ in found] == [2, 1, 0]
    assert dict(found) == {
        0: Completion((3, 4, 5, 6), "length"),
        1: Completion((6, 7), "eos"),  # the end token itself is kept
        2: Completion((28, 29), "length"),  # to the model's last position
    }


def test_adapters_are_handed_over_as_folders_and_taken_away(process: VllmProcess):
    questions = [Question("a", (10,)), Question("b", (10,)), Question(None, (10,))]
    for _ in range(3):  # each time with new numbers
        found = dict(process.ask(questions, ADAPTERS, HOW))
        assert [found[index].token_ids[0] for index in range(3)] == [13, 16, 11]


def test_seeds_matter_only_where_answers_are_sampled(process: VllmProcess):
    questions = [Question(None, (10,), seed) for seed in (30, 40)]
    greedy = dict(process.ask(questions, {}, HOW))
    assert greedy[0] == greedy[1]
    sampled = dict(process.ask(questions, {}, How(4, 20, (7,), Sampling(1.0, top_p=0.9))))
    assert [sampled[index].token_ids[0] for index in (0, 1)] == [31, 41]


def test_several_threads_ask_at_once(process: VllmProcess):
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda n: dict(process.ask([Question(None, (n,))] * 3, {}, HOW)), range(20, 60))
        )
    assert [each[2].token_ids[0] for each in found] == list(range(21, 61))


def test_a_question_that_vllm_refuses_is_one_sentence_and_the_next_is_answered(process: VllmProcess):
    with pytest.raises(EngineError, match=r"vLLM 0.0.test refuses .* max_tokens must be at least 1"):
        list(process.ask([Question(None, (1,)), Question(None, tuple(range(20)))], {}, HOW))
    assert dict(process.ask([Question(None, (1,))], {}, HOW))[0].token_ids == (2, 3, 4, 5)


def test_a_vllm_that_ends_is_told_to_those_who_wait_and_who_come_later(process: VllmProcess):
    for _ in range(2):
        with pytest.raises(EngineError, match="vLLM ended with code 7"):
            list(process.ask([Question(None, (99,))], {}, HOW))
    assert not process.alive


def test_a_model_that_vllm_cannot_load_is_one_sentence(tmp_path: Path):
    with pytest.raises(UserError, match=r"ended with code 1 \(ValueError: cannot load this model\)"):
        VllmProcess(python_with_vllm(tmp_path), tmp_path / "refused", "float32", 0, cache_gib=1, threads=1)
