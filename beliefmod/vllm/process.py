"""vLLM in a process of its own: started, asked over pipes by any number of threads, ended."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beliefmod.engine.jobs import Completion, EngineError, Sampling
from beliefmod.errors import UserError
from beliefmod.run.adapter_export import VLLM_RANKS
from beliefmod.vllm.environment import SERVER, SETTING, WAY_OUT, last_line, plain_environment

MAX_LORAS = 8
"""Adapters whose rows share a step; those of more wait for their turn."""
ENDING_SECONDS = 20.0


@dataclass(frozen=True)
class Question:
    """A prompt for an adapter by its name (None: the base). seed: for sampled answers."""

    adapter: str | None
    input_ids: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True)
class How:
    """How answers are written: their token limit, the model's positions, end tokens, sampling."""

    max_new_tokens: int
    positions: int
    eos_ids: tuple[int, ...]
    sampling: Sampling

    def order(self) -> dict[str, Any]:
        """As the server reads it; null for greedy answers."""
        how = None if self.sampling.greedy else asdict(self.sampling)
        return {
            "max_new_tokens": self.max_new_tokens,
            "positions": self.positions,
            "eos_ids": list(self.eos_ids),
            "sampling": how,
        }


AdapterFiles = Mapping[str, Mapping[str, bytes]]
"""Adapters by name, each the files of its PEFT folder by their names."""


class VllmEnded(EngineError):
    """The process is gone, by itself or ended from outside."""


class VllmProcess:
    """One vLLM engine on one checkpoint.

    Attributes:
        version: of vLLM. max_model_len: tokens of prompt and answer that its memory holds at most.
    """

    def __init__(self, python: Path, checkpoint: Path, dtype: str, max_rank: int, **device: Any) -> None:
        """Start it, which takes half a minute or more.

        Args:
            dtype: float32 or bfloat16.
            max_rank: the highest rank of an adapter; 0 for none.
            device: `cache_gib` and `threads` on a CPU, `memory_share` on a GPU.

        Raises:
            UserError: vLLM cannot load the model; in its words.
        """
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._folder = tempfile.TemporaryDirectory(prefix="beliefmod-vllm-")
        rank = next((rank for rank in VLLM_RANKS if rank >= max_rank), max_rank) if max_rank else 0
        settings: dict[str, Any] = {
            "model": str(checkpoint),
            "dtype": dtype,
            "max_model_len": -1,  # all of the model's positions, or those that memory holds
            "max_lora_rank": rank,
            "max_loras": MAX_LORAS,
        }
        variables = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        if (share := device.get("memory_share")) is not None:
            settings["gpu_memory_utilization"] = share
        else:
            variables["VLLM_CPU_KVCACHE_SPACE"] = str(device["cache_gib"])
            variables["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
            variables["OMP_NUM_THREADS"] = str(device["threads"])
        self._process = subprocess.Popen(
            [str(python), "-P", str(SERVER), "serve", json.dumps(settings)],
            env=plain_environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
        )
        self._calls = itertools.count(1)
        self._waiting: dict[int, queue.Queue[dict[str, Any] | None]] = {}
        self._lock = threading.Lock()
        self._ended = False
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first:
            raise UserError(f"{self._how_it_ended()}; {WAY_OUT.removeprefix('or ')}")
        ready = json.loads(first)["ready"]
        self.version: str = ready["version"]
        self.max_model_len: int = ready["max_model_len"]
        threading.Thread(target=self._deliver, name="vllm-replies", daemon=True).start()

    def ask(
        self, questions: Sequence[Question], adapters: AdapterFiles, how: How
    ) -> Iterator[tuple[int, Completion]]:
        """Completions as they end, each with the index of its question. From any thread.

        Raises:
            EngineError: vLLM refuses a question.
            VllmEnded: it has ended.
        """
        if not questions:
            return
        call, replies = next(self._calls), queue.Queue()
        folder = Path(self._folder.name, str(call))
        folders = {name: self._written(folder / name, files) for name, files in adapters.items()}
        order = {
            "call": call,
            "adapters": {f"{call}-{name}": str(place) for name, place in folders.items()},
            "requests": [
                {
                    "adapter": None if each.adapter is None else f"{call}-{each.adapter}",
                    "ids": list(each.input_ids),
                    "seed": each.seed,
                }
                for each in questions
            ],
            **how.order(),
        }
        with self._lock:
            if self._ended:
                raise VllmEnded(self._how_it_ended())
            self._waiting[call] = replies
            self._send(order)
        try:
            for _ in questions:
                reply = replies.get()
                if reply is None:
                    raise VllmEnded(self._how_it_ended())
                if "error" in reply:
                    raise EngineError(f"vLLM {self.version} refuses a question: {reply['error']}")
                yield reply["index"], Completion(tuple(reply["ids"]), reply["end"])
        finally:
            with self._lock:
                self._waiting.pop(call, None)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            try:
                self._process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._folder.cleanup()

    def _written(self, folder: Path, files: Mapping[str, bytes]) -> Path:
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise VllmEnded(self._how_it_ended()) from None

    def _deliver(self) -> None:
        """Hand replies to those who wait for them, and tell all when there are no more."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            with self._lock:
                waiting = self._waiting.get(reply["call"])
            if waiting is not None:
                waiting.put(reply)
        with self._lock:
            self._ended = True
            for waiting in self._waiting.values():
                waiting.put(None)

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        return f"{SETTING}: vLLM ended with code {code} ({last_line(self._words) or 'it said nothing'})"
