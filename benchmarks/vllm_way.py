"""vLLM as a way of `packed_generation`, where there is an environment that has it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from beliefmod.engine.jobs import GREEDY
from beliefmod.errors import UserError
from beliefmod.model.load import LoadedModel
from beliefmod.model.plain_checkpoint import plain_checkpoint
from beliefmod.model.size import positions
from beliefmod.model.source import find_source
from beliefmod.vllm.environment import PYTHON, vllm_python
from beliefmod.vllm.process import How, Question, VllmProcess

VLLM = "vLLM, adapters together"
PEERS = Path(__file__).parent.parent / ".venv-peers/bin/python"
"""The environment that `make peers` builds."""
LEFT_OUT = (
    "vLLM is left out: make peers builds the environment that it runs in, and only the wall clock sees it"
)
CACHE_GIB = 4


def peers_python() -> Path | None:
    """The Python that vLLM runs in; None where there is none."""
    if PYTHON not in os.environ and PEERS.exists():
        return PEERS
    try:
        return vllm_python()
    except UserError:
        return None


@contextmanager
def by_vllm(
    python: Path,
    model: str,
    loaded: LoadedModel,
    adapters: Sequence[Path],
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    rank: int,
) -> Iterator[Callable[[], list[tuple[int, ...]]]]:
    """Answers of all adapters to all prompts from one vLLM engine, on the same weights and as many threads.

    Args:
        python: that has vLLM.
        model: the name that `loaded` has.
    """
    place = plain_checkpoint(find_source(model), loaded.base_storage, torch.device("cpu"), loaded.dtype)
    files = {path.name: {file.name: file.read_bytes() for file in path.iterdir()} for path in adapters}
    how = How(max_new_tokens, positions(loaded.model.config), loaded.eos_ids, GREEDY)
    asked = [Question(path.name, ids) for path in adapters for ids in prompts]
    vllm = VllmProcess(python, place, "float32", rank, cache_gib=CACHE_GIB, threads=torch.get_num_threads())

    def run() -> list[tuple[int, ...]]:
        found = dict(vllm.ask(asked, files, how))
        return [found[index].token_ids for index in range(len(asked))]

    try:
        yield run
    finally:
        vllm.close()
