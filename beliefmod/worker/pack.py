"""A pack at work: trials wait, join a slot, train side by side, are questioned, and report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import NoFreeSlot, StepReport
from beliefmod.errors import StorageTrouble
from beliefmod.probing.session import Session
from beliefmod.run.folder import RunFolder
from beliefmod.space import NoScheduler, Scheduler
from beliefmod.trial import TrialFailed, TrialRun, prepare, release, stop_where_damaged
from beliefmod.worker.checkpoints import Checkpoints
from beliefmod.worker.completion import Report, TrialCompletion
from beliefmod.worker.milestones import epoch_now, is_due, measure
from beliefmod.worker.queue import TrialQueue, TrialSnapshot, snapshot
from beliefmod.worker.trial_log import TrialLogs

REPORT_SECONDS = 2.0
# trained trials wait for company at most this many times as long as questioning took last: small batches then
# cost a tenth at most, and no row is held back for long
PATIENCE = 10


class Pack:
    """Runs attached trials on one engine in a thread of its own, longest first, and reports their progress.

    A trial may bring branches: shorter trials that differ only in epochs, whose last step its own run passes
    (`beliefmod.space.shared_runs`). There a copy of the adapter is parked under the branch's id; finished
    trials are parked too, so that their slots are free at once, and what is parked is questioned together;
    training stands still meanwhile, for both want all of the machine and of its memory.

    `send` is called from that thread, at most every `REPORT_SECONDS` per trial, and once at its end. Whatever
    goes wrong in a trial ends that trial alone, as a row with status failed. With `checkpoints`, trials go on
    where an earlier attempt left them; with `logs`, every trial's events are written down.

    Attributes:
        queue: what waits and runs; owners ask it, and tell it which trials to detach or stop.
    """

    def __init__(
        self,
        session: Session,
        folder: RunFolder,
        send: Callable[[Report], None],
        scheduler: Scheduler | None = None,
        checkpoints: Checkpoints | None = None,
        logs: TrialLogs | None = None,
    ) -> None:
        self.session, self.send, self._checkpoints = session, send, checkpoints
        self.scheduler = scheduler or NoScheduler()
        self.queue = TrialQueue(keeps_branches=session.engine.parking > 0)
        self._logs = logs
        self._ends = TrialCompletion(
            session, folder, self.queue, self._send_last, self.scheduler, checkpoints, logs
        )
        self._questioning_took = 0.0
        self._sent_at: dict[str, float] = {}
        self._trouble: StorageTrouble | None = None
        self._thread = threading.Thread(target=self._work, name="pack", daemon=True)
        self._thread.start()

    def attach(self, config: TrialConfig, branches: Sequence[TrialConfig] = ()) -> None:
        """Queue a trial with the branches that its run passes through; attaching twice changes nothing.

        On an engine without parking places branches are trials like any other.
        """
        if not self.queue.holds(config.trial_id):
            self._ends.note(config, "waiting")
        self.queue.attach(config, branches)
        if self._trouble is not None:
            self._give_back(self._trouble)

    def give_back(self, trial_id: str) -> list[str]:
        """Take a trial that has not begun out, with its branches, to be run elsewhere: their ids, or none."""
        configs = self.queue.give_back(trial_id)
        for config in configs:
            self._ends.note(config, "moved")
        return [config.trial_id for config in configs]

    def snapshots(self) -> list[TrialSnapshot]:
        """The trials that run, as they are now. From any thread."""
        return [snapshot(run, self._ends.questioned) for run in self.queue.running()]

    def close(self) -> None:
        """Stop after the step under way."""
        self.queue.close()
        self._thread.join(timeout=60)

    def _work(self) -> None:
        try:
            while self._work_to_do():
                self._turn()
            if self._checkpoints is not None:
                self._checkpoints.close(self.queue.running(), self.session.engine)
        except StorageTrouble as trouble:
            self._trouble = trouble
            self._give_back(trouble)

    def _turn(self) -> None:
        try:
            self._drop_left()
            self._admit()
            self._train()
            self._count_slots()
            for run in self.queue.running():
                self._park(run)
            self._checkpoint()
            self._admit()  # a slot just left is filled before questioning, which may last long
            self._question()
            self._end_stopped()
        except StorageTrouble:
            raise
        except Exception as error:
            # a bug of ours: it ends the trials under way, but a pack that stood still would stop everybody
            for run in self.queue.running():
                self._ends.fail(run.config, run, error)

    def _give_back(self, trouble: StorageTrouble) -> None:
        """Nothing can be kept any more, and that is no trial's fault: all go back to their owners as they
        are, to be run another time."""
        for config in self.queue.take_all():
            row = {"error": trouble.sentence}
            self._ends.note(config, "storage", error=trouble.sentence)
            self.send(Report(config.trial_id, "storage", 0, config.total_steps, None, row))

    def _work_to_do(self) -> bool:
        """Sleep until there is some; False once the pack is closed."""
        with self.session.engine.usage.timed("idle"):
            return self.queue.wait_for_work()

    def _end_stopped(self) -> None:
        for run in self.queue.take_stopped():
            self._ends.stop(run)
        for run in self.queue.take_stopped_by_hand():
            self._ends.stop(run, by_hand=True)

    def _drop_left(self) -> None:
        self._end_stopped()
        for run in self.queue.take_left():
            self._ends.note(run.config, "left", step=len(run.steps))
            release(run, self.session)

    def _admit(self) -> None:
        """Begin arms on base alone, which need no slot, at once, then the trials with the most steps."""
        while (config := self.queue.next_ready(self.session.engine.has_room)) is not None:
            try:
                run = self._start(config)
            except NoFreeSlot:  # memory has run short since there seemed to be room
                self.queue.put_back(config)
                return
            except Exception as error:
                self._ends.fail(config, None, error)
                continue
            self.queue.start(run)
            if config.has_adapter:
                self._count_slots(started=True)
            self._park(run)  # a run that came back from a checkpoint may stand where a branch ends

    def _count_slots(self, started: bool = False) -> None:
        engine, running = self.session.engine, self.queue.running()
        training = sum(run.config.has_adapter and run.trained_at is None for run in running)
        engine.usage.slots_hold(training, engine.slots, started)

    def _start(self, config: TrialConfig) -> TrialRun:
        """Prepare a trial and give it its slot."""
        self._ends.note(config, "preparing")
        run = prepare(config, self.session)
        if run.job is None:
            return run
        if run.leakage and run.leakage.warning:
            self._ends.note(config, "leakage", warning=run.leakage.warning)
        # one that may end early starts anew: which epoch it would keep is in no checkpoint
        kept = self._checkpoints if config.has_adapter and config.stop_at_degradation is None else None
        if kept is not None and kept.resume(run, self.session.engine):
            self._ends.note(config, "resumed", step=len(run.steps))
        else:
            self.session.engine.attach(run.job)
            self._ends.note(config, "started", rows=len(run.job.rows), steps=config.total_steps)
        return run

    def _train(self) -> None:
        """One optimiser step of everything that trains."""
        try:
            reports = self.session.engine.train_step()
        except Exception as error:
            # a shared step does not tell whose fault it is; the pack must live on for the next trials
            for run in [run for run in self.queue.running() if run.job and run.trained_at is None]:
                self._ends.fail(run.config, run, error)
            return
        went_well: list[tuple[TrialRun, StepReport]] = []
        for report in reports:
            run = self.queue.run_of(report.trial_id)
            assert run is not None
            try:
                run.note(report)
            except TrialFailed as error:
                self._ends.fail(run.config, run, error)
            else:
                went_well.append((run, report))
                self._note_step(run, report)
        self._together(partial(stop_where_damaged, session=self.session), [run for run, _ in went_well])
        self._report_steps(went_well)

    def _report_steps(self, steps: Sequence[tuple[TrialRun, StepReport]]) -> None:
        """Report steps that went well: those at which a scheduler looks, others now and then."""
        values = self._values([run for run, _ in steps if is_due(self.scheduler, run)])
        moment = time.monotonic()
        for run, report in steps:
            value = values.get(report.trial_id)
            quiet_for = moment - self._sent_at.get(report.trial_id, 0.0)
            if value is None and (quiet_for < REPORT_SECONDS or report.finished):
                continue
            self._sent_at[report.trial_id] = moment
            epoch = None if value is None else epoch_now(run.config, report.step)
            progress = (report.trial_id, "training", report.step, report.total_steps, report.loss, None)
            self.send(Report(*progress, epoch, value))

    def _values(self, runs: Sequence[TrialRun]) -> dict[str, float | None]:
        """What a scheduler compares, by trial."""
        values: dict[str, float | None] = {}

        def take(group: Sequence[TrialRun]) -> None:
            measured = measure(self.scheduler, group, self.session)
            values.update(zip((run.config.trial_id for run in group), measured, strict=True))

        self._together(take, runs)
        return values

    def _together(self, work: Callable[[Sequence[TrialRun]], None], runs: Sequence[TrialRun]) -> None:
        """Do work for all runs at once; if that fails, for those left one by one, and end those for which it
        fails."""
        if not runs:
            return
        try:
            work(runs)
        except StorageTrouble:
            raise
        except Exception as error:
            if len(runs) == 1:
                self._ends.fail(runs[0].config, runs[0], error)
                return
            for run in runs:
                if self.queue.run_of(run.config.trial_id) is run:
                    self._together(work, [run])

    def _park(self, run: TrialRun) -> None:
        """Park a copy for every branch just reached, and the adapter once it is trained. Where parking is
        full, those that are parked are questioned first."""
        engine, trial_id = self.session.engine, run.config.trial_id
        if not engine.parking or not run.config.has_adapter:
            return
        try:
            for branch in self.queue.reached(run):
                self._make_room()
                self.queue.branch_off(run, branch, partial(engine.park, trial_id, branch.trial_id))
                self._ends.note(branch, "branched", trunk=trial_id, step=len(run.steps))
            if run.trained_at is not None and trial_id not in engine.parked():
                self._make_room()
                if self.queue.run_of(trial_id):  # else it has just been questioned with the others
                    engine.park(trial_id)
                    self._ends.note(run.config, "parked")
        except Exception as error:
            self._ends.fail(run.config, run, error)

    def _checkpoint(self) -> None:
        """Keep what would be lost with this process: what was just trained, the rest every so often."""
        if self._checkpoints is not None:
            adapters = [run for run in self.queue.running() if run.job and run.config.has_adapter]
            runs = [run for run in adapters if run.config.stop_at_degradation is None]
            self._checkpoints.keep(runs, self.session.engine)

    def _make_room(self) -> None:
        if not self.session.engine.parking_room():
            self._question_now(self._ready())

    def _ready(self) -> list[TrialRun]:
        """Runs that can be questioned, short ones first, so that a trunk reports after its branches."""
        ready = [run for run in self.queue.running() if not run.job or run.trained_at is not None]
        return sorted(ready, key=lambda run: run.config.total_steps)

    def _question(self) -> None:
        """Question what is ready, together, unless it pays to wait for more."""
        ready = self._ready()
        if ready and not self._may_wait(ready):
            self._question_now(ready)

    def _may_wait(self, ready: Sequence[TrialRun]) -> bool:
        """Whether more may join: all of them are parked, in nobody's way and nobody's reference, others
        train or are about to, and none has waited so long that its person would rather see it."""
        engine, parked = self.session.engine, self.session.engine.parked()
        if not engine.parking_room() or any(run.config.trial_id not in parked for run in ready):
            return False
        training = len(self.queue.running()) - len(ready)
        if not training:
            return self.queue.waiting() > 0
        # the emptier the slots, the less there is to come, or the more they need those that Tune holds back
        patience = PATIENCE * self._questioning_took * min(1.0, training / engine.slots)
        return time.monotonic() - min(run.trained_at or 0.0 for run in ready) < patience

    def _question_now(self, runs: Sequence[TrialRun]) -> None:
        started = time.monotonic()
        self._together(self._ends.finish, runs)
        self._questioning_took = time.monotonic() - started

    def _send_last(self, report: Report) -> None:
        self._sent_at.pop(report.trial_id, None)
        self.send(report)

    def _note_step(self, run: TrialRun, report: StepReport) -> None:
        if self._logs is None:
            return
        if report.finished:
            self._ends.note(run.config, "trained", step=report.step, loss=report.loss)
        else:
            self._logs.note_step(report.trial_id, report.step, report.loss)
