"""Prefix sharing in a pack: a branch is what a separate run would be, and is trained by its trunk alone."""

import math
import time

import pytest
import torch
from safetensors.torch import load_file

from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.run.folder import RunFolder
from beliefmod.space.shared_runs import families, own_steps
from beliefmod.trial import run_trial
from beliefmod.worker.checkpoints import Checkpoints
from beliefmod.worker.pack import Pack
from tests.small import quick_session, small_trial, write_belief
from tests.worker.test_pack import Listener

pytestmark = pytest.mark.slow
TIMES = {"train_seconds", "evaluate_seconds", "finished_at"}


def trial(path: str, epochs: int, **changes) -> TrialConfig:
    """Two steps per epoch, on the schedule that lets trials share their steps."""
    settings = {
        "data": DataConfig(style="answer_only", num_examples=6),
        "num_train_epochs": epochs,
        "learning_rate": 2e-3,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 3,
    }
    return small_trial(path, **{**settings, **changes})


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=2, parking=2)


class Ran:
    """A pack that ran some families to their ends in a folder of its own, and the steps it took."""

    def __init__(self, session, folder: RunFolder, configs, monkeypatch, disturb=None) -> None:
        self.folder, self.taken = folder, {}
        folder.create()
        step = session.engine.train_step

        def counted():
            reports = step()
            for report in reports:
                self.taken[report.trial_id] = self.taken.get(report.trial_id, 0) + 1
                if disturb:
                    disturb(report)
            return reports

        listener = Listener()
        with monkeypatch.context() as patch:
            patch.setattr(session.engine, "train_step", counted)
            pack = Pack(session, folder, listener)
            for family in families(configs):
                pack.attach(family.trunk, family.branches)
            self.ends = listener.wait(len(configs))
            pack.close()
        assert session.engine.attached() == ()

    def table(self, kind: str, config: TrialConfig):
        return self.folder.read_frame(kind, f"{config.trial_id}.parquet")

    def weights(self, config: TrialConfig) -> dict[str, torch.Tensor]:
        return load_file(f"{self.folder.root}/adapters/{config.trial_id}/adapter_model.safetensors")


def alone(config: TrialConfig, session, folder: RunFolder):
    folder.create()
    return run_trial(config, session, folder).row


def assert_same_as_alone(ran: Ran, config: TrialConfig, session, folder: RunFolder) -> None:
    row, mine = alone(config, session, folder), ran.ends[config.trial_id].row
    assert row.keys() == mine.keys()
    for name in row.keys() - TIMES:
        expected = row[name]
        if isinstance(expected, float):
            expected = pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert mine[name] == expected, name
    separate = {kind: folder.read_frame(kind, f"{config.trial_id}.parquet") for kind in ("probes", "causal")}
    for kind, rows in separate.items():
        for name in ("trial_id", "completion", "answer_stance"):
            assert ran.table(kind, config)[name].to_list() == rows[name].to_list(), (kind, name)
    expected, steps = folder.read_frame("steps", f"{config.trial_id}.parquet"), ran.table("steps", config)
    for name in ("trial_id", "step", "learning_rate"):
        assert steps[name].to_list() == expected[name].to_list()
    for name in ("loss", "grad_norm"):
        assert steps[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-3)
    path = f"{folder.root}/adapters/{config.trial_id}/adapter_model.safetensors"
    theirs, ours = load_file(path), ran.weights(config)
    assert theirs.keys() == ours.keys()
    size = math.sqrt(sum(float(tensor.square().sum()) for tensor in theirs.values()))
    error = math.sqrt(sum(float((theirs[name] - ours[name]).square().sum()) for name in theirs))
    assert error < 1e-4 * size


def test_branches_equal_separate_runs_and_cost_no_steps(session, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    configs = [
        *(trial(path, epochs) for epochs in (4, 1, 2)),
        *(trial(path, epochs, arm="control", lora=LoraSettings(r=8)) for epochs in (2, 3)),
        trial(path, 3, lr_scheduler_type="cosine"),
    ]
    ran = Ran(session, RunFolder(str(tmp_path / "run")), configs, monkeypatch)
    taken = {trial_id: steps for trial_id, steps in own_steps(configs).items() if steps}
    assert ran.taken == taken
    for config in (configs[1], configs[3]):
        assert_same_as_alone(ran, config, session, RunFolder(str(tmp_path / "alone")))
        assert ran.table("steps", config).height == 2 * config.num_train_epochs


def test_a_trunk_that_diverges_keeps_the_branches_it_passed(session, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    first, second, trunk = configs = [trial(path, epochs) for epochs in (1, 2, 4)]

    def poison(report) -> None:
        if report.trial_id == trunk.trial_id and report.step == 3:
            session.engine.pack.theta[session.engine.attached().index(trunk.trial_id)].fill_(math.nan)

    ran = Ran(session, RunFolder(str(tmp_path / "run")), configs, monkeypatch, poison)
    assert {c.num_train_epochs: ran.ends[c.trial_id].state for c in configs} == {
        1: "finished", 2: "finished", 4: "failed",
    }  # fmt: skip
    assert "not finite at step 4 of 8" in ran.ends[trunk.trial_id].row["error"]
    # the second was not reached, so it was run by itself, from its beginning
    assert ran.taken == {trunk.trial_id: 4, second.trial_id: 4}
    assert_same_as_alone(ran, first, session, RunFolder(str(tmp_path / "alone")))


def test_a_parked_branch_survives_its_host(session, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    branch, trunk = configs = [trial(path, epochs) for epochs in (1, 200)]
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    monkeypatch.setattr("beliefmod.worker.pack.PATIENCE", 1e9)  # the branch stays parked, unquestioned
    listener = Listener()
    first = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base"))
    first._questioning_took = 1.0
    first.attach(trunk, (branch,))
    kept = [f"checkpoints/{config.trial_id}.safetensors" for config in configs]
    wait_until(lambda: folder.exists(kept[0]))
    first.close()  # keeps the trunk too, wherever it is
    assert folder.exists(kept[1]) and not listener.ends
    for trial_id in session.engine.attached():
        session.engine.release(trial_id)
    taken: dict[str, int] = {}
    step = session.engine.train_step

    def counted():
        reports = step()
        for report in reports:
            taken[report.trial_id] = taken.get(report.trial_id, 0) + 1
        return reports

    monkeypatch.setattr(session.engine, "train_step", counted)
    second = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base"))
    second.attach(trunk, (branch,))
    found = listener.wait(1)
    second.close()
    for trial_id in session.engine.attached():
        session.engine.release(trial_id)
    assert found[branch.trial_id].state == "finished"
    assert branch.trial_id not in taken and taken[trunk.trial_id] < trunk.total_steps
    assert found[branch.trial_id].row["steps"] == branch.total_steps
    expected = alone(branch, session, RunFolder(str(tmp_path / "alone")))
    assert found[branch.trial_id].row["final_loss"] == pytest.approx(expected["final_loss"], rel=1e-3)


def wait_until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
