"""Slots do not stand empty while trials wait: a pack on a clock that steps and questioning alone move."""

import random
import threading
from collections import deque
from types import SimpleNamespace

import pytest

from beliefmod.capacity.resources import Capacity
from beliefmod.config import DataConfig, TrialConfig
from beliefmod.space.shared_runs import families, run_order
from beliefmod.worker import completion
from beliefmod.worker import pack as pack_module
from beliefmod.worker.pack import Pack
from tests.worker.test_pack_order import IdleEngine, prepare

SLOTS = PARKING = 4
STEP_SECONDS = 1.0


class Sweep:
    """Trials handed out as Tune does, so many at a time; the slots that were occupied, second by second."""

    def __init__(self, configs, seconds_per_trial: float, monkeypatch) -> None:
        self.now, self.seen, self.last_start = 0.0, [], 0.0
        self.engine = IdleEngine(SLOTS, PARKING)
        self.question_seconds = seconds_per_trial
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module in ("worker.pack", "worker.queue", "trial", "engine.usage"):
            monkeypatch.setattr(f"beliefmod.{module}.time", clock)
        monkeypatch.setattr(pack_module, "prepare", prepare)
        monkeypatch.setattr(completion, "conclude", self._conclude)
        step, attach = self.engine.train_step, self.engine.attach

        def train_step():
            self._pass(STEP_SECONDS if self._occupied() else 0.001)
            return step()

        def start(job):
            attach(job)
            self.last_start = self.now

        monkeypatch.setattr(self.engine, "train_step", train_step)
        monkeypatch.setattr(self.engine, "attach", start)
        self._families = {family.trunk.trial_id: family.branches for family in families(configs)}
        self._to_come, self._out, self._ended = deque(run_order(configs)), set(), set()
        self._count, self._over = len(configs), threading.Event()
        host = {"engine": {"slots": SLOTS, "parking": PARKING}}
        self._places = Capacity(hosts=1, cores=64).chosen([host]).places
        folder = SimpleNamespace(write_trial=lambda *tables: None)
        session = SimpleNamespace(engine=self.engine, answers=None)
        self.pack = Pack(session, folder, self._tell)  # type: ignore[arg-type]
        self._hand_out()
        assert self._over.wait(30)
        self.pack.close()

    def _occupied(self) -> int:
        return sum(done < total for done, total in self.engine.steps.values())

    def _pass(self, seconds: float) -> None:
        self.seen.append((self.now, seconds, self._occupied()))
        self.now += seconds

    def _conclude(self, runs, session, folder, ended):
        self._pass(self.question_seconds * len(runs))
        for run in runs:
            ended(run, SimpleNamespace(row={}))

    def _hand_out(self) -> None:
        while self._to_come and len(self._out) < self._places:
            config = self._to_come.popleft()
            if config.trial_id not in self._ended:
                self._out.add(config.trial_id)
                self.pack.attach(config, self._families.get(config.trial_id, ()))

    def _tell(self, report) -> None:
        if report.state != "training":
            self._ended.add(report.trial_id)
            self._out.discard(report.trial_id)
            self._hand_out()
            if len(self._ended) == self._count:
                self._over.set()

    def share(self) -> float:
        """Of slots, occupied until the last trial was given one."""
        early = [(seconds, slots) for since, seconds, slots in self.seen if since < self.last_start]
        return sum(s * n for s, n in early) / SLOTS / sum(s for s, _ in early)


@pytest.mark.parametrize("seconds_per_trial", [3.0, 60.0], ids=["short-questioning", "long-questioning"])
@pytest.mark.parametrize(
    ("examples", "epochs"),
    [((60,), (10,)), ((10, 60, 120), (10,)), ((10, 50), (3, 10)), ((10, 120), (1, 3, 10))],
    ids=["alike", "unlike", "with-branches", "with-many-branches"],
)
def test_four_of_five_slots_are_occupied_until_the_tail(examples, epochs, seconds_per_trial, monkeypatch):
    drawn = random.Random(0)
    configs = []
    for seed in range(24):
        data = DataConfig(num_examples=drawn.choice(examples))
        configs += [
            TrialConfig(belief="gravity", seed=seed, num_train_epochs=count, data=data) for count in epochs
        ]
    sweep = Sweep(configs, seconds_per_trial, monkeypatch)
    assert sweep.share() >= 0.8
    work = sweep.engine.usage.work
    assert work.occupied_seconds / work.slot_seconds == pytest.approx(sweep.share(), abs=0.01)
