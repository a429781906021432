"""A sweep: hosts on machines, one Tune trial per configuration, rows in a run folder."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from beliefmod.capacity.choose import Demand, demand
from beliefmod.capacity.lengths import assumed_tokens
from beliefmod.capacity.resources import Capacity
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.fleet.cluster import session
from beliefmod.fleet.hand_requests import take_requests
from beliefmod.fleet.host import PackHost
from beliefmod.fleet.hosts import (
    Fleet,
    pick_capability,
    release_trials,
    settle_limit,
    start_hosts,
    stop_hosts,
)
from beliefmod.fleet.progress import Progress
from beliefmod.fleet.rebalancing import balanced
from beliefmod.fleet.shutdown import Shutdown
from beliefmod.fleet.trackers import Trackers
from beliefmod.fleet.tuner import tune_trials
from beliefmod.fleet.vllm_actor import beside_vllm, running_vllm
from beliefmod.monitor.heartbeat import FOLDER as HEARTBEATS
from beliefmod.monitor.heartbeat import asked_so_far
from beliefmod.monitor.tally import Tally
from beliefmod.probing.decoding_words import not_applied_note
from beliefmod.probing.token_budget import TokenBudget, cut_warning
from beliefmod.run.by_hand import added_trials
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.integrity import clean, drop_kept, sound_rows
from beliefmod.run.lock import sole_driver
from beliefmod.run.manifest import kept_commit, kept_limit, update_manifest
from beliefmod.run.same_model import check_before_hosts
from beliefmod.run.seal.sessions import seal_asked, seal_session
from beliefmod.run.seal.trial_seals import TrialSeals
from beliefmod.run.sources import picks, read_pick
from beliefmod.run.suggestions import known_trials, unchosen
from beliefmod.space import Space
from beliefmod.trial import now
from beliefmod.worker.checkpoints import SECONDS
from beliefmod.worker.host_registry import HostRegistry
from beliefmod.worker.host_settings import HostSettings
from beliefmod.worker.usage_log import record_limit

MOST_ROUNDS_WITHOUT_RESULT = 3
"""So often Tune is started again without a single trial having ended; then the rest stays missing."""


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        interrupted: by Ctrl-C or SIGTERM, with trials left to run.
        stopped: by a scheduler or by hand.
        added: how many of all were added by hand.
        limit: how near it came to the machine's limit (`beliefmod.capacity.limit`); None when no host worked.
    """

    finished: int
    failed: int
    missing: int
    interrupted: bool
    wall_seconds: float
    limit: dict[str, Any] | None = None
    stopped: int = 0
    added: int = 0


