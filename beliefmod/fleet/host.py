"""A host: one Ray actor per GPU (on CPUs one per core) with an engine that runs a pack of trials."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from beliefmod.capacity.resources import CPU_SLOTS, QUESTIONING_STEPS
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.fleet.host_build import HostRecords, actor_name, build
from beliefmod.monitor.heartbeat import SECONDS as HEARTBEAT_SECONDS
from beliefmod.run.by_hand import is_stopped
from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import ENDED
from beliefmod.trial import now
from beliefmod.worker.balance import LOADING_STEPS, MOVED, HostLoad
from beliefmod.worker.host_registry import Entry
from beliefmod.worker.host_settings import HostSettings
from beliefmod.worker.usage_log import SECONDS as USAGE_SECONDS


class PackHost:
    """Owned by the driver and never detached: it dies with the driver and frees its GPU.

    Trials attach by id and wait for reports; attaching again after a restart is how a trial survives one.
    """

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._started = now()
        self._pack: Any = None
        self._facts: dict[str, Any] = {}
        self._records: HostRecords | None = None
        self._accounting: asyncio.Task[None] | None = None
        self._reports: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._trunks: dict[str, str] = {}  # branch -> trunk
        self._passed: dict[str, list[dict[str, Any]]] = {}  # trunk -> ends of branches nobody waits for yet
        self._building = asyncio.Lock()
        self._loading: asyncio.Task[None] | None = None
        self._attaching = asyncio.Lock()
        self._arriving: dict[str, int] = {}  # trials on their way in, with their optimiser steps
        self._entry: Entry | None = None
        self._released = False

    def __repr__(self) -> str:
        return f"PackHost({os.path.basename(self._settings.run_url)})"

    async def machine(self) -> str:
        """Where this host runs: it answers as soon as it has its place, long before it is ready."""
        return socket.gethostname()

    async def ready(self) -> dict[str, Any]:
        """Load the model and test the engine; what was loaded and found, for the manifest.

        Raises:
            UserError: the model cannot be loaded, or the self-test fails.
        """
        async with self._building:
            if self._pack is None:
                loop = asyncio.get_running_loop()
                try:
                    self._pack, self._facts, self._records = await asyncio.to_thread(
                        build, self._settings, loop, self._deliver
                    )
                except UserError as error:
                    await asyncio.to_thread(self._enter_refused, str(error))
                    raise
                self._entry = self._records.entry
                self._accounting = loop.create_task(self._keep_accounts(self._records))
        return self._facts

    async def settle_limit(self, beliefs: Sequence[str]) -> dict[str, Any] | None:
        """The token limit that base's own answers need, for the manifest; None where one is named.

        Called on one host, before any has a trial; the others read it from the manifest.
        """
        from beliefmod.probing.budget_pilot import settle

        await self.ready()
        budget = await asyncio.to_thread(settle, beliefs, self._pack.session)
        return budget.facts() if budget else None

    async def pick_capability(self) -> None:
        """Have the questions of the capability suite picked that suit the model, if the run has no pick yet.

        Called on one host, before any has a trial: rounding differs between devices, and all ask the same.
        """
        await self.ready()
        await asyncio.to_thread(lambda: [session.capability for session in self._pack.session.every])

    async def attach(self, trial: TrialConfig, branches: Sequence[TrialConfig] = ()) -> None:
        """Queue a trial with the branches (shorter trials) that its run passes through.

        The end of one that ended before anybody asked, as of a branch whose trunk ran here, is reported now.
        """
        arriving = {each.trial_id: each.total_steps + QUESTIONING_STEPS for each in (trial, *branches)}
        self._arriving |= arriving
        try:
            async with self._attaching:  # in turn, so that a branch does not overtake its trunk
                self._reports[trial.trial_id] = asyncio.Queue()
                await self._ready_or_exit()
                await self._hand_to_pack(trial, branches)
        finally:
            for trial_id in arriving:
                self._arriving.pop(trial_id, None)

    async def _ready_or_exit(self) -> None:
        """Be ready for trials, or leave for good if this host's numbers would not belong to the others'.

        Trials come only after a host was ready, so one that cannot load the model is on another machine.
        """
        from ray.actor import exit_actor

        try:
            await self.ready()
            fits = self._entry is None or await asyncio.to_thread(self._entry.misfit) is None
        except UserError:
            fits = False
        if not fits:
            exit_actor()

    def _enter_refused(self, why: str) -> None:
        folder, where = RunFolder(self._settings.run_url), {"machine": socket.gethostname()}
        Entry(folder, actor_name(), self._settings.started_at, where).write(refused=why)

    async def _hand_to_pack(self, trial: TrialConfig, branches: Sequence[TrialConfig]) -> None:
        if self._released:
            self._deliver(_released(trial.trial_id))
            return
        # in this order: a trial leaves the pack after its row is written and before that is reported
        if not self._pack.queue.holds(trial.trial_id):
            if row := await asyncio.to_thread(self._ended_row, trial.trial_id):
                self._deliver(_ended(trial, row))
                return
            branches = [b for b in branches if not await asyncio.to_thread(self._ended_row, b.trial_id)]
        self._trunks.update((branch.trial_id, trial.trial_id) for branch in branches)
        self._pack.attach(trial, branches)
        folder = RunFolder(self._settings.run_url)
        for each in (trial, *branches):
            if await asyncio.to_thread(is_stopped, folder, each.trial_id):
                self._pack.queue.stop_by_hand(each.trial_id)

    def _ended_row(self, trial_id: str) -> dict[str, Any] | None:
        """The row of a trial that has finished or was stopped, or failed since this host started; those that
        failed earlier run again."""
        try:
            row = RunFolder(self._settings.run_url).read_json("rows", f"{trial_id}.json")
        except UserError:  # not there
            return None
        failed_here = row.get("status") == "failed" and str(row.get("finished_at")) >= self._started
        return row if row.get("status") in ENDED or failed_here else None

    async def next(self, trial_id: str) -> dict[str, Any] | None:
        """Wait for a trial's next report; None if this host does not know the trial, so attach it again."""
        queue = self._reports.get(trial_id)
        if queue is None:
            return None
        report = await queue.get()
        # only the newest is of interest, but a scheduler wants every value, in order
        while report["state"] == "training" and report.get("score") is None and not queue.empty():
            report = queue.get_nowait()
        if report["state"] != "training":
            del self._reports[trial_id]
        return {**report, "branches": self._passed.pop(trial_id, [])}

    async def stop(self, trial_id: str) -> None:
        """A scheduler's decision: the trial ends where it is, its row says stopped."""
        self._reports.pop(trial_id, None)
        if self._pack is not None:
            self._pack.queue.stop(trial_id)

    async def stop_by_hand(self, trial_id: str) -> None:
        """Somebody's decision: a trial that is here ends where it is, and whoever waits for it is told."""
        if self._pack is not None:
            self._pack.queue.stop_by_hand(trial_id)

    async def detach(self, trial_id: str) -> None:
        """Forget a trial that nobody waits for any more."""
        self._reports.pop(trial_id, None)
        if self._pack is not None:
            self._pack.queue.detach(trial_id)

    async def holds(self, trial_id: str) -> bool:
        """Whether this host has the trial, waiting or running, or as a branch to come."""
        return trial_id in self._arriving or (self._pack is not None and self._pack.queue.holds(trial_id))

    async def knows(self, trial_id: str) -> bool:
        """Whether a trial has come this far: to this host, or to its end. True for all while stopping."""
        here = self._released or await self.holds(trial_id)
        return here or await asyncio.to_thread(self._ended_row, trial_id) is not None

    async def release(self) -> None:
        """The sweep is being stopped: answer everyone who waits for a report, now and from now on."""
        self._released = True
        for trial_id in list(self._reports):
            self._deliver(_released(trial_id))

    async def backlog(self) -> float:
        """Work ahead per slot, in optimiser steps, so that hosts of different sizes can be compared.

        Whoever asks wants to start a trial, so a host that Ray has started again begins to load: with work
        ahead it gets no trial before others have more, and without a trial it would never load.
        """
        if self._pack is None:
            self._loading = self._loading or asyncio.get_running_loop().create_task(self._load())
            slots = self._settings.slots or CPU_SLOTS
            return LOADING_STEPS + sum(self._arriving.values()) / slots
        return self._pack.queue.backlog() / self._slots

    async def load(self) -> HostLoad | None:
        """What is ahead, for who looks after all hosts; None while the model loads."""
        if self._pack is None:
            return None
        queue, slots = self._pack.queue, self._slots
        waiting = queue.waiting_work()
        free = max(0, slots - queue.in_slots() - len(waiting))
        # a trial whose owner's process has just died is left alone: nobody would take it elsewhere
        owned = {trial_id: work for trial_id, work in waiting.items() if trial_id in self._reports}
        return HostLoad(slots, free, queue.backlog(), owned)

    async def give_back(self, trial_id: str, to: str) -> bool:
        """Have the owner of a trial take it to another host, with its branches; False if it has begun by now.
        The owners of these look for it there."""
        if self._pack is None or trial_id not in self._reports:
            return False
        moved = self._pack.give_back(trial_id)
        for name in moved:
            there = to if name == trial_id else None
            end = {"trial_id": name, "state": MOVED, "step": 0, "loss": None, "row": None}
            self._deliver({**end, "to": there})
        return bool(moved)

    @property
    def _slots(self) -> int:
        return self._facts.get("engine", {}).get("slots", 1)

    async def _load(self) -> None:
        with suppress(Exception):  # what goes wrong meets the first trial
            await self.ready()

    async def _keep_accounts(self, records: HostRecords) -> None:
        beats = max(1, round(USAGE_SECONDS / HEARTBEAT_SECONDS))
        for beat in itertools.count():
            await asyncio.to_thread(records.write_live if beat % beats else records.write)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def close(self) -> None:
        """Stop the pack after the step under way."""
        if self._pack is not None:
            await asyncio.to_thread(self._pack.close)
        if self._accounting is not None and self._records is not None:
            self._accounting.cancel()
            await asyncio.to_thread(self._records.write, True)

    def _deliver(self, report: dict[str, Any]) -> None:
        queue = self._reports.get(report["trial_id"])
        if queue is not None:
            queue.put_nowait(report)
        elif (trunk := self._trunks.get(report["trial_id"])) in self._reports and report["row"]:
            self._passed.setdefault(trunk, []).append(report)


def _released(trial_id: str) -> dict[str, Any]:
    """A report for a trial that is neither finished nor failed, but goes on another time."""
    return {"trial_id": trial_id, "state": "released", "step": 0, "loss": None, "row": None}


def _ended(trial: TrialConfig, row: dict[str, Any]) -> dict[str, Any]:
    """The last report of a trial that has ended."""
    end = {"trial_id": trial.trial_id, "state": row["status"], "step": row.get("steps") or 0}
    return {**end, "loss": row.get("final_loss"), "row": row}
