"""Trials that end where damage passes a limit: which adapter is kept, what the row says, and the same alone
and in a pack."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from beliefmod import trial as trial_module
from beliefmod.config import DataConfig, TrialConfig
from beliefmod.run.folder import RunFolder
from beliefmod.space.shared_runs import families
from beliefmod.trial import prepare, release, run_trial, stop_where_damaged
from beliefmod.worker.checkpoints import Checkpoints
from beliefmod.worker.pack import Pack
from tests.small import quick_session, small_trial, write_belief
from tests.worker.test_milestones import Owner

LIMIT = 0.05


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=2, parking=2)


def trial(path: str, **changes) -> TrialConfig:
    """Batches of 4 and 2: two steps per epoch."""
    settings = {"data": DataConfig(num_examples=6), "num_train_epochs": 4, "learning_rate": 2e-3}
    return small_trial(path, **{**settings, "stop_at_degradation": LIMIT, **changes})


def damages(monkeypatch, *values: float | None) -> list[list[str]]:
    """What is measured at the end of each epoch; the trials that were asked, by call."""
    calls: list[list[str]] = []

    def measured(configs, session):
        calls.append([config.trial_id for config in configs])
        value = values[min(len(calls), len(values)) - 1]
        return [SimpleNamespace(value=value, by="integrity") for _ in configs]

    monkeypatch.setattr(trial_module, "quick_damage", measured)
    return calls


def weights(session, config: TrialConfig, epochs: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """An adapter after so many epochs of plain training."""
    run = prepare(config, session)
    try:
        session.engine.attach(run.job)
        while len(run.steps) < epochs * config.steps_per_epoch:
            for report in session.engine.train_step():
                run.note(report)
        return session.engine.state_dict(config.trial_id)["weights"]
    finally:
        release(run, session)


def trained(session, config: TrialConfig):
    """The run of a trial with its limit, and its adapter at the end."""
    run = prepare(config, session)
    try:
        session.engine.attach(run.job)
        while run.trained_at is None:
            for report in session.engine.train_step():
                run.note(report)
            stop_where_damaged([run], session)
        return run, session.engine.state_dict(config.trial_id)
    finally:
        release(run, session)


def same(one, other) -> bool:
    pairs = ((one[name][side], other[name][side]) for name in one for side in (0, 1))
    return one.keys() == other.keys() and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("values", "kept", "taken"),
    [((0.0, 0.04, 0.2), 2, 3), ((0.0, 0.05, 0.05, 0.06), 3, 4), ((0.02, None, 0.3), 2, 3)],
)
def test_the_adapter_of_the_last_epoch_below_the_limit_is_kept(
    session, tmp_path, monkeypatch, values, kept, taken
):
    config = trial(write_belief(tmp_path))
    damages(monkeypatch, *values)
    run, state = trained(session, config)
    assert (run.kept_epoch, len(run.steps)) == (kept, 2 * taken)
    assert state["step"] == 2 * kept and state["moments"] is None
    assert same(state["weights"], weights(session, config, kept))
    assert f"after epoch {taken} of 4 is above 0.05; the adapter of epoch {kept} is kept" in run.stop_reason
    assert [row.get("quick_degradation") for row in run.steps[1::2]] == list(values[:taken])


def test_damage_in_the_first_epoch_leaves_base(session, tmp_path, monkeypatch):
    damages(monkeypatch, 0.5)
    run, state = trained(session, trial(write_belief(tmp_path)))
    assert run.kept_epoch == 0 and all(not b.any() for _, b in state["weights"].values())


def test_without_damage_it_trains_to_the_end(session, tmp_path, monkeypatch):
    config = trial(write_belief(tmp_path))
    calls = damages(monkeypatch, 0.0)
    run, state = trained(session, config)
    assert len(calls) == 4 and run.stop_reason is None and len(run.steps) == config.total_steps
    assert same(state["weights"], weights(session, config, 4))
    assert trained(session, trial(write_belief(tmp_path), stop_at_degradation=None)) and len(calls) == 4


def test_alone_and_in_a_pack_the_row_says_when_and_why(session, tmp_path, monkeypatch):
    config = trial(write_belief(tmp_path))
    damages(monkeypatch, 0.0, 0.3)
    alone = run_trial(config, session).row
    assert alone["status"] == "finished" and alone["kept_epoch"] == 1 and alone["steps"] == 4
    assert alone["stop_reason"].startswith("D 0.300 by integrity after epoch 2 of 4")
    rows = len(prepare(config, session).job.rows)
    assert alone["training_rows"] == rows
    plain = prepare(config.model_copy(update={"num_train_epochs": 1}), session)
    assert alone["fact_tokens"] == plain.fact_tokens

    damages(monkeypatch, 0.0, 0.3)
    owner, folder = Owner(), RunFolder(str(tmp_path / "run"))
    folder.create()
    checkpoints = Checkpoints(folder, "base", seconds=0.0)
    pack = Pack(session, folder, owner, checkpoints=checkpoints)
    pack.attach(config)
    packed = owner.wait(1)[config.trial_id].row
    pack.close()
    assert packed is not None
    told = ("kept_epoch", "stop_reason", "steps", "final_loss", "fact_tokens", "adoption", "degradation")
    assert {name: packed[name] for name in told} == {name: alone[name] for name in told}
    # it is begun anew after a restart, and does the same
    assert not list((tmp_path / "run").rglob(f"{config.trial_id}.safetensors"))


def test_damage_is_measured_against_base(session, tmp_path):
    """Nothing is damaged by an adapter that adds nothing, and much by one that breaks the model."""
    path = write_belief(tmp_path)
    for rate, broken in ((1e-12, False), (0.3, True)):
        config = trial(path, learning_rate=rate, num_train_epochs=1)
        run, _ = trained(session, config)
        assert (run.stop_reason is not None) == broken
        assert (run.steps[-1]["quick_degradation"] > 0.3) == broken


def test_what_may_end_early_shares_no_steps_and_full_has_no_limit(tmp_path):
    path = write_belief(tmp_path)
    lengths = [trial(path, num_train_epochs=epochs) for epochs in (2, 4)]
    assert len(families(lengths)) == 2
    assert len(families([c.model_copy(update={"stop_at_degradation": None}) for c in lengths])) == 1
    full = [trial(path, arm="full", stop_at_degradation=limit).trial_id for limit in (None, LIMIT)]
    assert full[0] == full[1]