def run_sweep(
    space: Space,
    folder: RunFolder,
    *,
    address: str | None,
    capacity: Capacity,
    dashboard: bool,
    quiet: bool,
    checkpoint_seconds: float = SECONDS,
    exit_message: str = "",
    host_class: type = PackHost,
    trackers: Trackers | None = None,
) -> Outcome:
    """Run every trial of the space that the folder does not hold as finished.

    Rows are written by the hosts as trials end; `trials.parquet` and the manifest are put together here, also
    after an interruption. Running it again on the same folder goes on where it stopped. What an earlier
    attempt left half-written is removed, and trials whose files are damaged run again.

    Args:
        checkpoint_seconds: how much work of a running trial may be lost.
        exit_message: said when a second Ctrl-C ends everything at once.
        host_class: what does the work; benchmarks of the fleet itself bring their own.

    Raises:
        UserError: no cluster at the address, another driver works on the folder, the model cannot be loaded,
            or a host's self-test fails.
        StorageTrouble: the folder cannot be written.
    """
    started, started_at = time.monotonic(), time.time()
    shutdown = Shutdown(exit_message)
    with shutdown.handling_signals(), sole_driver(folder):
        clean(folder)
        ended, damaged = sound_rows(folder)
        seals = TrialSeals(folder)
        seals.lost(damaged)
        seals.catch_up()
        by_hand: list[str] = []
        take_requests(folder, by_hand.append, lambda: _by_id(space, folder))
        trials = known_trials(space, folder)
        names = set(ended)
        todo = {config.trial_id: config for config in trials if config.trial_id not in names}
        to_choose = unchosen(space, folder)
        if something_to_do := bool(todo) or to_choose > 0:
            check_before_hosts(folder, space.spec, elsewhere=address is not None)
            share = space.shares_steps
            tally = Tally(todo, len(trials) - len(todo), share=share, unchosen=to_choose)
            progress = Progress(tally, quiet, lambda: asked_so_far(folder, started_at))
            for line in by_hand:
                progress.say(line)
            if damaged:
                progress.say(f"damaged files, so they run again: trials {', '.join(damaged)}")
            namespace = _namespace(folder)
            with ExitStack() as stack:
                stack.enter_context(_shown_as_running(folder))
                with shutdown.holding_interrupts():
                    cluster = stack.enter_context(session(address, namespace, dashboard))
                _check_enough(capacity, cluster, address, progress)
                capacity = replace(capacity.on(cluster), own_ray=address is None)
                by_vllm = space.spec.evaluation.engine == "vllm"
                if by_vllm:
                    capacity = beside_vllm(capacity, int(cluster.get("GPU", 0)))
                # random trials stand for those that a search will choose
                drawn = space.expected()[len(space.trials()) :][:to_choose] if to_choose else []
                wanted = demand([*todo.values(), *drawn], space, capacity, assumed_tokens(space))
                settings = _settings(space, folder, capacity, wanted, started_at, checkpoint_seconds)
                if by_vllm:
                    adapters = "lora" in space.possible("arm")
                    stack.enter_context(running_vllm(settings, capacity, adapters, progress.say))
                fleet = start_hosts(settings, capacity, namespace, host_class, progress.warn)
                stack.callback(stop_hosts, fleet)
                registry = HostRegistry(
                    folder, started_at, fleet.names, progress.say, progress.warn, shutdown.refuse
                )
                stack.callback(registry.close)
                registry.open(next(iter(fleet.facts)), fleet.first)
                capacity = replace(capacity, hosts=len(fleet.hosts)).chosen([*fleet.facts.values()])
                _note_hosts(folder, fleet, capacity)
                if left_out := not_applied_note(fleet.first.get("decoding") or {}):
                    progress.say(left_out)
                _settle_limit(space, folder, fleet, progress)
                pick_capability(fleet)
                seal_asked(folder)
                _warn_of_cuts(folder, progress)
                progress.announce(cluster.get("dashboard"), capacity)
                stack.callback(progress.close)
                stack.enter_context(balanced(fleet))
                run_to_the_end(space, todo, folder, fleet, capacity, progress, shutdown, trackers)
        trials = known_trials(space, folder)
        TrialSeals(folder).catch_up()
        folder.assemble(config.trial_id for config in trials)
        limit = record_limit(folder, started_at, time.monotonic() - started) if something_to_do else None
        outcome = _outcome(trials, unchosen(space, folder), folder, time.monotonic() - started)
        drop_kept(folder, everything=not outcome.missing)
        if not outcome.missing:
            folder.delete(HEARTBEATS)
        return replace(outcome, limit=limit)


@contextmanager
def _shown_as_running(folder: RunFolder) -> Iterator[None]:
    """Let the manifest say so, also of a run that is gone on with; where nothing can run it says that."""
    seal_session(folder)
    folder.delete(HEARTBEATS)  # of an earlier session, which would pass for newer if the clock was set back
    update_manifest(folder, status="running", session_started_at=now())
    try:
        yield
    except UserError:
        update_manifest(folder, status="interrupted")
        raise


def _check_enough(
    capacity: Capacity, cluster: Mapping[str, Any], address: str | None, progress: Progress
) -> None:
    """This machine will not grow; a cluster may, so there hosts wait and it is said.

    Raises:
        UserError: more was asked for than this machine has.
    """
    if excess := capacity.excess(cluster):
        if address is None or (capacity.hosts_per_gpu > 1 and not cluster.get("GPU")):
            raise UserError(excess)
        progress.say(f"{excess} (the others wait until the cluster has more)")


def _note_hosts(folder: RunFolder, fleet: Fleet, capacity: Capacity) -> None:
    apart = ("self_tests", "engine", "machine", "accelerators", "remark", "versions")
    model = {name: value for name, value in fleet.first.items() if name not in apart}
    update_manifest(
        folder,
        model={
            **(folder.read_json(MANIFEST).get("model") or {}),
            **model,
        },  # what it said of the version stays
        self_tests=fleet.first["self_tests"],
        hosts=capacity.hosts,
        slots=capacity.slots,
        engine=fleet.first.get("engine", {}),
    )


def _settle_limit(space: Space, folder: RunFolder, fleet: Fleet, progress: Progress) -> None:
    """Where nobody names a token limit, find it and write it down, for later hosts and for resume."""
    if kept_limit(folder) is not None:
        return
    progress.say("asking base a few questions, to find out how long its answers are")
    found = settle_limit(fleet, space.spec.beliefs)
    if found is not None:
        model = folder.read_json(MANIFEST).get("model") or {}
        update_manifest(folder, model={**model, "max_new_tokens": found["limit"]}, token_budget=found)
        progress.say(f"answers have at most {found['limit']:,} tokens, {TokenBudget(**found).words()}")


