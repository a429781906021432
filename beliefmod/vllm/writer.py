"""Answers of an engine's adapters, written by vLLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from beliefmod.engine.jobs import GREEDY, Completion, EngineError, GenerateRequest, OnEnd, Sampling
from beliefmod.model.adapter_files import copy_adapter
from beliefmod.vllm.environment import SETTING
from beliefmod.vllm.process import AdapterFiles, How, Question

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine

Ask = Callable[[Sequence[Question], AdapterFiles, How], Iterator[tuple[int, Completion]]]
"""`VllmProcess.ask`, or what passes it on from another process."""


class VllmWriter:
    """Has the engine's `generate`; training, scores and drift stay with the engine.

    Attributes:
        name: which engine wrote an answer, as rows have it.
        identity: what decides vLLM's answers beside the model, for the digests of answers that are kept.
    """

    name = "vllm"

    def __init__(self, engine: Engine, ask: Ask, version: str, longest: int) -> None:
        """
        Args:
            version: of vLLM.
            longest: tokens of a prompt with its answer that vLLM's memory holds.
        """
        self.engine, self.ask, self.version, self.longest = engine, ask, version, longest
        self.identity = {"engine": self.name, "version": version}

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
        on_end: OnEnd | None = None,
    ) -> list[Completion]:
        """Complete prompts, in the order of the requests, under the rules of `Engine.generate`.

        Greedy answers are the engine's but for ties of two tokens; sampled ones have their seeds, which draw
        other texts than the engine's do.

        Raises:
            EngineError: as `Engine.generate`; or vLLM refuses a request, has ended, or cannot hold one.
        """
        if problems := sampling.problems():
            raise EngineError("; ".join(problems))
        asked: list[GenerateRequest] = []
        found: dict[int, Completion] = {}
        more = list(requests)
        while more:  # what is asked on goes into the next call
            first, round_ = len(asked), more
            asked, more = [*asked, *round_], []
            for index, completion in self._ask(round_, max_new_tokens, sampling):
                found[first + index] = completion
                if on_end is not None:
                    more += on_end({first + index: completion}) or ()
        return [found[index] for index in range(len(asked))]

    def _ask(
        self, requests: Sequence[GenerateRequest], max_new_tokens: int, sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        positions = self.engine.max_positions
        lengths = [len(request.input_ids) for request in requests]
        self.engine.model.check_lengths([length + 1 for length in lengths], lengths)
        most = max(min(length + max_new_tokens, positions) for length in lengths)
        if most > self.longest:
            raise EngineError(
                f"{SETTING}: a prompt with its answer takes up to {most:,} tokens, and vLLM's memory holds "
                f"{self.longest:,}; lower evaluation.max_new_tokens, or give it more memory"
            )
        adapters = {name: self._files(name) for name in {request.adapter for request in requests} if name}
        questions = [Question(each.adapter, each.input_ids, each.seed) for each in requests]
        how = How(max_new_tokens, positions, self.engine.loaded.eos_ids, sampling)
        yield from self.ask(questions, adapters, how)

    def _files(self, name: str) -> dict[str, bytes]:
        """An adapter's PEFT folder for the text part of its base, which is all that vLLM is given."""
        with TemporaryDirectory(prefix="beliefmod-adapter-") as place:
            saved, handed = Path(place, "saved"), Path(place, "handed")
            self.engine.save_adapter(name, saved)
            copy_adapter(saved, handed, {}, text_keys=True)
            return {file.name: file.read_bytes() for file in handed.iterdir()}
