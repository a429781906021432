"""A host: one Ray actor per GPU (on CPUs one per core) with an engine that runs a pack of trials."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.space import Evaluation


@dataclass(frozen=True)
class HostSettings:
    """What a host needs to build its engine. Plain values: they travel to another machine."""

    run_url: str
    model: str
    revision: str | None
    base_storage: str
    slots: int
    max_rank: int
    threads: int
    evaluation: Evaluation
    reference_seed: int


class PackHost:
    """Owned by the driver and never detached: it dies with the driver and frees its GPU.

    Trials attach by id and wait for reports; attaching again after a restart is how a trial survives one.
    """

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._pack: Any = None
        self._facts: dict[str, Any] = {}
        self._reports: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._building = asyncio.Lock()

    def __repr__(self) -> str:
        return f"PackHost({os.path.basename(self._settings.run_url)})"

    async def ready(self) -> dict[str, Any]:
        """Load the model and test the engine; what was loaded and found, for the manifest.

        Raises:
            UserError: the model cannot be loaded, or the self-test fails.
        """
        async with self._building:
            if self._pack is None:
                loop = asyncio.get_running_loop()
                self._pack, self._facts = await asyncio.to_thread(_build, self._settings, loop, self._deliver)
        return self._facts

    async def attach(self, config: dict[str, Any]) -> None:
        """Queue a trial (a `TrialConfig` as a mapping)."""
        await self.ready()
        trial = TrialConfig.model_validate(config)
        self._reports[trial.trial_id] = asyncio.Queue()
        self._pack.attach(trial)

    async def next(self, trial_id: str) -> dict[str, Any] | None:
        """Wait for a trial's next report; None if this host does not know the trial, so attach it again."""
        queue = self._reports.get(trial_id)
        if queue is None:
            return None
        report = await queue.get()
        while report["state"] == "training" and not queue.empty():
            report = queue.get_nowait()  # only the newest is of interest
        if report["state"] != "training":
            del self._reports[trial_id]
        return report

    async def detach(self, trial_id: str) -> None:
        """Forget a trial that was stopped."""
        self._reports.pop(trial_id, None)
        if self._pack is not None:
            self._pack.detach(trial_id)

    async def backlog(self) -> int:
        """Work ahead, in optimiser steps."""
        return self._pack.backlog() if self._pack is not None else 0

    async def close(self) -> None:
        """Stop the pack after the step under way."""
        if self._pack is not None:
            await asyncio.to_thread(self._pack.close)

    def _deliver(self, report: dict[str, Any]) -> None:
        queue = self._reports.get(report["trial_id"])
        if queue is not None:
            queue.put_nowait(report)


def _build(
    settings: HostSettings, loop: asyncio.AbstractEventLoop, deliver: Any
) -> tuple[Any, dict[str, Any]]:
    """Load model and engine (seconds to minutes) and start the pack; its reports arrive on the event loop."""
    import torch

    from beliefmod.drift import self_test
    from beliefmod.engine.engine import Engine
    from beliefmod.fleet.pack import Pack, Report
    from beliefmod.lab import Lab
    from beliefmod.model.load import load_model
    from beliefmod.run_folder import RunFolder

    torch.set_num_threads(settings.threads)
    loaded = load_model(settings.model, settings.revision, settings.base_storage)  # pyright: ignore[reportArgumentType]
    folder = RunFolder(settings.run_url)
    engine = Engine(loaded, settings.slots, settings.max_rank)
    lab = Lab(loaded, engine, settings.evaluation, settings.reference_seed, folder)

    def tell(report: Report) -> None:
        loop.call_soon_threadsafe(deliver, asdict(report))

    facts = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "base_storage": loaded.base_storage,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": _device_name(torch),
        "max_new_tokens": lab.max_new_tokens,
        "quantized_layers": len(loaded.quantized),
        "self_tests": self_test(lab),
    }
    return Pack(lab, folder, tell), facts


def _device_name(torch: Any) -> str:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
