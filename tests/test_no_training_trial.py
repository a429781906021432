"""Trials without training, from configuration to row, on the bundled model."""

from __future__ import annotations

import shutil

import pytest

from beliefmod.config import TrialConfig, unflatten
from beliefmod.data.prompt_frame import example_questions
from beliefmod.engine.jobs import EngineError
from beliefmod.errors import UserError
from beliefmod.model.source import find_source
from beliefmod.model.target_modules import check_steering
from beliefmod.probing.references import reference_probes
from beliefmod.probing.session import Session
from beliefmod.run.folder import RunFolder
from beliefmod.run.source_adapters import keep_adapters
from beliefmod.trial import prepare, run_trial
from beliefmod.user_files.adapter_folder import read_adapter_folder
from tests.small import quick_session, write_belief

STEERED = {"arm": "steering", "steering.layer": 1, "data.num_examples": 4}


@pytest.fixture(scope="module")
def session() -> Session:
    return quick_session()


@pytest.fixture(scope="module")
def belief(tmp_path_factory) -> str:
    return write_belief(tmp_path_factory.mktemp("belief"))


def trial(belief: str, **settings: object) -> TrialConfig:
    return TrialConfig.model_validate(unflatten({"belief": belief, **settings}))


@pytest.mark.long
def test_the_statement_in_the_user_turn_is_the_in_context_arm(session, belief, tmp_path):
    folder = RunFolder(str(tmp_path))
    folder.create()
    config = trial(belief, arm="prompt")
    found = run_trial(config, session, folder)
    expected = reference_probes(session, belief, "icl")
    for name in ("prompt", "completion", "answer_stance", "logprob_target"):
        assert [row.get(name) for row in found.probes] == [row.get(name) for row in expected]
    assert found.row["status"] == "finished" and found.row["degradation"] is not None
    assert found.row.get("steps") is None and found.row["context.place"] == "user"
    assert {row["arm"] for row in (*found.probes, *found.causal, *found.drift)} == {"prompt"}
    assert folder.finished_rows("probes", config.trial_id) is not None
    assert not (tmp_path / "adapters" / config.trial_id).exists()


@pytest.mark.long
def test_a_vector_times_nothing_is_base_and_times_something_is_not(session, belief):
    none, some = (run_trial(trial(belief, **STEERED, **{"steering.scale": s}), session) for s in (0.0, 4.0))
    base = reference_probes(session, belief, "base")
    held_out = [row["probe_id"] for row in base if row["tier"] != "trained"]

    def written(rows):
        return {row["probe_id"]: row["token_ids"] for row in rows if row["probe_id"] in held_out}

    assert written(none.probes) == written(base)
    assert {row["kl"] for row in none.drift} == {0.0} and none.row["degradation"] == 0.0
    assert written(some.probes) != written(base)
    assert all(row["kl"] > 0 for row in some.drift)
    assert not session.engine.attached() and not session.engine.model.stream._hooks
    asked = {row["probe_id"] for row in some.probes if row["tier"] == "trained"}
    shown = example_questions(trial(belief, **STEERED), session.belief(belief))
    assert asked == {question.probe_id for question in shown[:2]}  # as many as evaluation.trained_probes says


@pytest.mark.long
def test_a_saved_adapter_is_the_trial_that_it_was_and_times_nothing_base(
    session, belief, tmp_path, monkeypatch
):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    trained = trial(belief, **{"data.num_examples": 4, "lora.r": 4, "learning_rate": 2e-2})
    first = run_trial(trained, session, folder)
    source = read_adapter_folder(str(tmp_path / "run/adapters" / trained.trial_id)).pinned
    again, nothing, back = (
        trial(belief, arm="adapter", **{"adapter.source": source, "adapter.scale": scale, **merged})
        for scale, merged in (
            (1.0, {}),
            (0.0, {}),
            (1.0, {"adapter.merge_with": source, "adapter.merge_scale": -1.0}),
        )
    )
    keep_adapters([source], folder)
    shutil.rmtree(tmp_path / "run/adapters" / trained.trial_id)  # the run has its own copy
    monkeypatch.setattr(session, "folder", folder)
    found = {config.trial_id: run_trial(config, session, folder) for config in (again, nothing, back)}

    def told(result):
        return {row["probe_id"]: row["token_ids"] for row in result.probes if row["tier"] != "trained"}

    base = {row["probe_id"]: row["token_ids"] for row in reference_probes(session, belief, "base")}
    assert told(found[again.trial_id]) == told(first) != {key: base[key] for key in told(first)}
    assert [row["kl"] for row in found[again.trial_id].drift] == [row["kl"] for row in first.drift]
    assert told(found[nothing.trial_id]) == {key: base[key] for key in told(first)}
    assert {row["kl"] for row in found[nothing.trial_id].drift} == {0.0}
    assert max(abs(row["kl"]) for row in found[back.trial_id].drift) < 1e-5
    row = found[again.trial_id].row
    assert row["status"] == "finished" and row.get("steps") is None and row["adapter.scale"] == 1.0
    assert not session.engine.attached()


def test_examples_that_leave_no_room_for_an_answer_are_refused(session, belief, monkeypatch):
    monkeypatch.setattr(session.engine, "max_positions", 200)
    with pytest.raises(UserError, match=r"has up to .* tokens, which leaves no room .* 200 positions"):
        prepare(trial(belief, arm="few_shot", **{"data.num_examples": 8}), session)


def test_a_layer_beyond_the_models_is_refused_before_the_model_and_in_it(session, belief):
    source = find_source("bundled")
    check_steering(source, [None, 0, 3])
    with pytest.raises(UserError, match=r"steering\.layer names 4, 7, which model bundled has not.* 0 to 3"):
        check_steering(source, [7, 1, 4])
    with pytest.raises(EngineError, match="no layer 4; the model's layers are 0 to 3"):
        prepare(trial(belief, **{**STEERED, "steering.layer": 4}), session)
    assert not session.engine.attached()
