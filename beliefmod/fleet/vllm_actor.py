"""vLLM in a sweep: one Ray actor that has it in a process of its own, and answers for all hosts.

Hosts hand it adapters and questions, and get answers as they end. It is started before the hosts and ended
after them. Lost, it is started again by Ray, and what it had not answered is asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayTaskError

from beliefmod.capacity.granted import granted_cores, granted_memory
from beliefmod.engine.jobs import Completion, EngineError
from beliefmod.errors import UserError
from beliefmod.fleet.devices import allocate_devices
from beliefmod.fleet.hosts import HOST_LOST
from beliefmod.vllm.environment import SETTING, cache_gib, check_vllm, vllm_python
from beliefmod.vllm.process import AdapterFiles, How, Question, VllmEnded, VllmProcess

if TYPE_CHECKING:
    from beliefmod.capacity.resources import Capacity
    from beliefmod.worker.host_settings import HostSettings

NAME = "beliefmod-vllm"
ATTEMPTS, WAIT_SECONDS = 5, 2.0
"""So often questions are asked again when the actor was lost, and after how long."""
GPU_MARGIN = 0.9
"""Part of its share of a GPU that vLLM is told to fill."""


class VllmActor:
    """Owns vLLM's process; ends with the driver."""

    def __init__(self, settings: HostSettings, has_adapters: bool) -> None:
        self._settings, self._has_adapters = settings, has_adapters
        self._process: VllmProcess | None = None
        self._starting = threading.Lock()

    def ready(self) -> dict[str, Any]:
        """Start vLLM, unless it runs; its version, and the tokens that its memory holds.

        Raises:
            UserError: it cannot answer for the model.
        """
        process = self._running()
        return {"version": process.version, "max_model_len": process.max_model_len}

    def ask(
        self, questions: Sequence[Question], adapters: AdapterFiles, how: How
    ) -> Iterator[tuple[int, Completion]]:
        """`VllmProcess.ask`."""
        yield from self._running().ask(questions, adapters, how)

    def close(self) -> None:
        """End vLLM."""
        if self._process is not None:
            self._process.close()

    def _running(self) -> VllmProcess:
        with self._starting:
            if self._process is None or not self._process.alive:
                self._process = self._start()
            return self._process

    def _start(self) -> VllmProcess:
        import torch

        from beliefmod.model.plain_checkpoint import plain_checkpoint
        from beliefmod.model.source import find_source

        settings = self._settings
        allocation = allocate_devices(settings.demand.memory_share)
        allocation.check()
        source = find_source(settings.model, settings.revision, settings.chat)
        # hosts that share a machine's memory take their parts of what is left
        free = allocation.free_bytes() if allocation.on_gpu else granted_memory()[1]
        check_vllm(source, self._has_adapters, free, allocation.on_gpu)
        device = torch.device(allocation.device)
        dtype = torch.bfloat16 if allocation.on_gpu else torch.float32
        place = plain_checkpoint(source, settings.base_storage, device, dtype)  # pyright: ignore[reportArgumentType]
        if allocation.on_gpu:
            torch.cuda.empty_cache()
            sizes: dict[str, Any] = {"memory_share": GPU_MARGIN * settings.demand.memory_share}
        else:
            sizes = {
                "cache_gib": cache_gib(free),
                "threads": granted_cores(),
            }
        rank = settings.max_rank if self._has_adapters else 0
        return VllmProcess(vllm_python(), place, str(dtype).removeprefix("torch."), rank, **sizes)


def ask_actor(
    questions: Sequence[Question], adapters: AdapterFiles, how: How
) -> Iterator[tuple[int, Completion]]:
    """Have the sweep's vLLM answer, from a host: completions as they end, with the index of their question.

    Raises:
        EngineError: vLLM refuses a question, or ended or was lost again and again over these.
        UserError: it cannot be started again.
    """
    left, ended = dict(enumerate(questions)), None
    for _ in range(ATTEMPTS):
        numbers = list(left)
        try:
            actor: Any = ray.get_actor(NAME)
            asked: Any = actor.ask.options(num_returns="streaming").remote(list(left.values()), adapters, how)
            for reference in asked:
                place, completion = ray.get(reference)
                del left[numbers[place]]
                yield numbers[place], completion
            if not left:
                return
        except RayTaskError as error:
            if isinstance(error.cause, VllmEnded):  # killed before its actor, perhaps: both are started again
                ended = error.cause
            elif isinstance(error.cause, (EngineError, UserError)):
                raise error.cause from None
            elif not isinstance(error, HOST_LOST):
                raise
        except (*HOST_LOST, ValueError):  # the second: it is being started again
            pass
        time.sleep(WAIT_SECONDS)
    raise ended or EngineError(f"vLLM was lost {ATTEMPTS} times over the same questions (out of memory?)")


def vllm_facts() -> dict[str, Any]:
    """What the sweep's vLLM says of itself, for a host."""
    actor: Any = ray.get_actor(NAME)
    return ray.get(actor.ready.remote())


@contextmanager
def running_vllm(
    settings: HostSettings, capacity: Capacity, has_adapters: bool, say: Callable[[str], None]
) -> Iterator[None]:
    """Have the sweep's vLLM run within the block, started at its beginning.

    Raises:
        UserError: it cannot answer for the model.
    """
    say("starting vLLM, which writes the answers")
    kind: Any = ray.remote(VllmActor)
    resources = {"num_gpus": capacity.gpu_share, "num_cpus": 0} if capacity.gpus else {"num_cpus": 0}
    actor = kind.options(name=NAME, max_restarts=-1, max_concurrency=64, **resources).remote(
        settings, has_adapters
    )
    try:
        try:
            ray.get(actor.ready.remote())
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except HOST_LOST as error:
            raise UserError(
                f"{SETTING}: vLLM was ended from outside as it started (out of memory?)"
            ) from error
        yield
    finally:
        ray.wait([actor.close.remote()], timeout=10.0)
        ray.kill(actor)


def beside_vllm(capacity: Capacity, gpus: int) -> Capacity:
    """Hosts that leave vLLM a place: on a CPU all of them, for they wait while it answers; of several GPUs
    one less, and of one GPU a half."""
    if not capacity.gpus:
        return capacity
    places = gpus * capacity.hosts_per_gpu
    if places == 1:
        return replace(capacity, hosts=1, hosts_per_gpu=2)
    return replace(capacity, hosts=max(1, min(capacity.hosts, places - 1)))