def _warn_of_cuts(folder: RunFolder, progress: Progress) -> None:
    """Say it where base's own answers are cut: those to the general questions, and those of the pilot."""
    manifest = folder.read_json(MANIFEST)
    limit = (manifest.get("model") or {}).get("max_new_tokens") or 0
    asked_first = [read_pick(folder, template) or {} for template in picks(folder)]
    finish = [answer["finish_reason"] for pick in asked_first for answer in pick.get("answers", ())]
    pilot = manifest.get("token_budget") or {"cut": 0, "asked": 0}
    cut, asked = finish.count("length") + pilot["cut"], len(finish) + pilot["asked"]
    if warning := cut_warning(cut, asked, limit):
        progress.warn(warning)


def run_to_the_end(
    space: Space,
    todo: Mapping[str, TrialConfig],
    folder: RunFolder,
    fleet: Fleet,
    capacity: Capacity,
    progress: Progress,
    shutdown: Shutdown,
    trackers: Trackers | None = None,
) -> None:
    """Have Tune run the trials, and those that a search chooses; where it gives up on some, run those again.

    Tune ends a trial whose process has died a few times, and Tune 2.60 itself ends with an exception on some
    deaths (a trial killed for memory) and when its own files cannot be written. Rows tell what is left.

    Raises:
        StorageTrouble: the folder cannot be written.
    """
    before = {trial_id: state for trial_id, state in folder.states().items() if trial_id in todo}
    left, without_progress, attempted = dict(todo), 0, set(todo)
    known = len(known_trials(space, folder))
    while (left or unchosen(space, folder)) and without_progress < MOST_ROUNDS_WITHOUT_RESULT:
        error: Exception | None = None
        try:
            with shutdown.during_fit(lambda: release_trials(fleet)):
                tune_trials(
                    list(left.values()),
                    space,
                    folder,
                    fleet,
                    capacity,
                    progress,
                    shutdown,
                    trackers,
                )
        except Exception as caught:
            error = caught
        shutdown.check()
        if shutdown.interrupted:
            return
        take_requests(folder, progress.say, lambda: _by_id(space, folder))
        now_there = folder.states()
        trials = known_trials(space, folder)
        remaining = {
            config.trial_id: config
            for config in trials
            if now_there.get(config.trial_id) == before.get(config.trial_id)
        }
        folder.probe()  # an exception may have been the disk's
        advanced = len(remaining) < len(left) or len(trials) > known
        without_progress, known = 0 if advanced else without_progress + 1, len(trials)
        # those that were added by hand when Tune had been given all others
        added = remaining.keys() & {config.trial_id for config in added_trials(folder)} - attempted
        attempted |= added
        if again := len(remaining) - len(added):
            why = "".join(traceback.format_exception_only(error)).strip() if error else "their processes died"
            progress.say(f"{again} trials ended without a result ({why}); they run again")
        left = remaining
        if left and error and without_progress == MOST_ROUNDS_WITHOUT_RESULT:
            raise error


def _by_id(space: Space, folder: RunFolder) -> dict[str, TrialConfig]:
    return {config.trial_id: config for config in known_trials(space, folder)}


def _namespace(folder: RunFolder) -> str:
    """Ray's name for this run alone: folders of one name, such as two runs' confirmations, stay apart."""
    path = folder.storage_path.rstrip("/")
    return f"{path.rpartition('/')[2]}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _settings(
    space: Space,
    folder: RunFolder,
    capacity: Capacity,
    wanted: Demand,
    started_at: float,
    checkpoint_seconds: float,
) -> HostSettings:
    return HostSettings(
        run_url=folder.storage_path,
        model=space.spec.model,
        revision=kept_commit(folder, space),
        base_storage=space.spec.base_storage,
        slots=capacity.slots,
        max_rank=space.max_rank,
        threads=capacity.threads,
        evaluation=space.spec.evaluation,
        scheduler=space.spec.scheduler,
        reference_seed=space.spec.seeds[0],
        checkpoint_seconds=checkpoint_seconds,
        demand=wanted,
        started_at=started_at,
        chat=space.spec.chat,
    )


def _outcome(trials: Sequence[TrialConfig], to_choose: int, folder: RunFolder, seconds: float) -> Outcome:
    states = folder.states()
    ends = [states[each.trial_id].status if each.trial_id in states else "missing" for each in trials]
    missing = ends.count("missing") + to_choose  # what is missing tells, not how Tune returned
    finished, failed, stopped = (ends.count(name) for name in ("finished", "failed", "stopped"))
    added = len(added_trials(folder))
    return Outcome(finished, failed, missing, missing > 0, seconds, stopped=stopped, added=added)
