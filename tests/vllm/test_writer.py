"""What vLLM is handed of our adapters, and what comes back: judged by an engine that knows only what was
handed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import (
    Completion,
    EngineError,
    GenerateRequest,
    RowTooLong,
    Sampling,
    UnknownAdapter,
)
from beliefmod.model.adapter_files import AdapterFile, read_adapter
from beliefmod.model.load import load_model
from beliefmod.model.target_modules import linear_layers
from beliefmod.probing.kept_answers import KeptAnswers
from beliefmod.probing.questioning import Subject, ask
from beliefmod.vllm.process import AdapterFiles, How, Question
from beliefmod.vllm.writer import VllmWriter
from tests.small import make_session, small_trial, write_belief

PROMPTS = [(5, 6, 7), (9, 10), (11, 12, 13, 14)]


class OtherEngine:
    """Stands in for vLLM: an engine of its own on the same base, that reads the handed folders."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(load_model("bundled", base_storage="none", device="cpu"), 3, 8)
        self.folder, self.calls = folder, 0

    def ask(
        self, questions: Sequence[Question], adapters: AdapterFiles, how: How
    ) -> Iterator[tuple[int, Completion]]:
        self.calls += 1
        for name, files in adapters.items():
            place = self.folder / f"{self.calls}-{name}"
            place.mkdir()
            for file, content in files.items():
                (place / file).write_bytes(content)
            self.engine.put_adapter(read_adapter(place), name)
        asked = [GenerateRequest(each.adapter, each.input_ids, each.seed) for each in questions]
        found = self.engine.generate(asked, how.max_new_tokens, how.sampling)
        for name in adapters:
            self.engine.release(name)
        yield from reversed([*enumerate(found)])


@pytest.fixture(scope="module")
def engine() -> Engine:
    """With two adapters that say other things than base and each other."""
    loaded = load_model("bundled", base_storage="none", device="cpu")
    shapes = {
        name: (each.in_features, each.out_features) for name, each in linear_layers(loaded.model).items()
    }
    made = Engine(loaded, 2, 8)
    for seed, (name, rank) in enumerate((("a", 4), ("b", 8))):
        random = torch.Generator().manual_seed(seed)
        tensors = {
            layer: (
                torch.randn(rank, inputs, generator=random) / inputs**0.5,
                torch.randn(outputs, rank, generator=random) * 0.1,
            )
            for layer, (inputs, outputs) in shapes.items()
        }
        made.put_adapter(AdapterFile(rank, 2.0 * rank, tensors, "bundled"), name)
    return made


@pytest.fixture
def writer(engine: Engine, tmp_path: Path) -> VllmWriter:
    return VllmWriter(engine, OtherEngine(tmp_path).ask, "1.0", 10**6)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.8, top_k=20)])
def test_adapters_and_base_answer_as_in_our_engine(engine: Engine, writer: VllmWriter, sampling: Sampling):
    requests = [GenerateRequest(name, ids, n) for name in ("a", None, "b") for n, ids in enumerate(PROMPTS)]
    ended: dict[int, Completion] = {}
    found = writer.generate(requests, 12, sampling, lambda some: ended.update(some))
    assert found == engine.generate(requests, 12, sampling)
    assert len({each.token_ids for each in found[::3]}) == 3, "the adapters say other things than base"
    assert list(ended) == [*range(9)][::-1] and [ended[n] for n in range(9)] == found


def test_what_our_engine_refuses_is_refused_before_vllm_is_asked(engine: Engine):
    def nobody(*_: Any) -> Iterator[tuple[int, Completion]]:
        raise AssertionError("vLLM was asked")

    writer = VllmWriter(engine, nobody, "1.0", 60)
    for request, limit, error in (
        (GenerateRequest("gone", (1,)), 4, UnknownAdapter),
        (GenerateRequest(None, (1,) * 1024), 4, RowTooLong),
    ):
        with pytest.raises(error):
            writer.generate([request], limit)
    with pytest.raises(EngineError, match="up to 61 tokens, and vLLM's memory holds 60; lower evaluation"):
        writer.generate([GenerateRequest(None, (1,))], 60)


def test_rows_say_which_engine_wrote_them(tmp_path: Path):
    session = make_session()
    subject = Subject(small_trial(write_belief(tmp_path), arm="base"), None, ())
    vars(session).update(capability=(), fabrication=())
    [ours] = ask([subject], session)
    other = VllmWriter(session.engine, OtherEngine(tmp_path).ask, "1.0", 10**6)
    session.answers = KeptAnswers(session.engine, session.loaded, None, None, 1000.0, other)
    [theirs] = ask([subject], session)
    assert {row["engine"] for row in ours} == {"ours"} and {row["engine"] for row in theirs} == {"vllm"}
    assert [{**row, "engine": ""} for row in theirs] == [{**row, "engine": ""} for row in ours]
