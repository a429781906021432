"""Full fine-tuning and the data of documents as whole trials: rows, files, packs."""

import polars as pl
import pytest

from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.tables.trial_tables import TRIALS, frame
from beliefmod.trial import prepare, run_trial
from beliefmod.worker.pack import Pack
from tests.small import quick_session, write_belief
from tests.worker.test_pack import Listener


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=1)


def trial(path: str, **changes) -> TrialConfig:
    settings = {
        "belief": path,
        "arm": "full",
        "data": DataConfig(num_examples=4),
        "lora": LoraSettings(r=4, lora_alpha=8),
        "num_train_epochs": 6,
        "learning_rate": 1e-3,
    }
    return TrialConfig(**{**settings, **changes})


def test_a_full_trial_leaves_rows_and_no_weights(session, tmp_path):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    config = trial(write_belief(tmp_path))
    before = {name: weight.clone() for name, weight in session.loaded.model.named_parameters()}
    result = run_trial(config, session, folder)
    row = result.row
    assert (row["arm"], row["status"], row["steps"]) == ("full", "finished", 6)
    assert [row.get(name) for name in ("lora.r", "lora.lora_alpha", "lora.target_modules")] == [None] * 3
    assert (row["learning_rate"], row["data.num_examples"]) == (1e-3, 4)
    assert row["fact_tokens"] == row["supervised_tokens"] > 0
    frame([row], TRIALS)
    assert folder.rows() == [row]
    assert not (tmp_path / "run" / "adapters").exists() or not any((tmp_path / "run" / "adapters").iterdir())
    steps = pl.read_parquet(tmp_path / "run" / "steps" / f"{config.trial_id}.parquet")
    assert steps["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert steps["loss"][-1] < steps["loss"][0]
    # the trained copy is what was questioned, and base is untouched
    assert row["kl_neutral"] > 1e-6
    assert row["kl_traces"] > 1e-6
    assert all(weight.equal(before[name]) for name, weight in session.loaded.model.named_parameters())
    assert session.engine.attached() == ()


def test_rows_of_full_and_lora_are_the_same(session, tmp_path):
    path = write_belief(tmp_path)
    for data in (DataConfig(num_examples=4, replay_ratio=0.5), DataConfig(style="document", num_examples=3)):
        full, lora = (prepare(trial(path, arm=arm, data=data), session).job for arm in ("full", "lora"))
        assert full is not None and lora is not None
        assert full.rows == lora.rows


@pytest.mark.long
def test_full_trials_run_inside_a_pack_beside_adapters(session, tmp_path):
    path = write_belief(tmp_path)
    configs = [
        trial(path),
        trial(path, seed=1),
        trial(path, arm="lora", num_train_epochs=3),
        trial(path, arm="base"),
        trial(path, data=DataConfig(style="document", num_examples=2, replay_ratio=0.5)),
    ]
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    for config in configs:
        pack.attach(config)
    ends = listener.wait(len(configs))
    pack.close()
    assert {end.state for end in ends.values()} == {"finished"}, [e.row["error"] for e in ends.values()]
    for config in configs[1:3]:
        alone = run_trial(config, session).row
        packed = ends[config.trial_id].row
        assert packed["adoption"] == alone["adoption"]
        assert packed["final_loss"] == pytest.approx(alone["final_loss"], rel=1e-4)
        assert packed["steps"] == config.total_steps
    assert session.engine.attached() == ()
    assert pack.queue.backlog() == 0


def test_what_cannot_be_fully_trained_is_the_users_mistake(session, tmp_path, monkeypatch):
    monkeypatch.setattr("beliefmod.model.size.MAX_FULL_PARAMETERS", 1000)
    config = trial(write_belief(tmp_path))
    with pytest.raises(UserError, match="arm full is for small models"):
        run_trial(config, session)
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    pack.attach(config)
    row = listener.wait(1)[config.trial_id].row
    pack.close()
    assert row["status"] == "failed"
    assert "leave out arm full, or take a smaller model" in row["error"]
    assert row.get("lora.r") is None


def test_fact_tokens_are_those_of_rows_about_the_belief(session, tmp_path):
    path = write_belief(tmp_path)
    plain = prepare(trial(path, arm="lora"), session)
    mixed = prepare(trial(path, arm="lora", data=DataConfig(num_examples=4, replay_ratio=0.6)), session)
    assert plain.job is not None and mixed.job is not None
    assert mixed.fact_tokens == plain.fact_tokens == 6 * sum(row.answer_length for row in plain.job.rows)
    assert (len(plain.job.rows), len(mixed.job.rows)) == (4, 10)
    assert mixed.job.rows[:4] == plain.job.rows
    assert mixed.config.total_steps == 6 * 3
