"""The pack's comings and goings on an engine that computes nothing: whatever joins, fails or leaves, every
trial ends once, with its own steps, and no step is taken twice."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from beliefmod.config import DataConfig, TrialConfig
from beliefmod.engine.jobs import AdapterJob, EngineError, NoFreeSlot, StepReport
from beliefmod.engine.usage import Usage
from beliefmod.errors import StorageTrouble
from beliefmod.space.shared_runs import families, own_steps
from beliefmod.trial import TrialRun
from beliefmod.worker import completion as completion
from beliefmod.worker import pack as pack_module
from beliefmod.worker.pack import Pack


@dataclass
class IdleEngine:
    """Slots and parking places with the rules of the real ones. `breaks`: trial_id -> step that fails."""

    slots: int
    parking: int
    breaks: dict[str, int] = field(default_factory=dict)
    steps: dict[str, list[int]] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    def has_room(self, config: TrialConfig) -> bool:
        return len(self.steps) < self.slots

    def attach(self, job: AdapterJob) -> None:
        if not self.has_room(job.config):
            raise NoFreeSlot("full")
        assert job.trial_id not in self.attached()
        self.steps[job.trial_id] = [0, job.config.total_steps]

    def train_step(self) -> list[StepReport]:
        reports = []
        for trial_id, counts in self.steps.items():
            done, total = counts
            if done == total:
                continue
            counts[0] = done = done + 1
            self.taken[trial_id] = self.taken.get(trial_id, 0) + 1
            error = "not finite" if self.breaks.get(trial_id) == done else None
            if error:
                counts[1] = done
            reports.append(
                StepReport(trial_id, done, total, 0.5, 1e-3, 1.0, done == total or bool(error), error)
            )
        return reports

    def park(self, trial_id: str, as_trial_id: str | None = None) -> None:
        if not self.parking_room():
            raise NoFreeSlot("parking is full")
        done, total = self.steps[trial_id]
        if as_trial_id is None:
            if done < total:
                raise EngineError("steps left")
            del self.steps[trial_id]
        name = as_trial_id or trial_id
        assert name not in self.attached()
        self.places.append(name)

    def parking_room(self) -> int:
        return self.parking - len(self.places)

    def parked(self) -> tuple[str, ...]:
        return tuple(self.places)

    def attached(self) -> tuple[str, ...]:
        return (*self.steps, *self.places)

    def release(self, trial_id: str) -> None:
        if trial_id in self.places:
            self.places.remove(trial_id)
        else:
            del self.steps[trial_id]


class Ends:
    """What the pack told, and what it questioned together."""

    def __init__(self) -> None:
        self.reports, self.batches, self.changed = [], [], threading.Condition()
        self.goes_wrong: set[str] = set()

    def tell(self, report) -> None:
        with self.changed:
            if report.state != "training":
                self.reports.append(report)
            self.changed.notify()

    def conclude(self, runs, session, folder, ended):
        self.batches.append([run.config.trial_id for run in runs])
        for run in runs:
            if run.job:
                assert run.config.trial_id in session.engine.attached()
                assert {step["trial_id"] for step in run.steps} == {run.config.trial_id}
        for run in runs:
            trial_id = run.config.trial_id
            row = SimpleNamespace(row={"trial_id": trial_id, "steps": len(run.steps)})
            ended(run, ValueError("no table") if trial_id in self.goes_wrong else row)

    def wait(self, count: int) -> dict:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.reports) >= count, timeout=5)
            return {report.trial_id: report for report in self.reports}


def prepare(config: TrialConfig, session) -> TrialRun:
    rows = (SimpleNamespace(input_ids=(1,)),) * config.data.total_rows
    return TrialRun(config, AdapterJob(config.trial_id, config, rows) if config.is_trained else None, ())  # type: ignore[arg-type]


@pytest.fixture
def ends(monkeypatch):
    found = Ends()
    monkeypatch.setattr(pack_module, "prepare", prepare)
    monkeypatch.setattr(completion, "conclude", lambda *arguments: found.conclude(*arguments))
    monkeypatch.setattr(completion, "failed_row", lambda config, session, error: {"error": error})
    return found


def start(engine: IdleEngine, ends: Ends) -> Pack:
    folder = SimpleNamespace(write_trial=lambda *tables: None)
    return Pack(SimpleNamespace(engine=engine, answers=None), folder, ends.tell)  # type: ignore[arg-type]


def trial(epochs: int, seed: int = 0, **changes) -> TrialConfig:
    data = DataConfig(num_examples=6)  # two steps per epoch
    return TrialConfig(belief="gravity", seed=seed, num_train_epochs=epochs, data=data, **changes)


trials = st.lists(
    st.builds(trial, st.integers(1, 6), st.integers(0, 2))
    | st.builds(lambda belief: TrialConfig(belief=belief, arm="base"), st.sampled_from("ab")),
    min_size=1,
    max_size=12,
    unique_by=lambda config: config.trial_id,
)


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(trials, st.integers(1, 3), st.integers(0, 3), st.data())
def test_every_trial_ends_once_with_its_own_steps(ends, configs, slots, parking, data):
    ends.reports, ends.batches = [], []
    trained = [config for config in configs if config.is_trained]
    breaks = data.draw(st.dictionaries(st.sampled_from(trained), st.integers(1, 12))) if trained else {}
    engine = IdleEngine(slots, parking, {c.trial_id: step for c, step in breaks.items()})
    pack = start(engine, ends)
    for family in families(configs):
        pack.attach(family.trunk, family.branches)
    found = ends.wait(len(configs))
    pack.close()
    assert len(ends.reports) == len(configs)
    assert engine.attached() == () and pack.queue.backlog() == 0
    failing = {
        c.trial_id for c, step in breaks.items() if step <= c.total_steps and c.trial_id in engine.taken
    }
    assert {trial_id for trial_id, report in found.items() if report.state == "failed"} <= failing
    for config in configs:
        report = found[config.trial_id]
        if report.state == "finished":
            assert report.row["steps"] == report.step == config.total_steps
    if parking and not failing:
        assert engine.taken == {trial_id: steps for trial_id, steps in own_steps(configs).items() if steps}


def test_trained_adapters_are_questioned_together_and_slots_are_refilled(ends, monkeypatch):
    monkeypatch.setattr(pack_module, "PATIENCE", 1e9)
    engine = IdleEngine(slots=1, parking=3)
    pack = start(engine, ends)
    pack._questioning_took = 1.0
    configs = [trial(epochs, seed) for seed in range(2) for epochs in (1, 2, 3)]
    for family in families(configs):
        pack.attach(family.trunk, family.branches)
    ends.wait(6)
    pack.close()
    assert [len(batch) for batch in ends.batches] == [3, 3]


def test_a_reference_is_not_kept_waiting(ends, monkeypatch):
    monkeypatch.setattr(pack_module, "PATIENCE", 1e9)
    pack = start(IdleEngine(slots=1, parking=3), ends)
    pack._questioning_took = 1.0
    pack.attach(trial(10_000))
    pack.attach(TrialConfig(belief="gravity", arm="base"))
    [end] = ends.wait(1).values()
    assert end.state == "finished" and end.total_steps == 0
    pack.queue.detach(trial(10_000).trial_id)
    pack.close()


def test_branches_of_a_trunk_that_leaves_are_run_by_themselves(ends):
    engine = IdleEngine(slots=1, parking=2)
    pack = start(engine, ends)
    short, middle, endless = trial(1), trial(5_000), trial(10_000)
    pack.attach(endless, (middle, short))
    ends.wait(1)
    assert pack.queue.holds(middle.trial_id) and not pack.queue.holds(short.trial_id)
    pack.queue.detach(endless.trial_id)
    found = ends.wait(2)
    pack.close()
    assert found[middle.trial_id].row["steps"] == middle.total_steps
    assert endless.trial_id not in found


def test_a_detached_branch_is_not_made(ends):
    engine = IdleEngine(slots=1, parking=2)
    pack = start(engine, ends)
    blocker, trunk, branch = trial(2_000, seed=1), trial(3), trial(1)
    pack.attach(blocker)
    pack.attach(trunk, (branch,))
    pack.queue.detach(branch.trial_id)
    found = ends.wait(2)
    pack.close()
    assert set(found) == {blocker.trial_id, trunk.trial_id}


def test_branches_behind_a_restored_run_are_run_by_themselves(ends, monkeypatch):
    engine = IdleEngine(slots=1, parking=2)
    behind, at, ahead, trunk = (trial(epochs) for epochs in (1, 2, 3, 4))

    def restored(pack: Pack, config: TrialConfig) -> TrialRun:
        run = prepare(config, None)
        engine.attach(run.job)  # type: ignore[arg-type]
        if config == trunk:
            engine.steps[config.trial_id][0] = at.total_steps
            run.steps = [{"trial_id": config.trial_id}] * at.total_steps
        return run

    monkeypatch.setattr(Pack, "_start", restored)
    pack = start(engine, ends)
    pack.attach(trunk, (behind, at, ahead))
    ends.wait(4)
    pack.close()
    # the second epoch's end is where the checkpoint was taken, so that branch needs no run of its own
    assert engine.taken == {trunk.trial_id: 4, behind.trial_id: 2}


def test_branches_are_given_back_with_their_trunk_when_nothing_can_be_kept(ends, monkeypatch):
    def disk_full(*arguments):
        raise StorageTrouble("runs/x: cannot be written (No space left on device)")

    monkeypatch.setattr(ends, "conclude", disk_full)
    pack = start(IdleEngine(slots=1, parking=2), ends)
    configs = [trial(1), trial(5_000), trial(10_000), trial(3, seed=1)]
    for family in families(configs):
        pack.attach(family.trunk, family.branches)
    found = ends.wait(4)
    pack.close()
    assert {trial_id: report.state for trial_id, report in found.items()} == {
        config.trial_id: "storage" for config in configs
    }
    assert len(ends.reports) == 4


def test_a_trial_whose_answers_cannot_be_read_fails_alone_and_nobody_is_asked_twice(ends, monkeypatch):
    monkeypatch.setattr(pack_module, "PATIENCE", 1e9)
    engine = IdleEngine(slots=1, parking=3)
    pack = start(engine, ends)
    pack._questioning_took = 1.0
    configs = [trial(1, seed) for seed in range(3)]
    ends.goes_wrong = {configs[1].trial_id}
    for config in configs:
        pack.attach(config)
    found = ends.wait(3)
    pack.close()
    states = {trial_id: report.state for trial_id, report in found.items()}
    assert states == {c.trial_id: "failed" if c == configs[1] else "finished" for c in configs}
    assert "no table" in found[configs[1].trial_id].row["error"]
    assert len(ends.reports) == 3 and engine.attached() == ()
    first, *others = ends.batches
    assert set(first) == {c.trial_id for c in configs} and others == [[configs[1].trial_id]]
