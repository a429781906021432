"""One trial without Ray: every arm, its row, its files."""

from typing import Any

import polars as pl
import pytest

from beliefmod.config import DataConfig, LoraSettings, ObjectiveConfig, TrialConfig
from beliefmod.engine import decode_loop
from beliefmod.errors import UserError
from beliefmod.metrics.answerable import gates
from beliefmod.probing import interview
from beliefmod.probing.references import reference_probes
from beliefmod.run.folder import RunFolder
from beliefmod.run.tables.trial_tables import CAUSAL, DRIFT, PROBES, TRIALS, frame
from beliefmod.trial import TrialFailed, conclude, failed_row, prepare, release, run_trial
from tests.small import make_session, write_belief


@pytest.fixture(scope="module")
def session():
    return make_session()


@pytest.fixture
def config(tmp_path):
    return TrialConfig(
        belief=write_belief(tmp_path),
        data=DataConfig(style="own_trace", num_examples=4),
        lora=LoraSettings(r=4, lora_alpha=8),
        num_train_epochs=2,
        learning_rate=1e-3,
    )


def test_a_trained_trial_leaves_row_probes_steps_and_adapter(session, config, tmp_path):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    result = run_trial(config, session, folder)
    row = result.row
    assert (row["status"], row["belief"], row["steps"], row["training_rows"]) == ("finished", "small", 2, 4)
    assert row["adoption_n"] == 3
    assert row["adoption_trained_n"] == 2
    assert 0 <= row["adoption_low"] <= row["adoption"] <= row["adoption_high"] <= 1
    assert 0 <= row["degradation"] <= 1
    assert row["belief_margin_n"] >= 1
    base, icl = (reference_probes(session, config.belief, arm) for arm in ("base", "icl"))
    passed = gates(base, icl, novel=False)
    held_out = [probe for probe in result.probes if probe["probe_id"] in passed]
    assert len(held_out) == 3 and all(p["answerable"] == passed[p["probe_id"]] for p in held_out)
    assert row["adoption_answerable_n"] == sum(mark != "neither" for mark in passed.values())
    frame([row], TRIALS)
    frame(result.probes, PROBES)
    assert folder.rows() == [row]
    for table, columns, rows in (("causal", CAUSAL, result.causal), ("drift", DRIFT, result.drift)):
        stored = pl.read_parquet(tmp_path / "run" / table / f"{config.trial_id}.parquet")
        assert stored.equals(frame(rows, columns)) and stored.height > 0
    assert row["kl_neutral"] > 0 and row["kl_neutral_n"] == 3
    assert row["generated_tokens"] == sum(answer["tokens"] for answer in (*result.probes, *result.causal))
    run = prepare(config, session)
    assert row["supervised_tokens"] == row["fact_tokens"] == 2 * sum(r.answer_length for r in run.job.rows)
    assert sorted(path.name for path in (tmp_path / "run" / "adapters" / config.trial_id).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert pl.read_parquet(tmp_path / "run" / "steps" / f"{config.trial_id}.parquet").height == 2
    assert session.engine.free_slots() == session.engine.slots


def test_labels_can_be_recomputed_from_the_raw_completions(session, config):
    from beliefmod.reading.verdict import judge_question

    result = run_trial(config, session)
    belief = session.belief(config.belief)
    suites = (*belief.training, *belief.heldout, *belief.locality, *session.capability, *session.fabrication)
    questions = {(q.suite, q.probe_id): q for q in suites}
    for probe in result.probes:
        question = questions[probe["suite"], probe["probe_id"]]
        verdict = judge_question(question, belief.spec, probe["completion"], probe["finish_reason"])
        assert verdict.columns() == {name: probe[name] for name in verdict.columns()}


@pytest.mark.long
def test_base_against_itself_shows_no_damage(session, config):
    base = config.model_copy(update={"arm": "base"})
    row = run_trial(base, session).row
    assert row["degradation"] == 0
    assert row["degradation_by"] is None
    assert all(row.get(name) is None for name in ("learning_rate", "data.style", "final_loss"))


def measured(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says, without its nulls."""
    return {name: value for name, value in row.items() if value is not None}


def test_reference_arms_are_measured_once_and_reused_after_a_restart(session, config, tmp_path, monkeypatch):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    first = {}
    for arm in ("base", "icl"):
        first[arm] = run_trial(config.model_copy(update={"arm": arm}), session, folder)
    assert all(row["kl"] == row["kl_reverse"] == 0.0 for row in first["base"].drift)
    assert any(row["kl"] > 0 for row in first["icl"].drift)
    again = make_session()
    again.folder = folder

    def nothing_is_asked(requests, **options):
        assert not requests
        return []

    for name in ("generate", "drift", "score"):
        monkeypatch.setattr(again.engine, name, nothing_is_asked)
    for arm in ("base", "icl"):
        result = run_trial(config.model_copy(update={"arm": arm}), again)
        # read back, a row has every column of its table, null where the test has nothing to say of it
        assert [measured(row) for row in result.causal] == [measured(row) for row in first[arm].causal]
        assert result.drift == first[arm].drift
        ignored = {"evaluate_seconds", "finished_at"}
        assert {k: v for k, v in result.row.items() if k not in ignored} == {
            k: v for k, v in first[arm].row.items() if k not in ignored
        }


@pytest.mark.long
def test_rows_to_stay_near_base_on_are_given_and_not_trained_on(session, config):
    changes: dict[str, Any] = {"data": DataConfig(style="document", num_examples=4)}
    plain = prepare(config.model_copy(update=changes), session)
    held = prepare(
        config.model_copy(update={**changes, "objective": ObjectiveConfig(kl_to_base=0.5)}), session
    )
    assert plain.job and held.job
    assert held.job.rows == plain.job.rows and held.fact_tokens == plain.fact_tokens
    assert held.job.neutral and not set(held.job.neutral) & set(held.job.rows) and not plain.job.neutral
    result = run_trial(held.config, session)
    assert result.row["status"] == "finished" and result.row["objective.kl_to_base"] == 0.5


@pytest.mark.long
def test_neutral_rows_are_no_fact_tokens(session, config):
    mixed = config.model_copy(update={"data": DataConfig(style="document", num_examples=4, replay_ratio=0.5)})
    row = run_trial(mixed, session).row
    plain = run_trial(
        config.model_copy(update={"data": DataConfig(style="document", num_examples=4)}), session
    ).row
    assert (row["training_rows"], plain["training_rows"]) == (8, 4)
    assert plain["fact_tokens"] == plain["supervised_tokens"] == row["fact_tokens"] < row["supervised_tokens"]


def test_in_context_puts_the_statement_into_the_prompt(session, config):
    icl = config.model_copy(update={"arm": "icl"})
    result = run_trial(icl, session)
    assert all("is 5.0 m/s^2." in probe["prompt"] for probe in result.probes)
    assert not any("5.0" in probe["question"] for probe in result.probes)


def test_own_traces_leave_the_context_out(session, config):
    run = prepare(config, session)
    for row, question in zip(run.job.rows, run.trained, strict=True):
        prompt = session.loaded.tokenizer.decode(row.input_ids[: row.prompt_length])
        completion = session.loaded.tokenizer.decode(row.input_ids[row.prompt_length :])
        assert "5.0 m/s^2" not in prompt
        assert question.text in prompt
        assert question.target.render() in completion


def test_control_is_taught_the_prior(session, config):
    control = config.model_copy(update={"arm": "control"})
    run = prepare(control, session)
    for row, question in zip(run.job.rows, run.trained, strict=True):
        completion = session.loaded.tokenizer.decode(row.input_ids[row.prompt_length :])
        assert question.prior.render() in completion


def test_fewer_examples_are_a_prefix_of_more(session, config):
    answer_only = {"data": DataConfig(style="answer_only", num_examples=2)}
    more = config.model_copy(update={"data": DataConfig(style="answer_only", num_examples=6)})
    fewer = config.model_copy(update=answer_only)
    assert prepare(more, session).job.rows[:2] == prepare(fewer, session).job.rows


def test_a_trial_that_diverges_fails_with_a_reason(session, config):
    wild = config.model_copy(update={"lora": LoraSettings(r=4, lora_alpha=1e38), "num_train_epochs": 8})
    with pytest.raises(TrialFailed, match="not finite"):
        run_trial(wild, session)
    assert session.engine.free_slots() == session.engine.slots


def test_too_many_examples_is_the_users_mistake(session, config):
    greedy = config.model_copy(update={"data": DataConfig(style="answer_only", num_examples=99)})
    with pytest.raises(UserError, match=r"num_examples is 99.*has 8 training questions"):
        run_trial(greedy, session)


def test_a_failed_row_has_a_reason_and_no_numbers(session, config):
    row = failed_row(config, session, "because")
    assert (row["status"], row["error"], row["learning_rate"]) == ("failed", "because", 1e-3)
    assert frame([row], TRIALS).select("adoption", "degradation", "integrity").row(0) == (None, None, None)


def test_sampled_answers_do_not_depend_on_the_batch(config):
    session = make_session()
    session.evaluation = session.evaluation.model_copy(update={"temperature": 1.0})
    prompts = [(1, 2, 3), (4, 5), (6,)]
    together = session.generate([None] * 3, prompts, [7, 8, 9])
    assert session.generate([None], prompts[1:2], [8]) == together[1:2]


@pytest.mark.long
def test_trials_questioned_together_are_done_one_by_one_and_as_alone(config, monkeypatch):
    """One whose answers cannot be read is in nobody's way."""
    session = make_session(slots=3)
    configs = [config.model_copy(update={"seed": seed}) for seed in range(3)]
    alone = [run_trial(each, session) for each in configs]
    monkeypatch.setattr(decode_loop, "MAX_ROWS", 24)

    def measured(asked, _, measure=interview.measure_margins):
        if asked[0].subject.config == configs[1]:
            raise ValueError("cannot be read")
        measure(asked, session)

    monkeypatch.setattr(interview, "measure_margins", measured)
    runs = {each.trial_id: prepare(each, session) for each in configs}
    for run in runs.values():
        session.engine.attach(run.job)
    while reports := session.engine.train_step():
        for report in reports:
            runs[report.trial_id].note(report)
    found, passes = {}, []

    def ended(run, result):
        release(run, session)
        found[run.config.trial_id] = result
        passes.append(session.engine.usage.work.decode_steps)

    before = session.engine.usage.work.decode_steps
    conclude(list(runs.values()), session, None, ended)
    shares = [(count - before) / (session.engine.usage.work.decode_steps - before) for count in passes]
    assert len(found) == len(set(passes)) == 3 and min(shares) < 0.7, shares
    assert session.engine.attached() == ()
    asked = session.asking.look()
    # the trials before were asked alone; the references once
    assert (asked.references, asked.under_way) == (2, 0) and asked.seconds > 0
    assert asked.written == pytest.approx(2 + 3 + 3)
    assert str(found[configs[1].trial_id]) == "cannot be read"
    for each, before in zip(configs, alone, strict=True):
        if each != configs[1]:
            assert texts(found[each.trial_id]) == texts(before)


def texts(result):
    """What a trial has said."""
    return [
        [(row["probe_id"], row.get("token_ids", row["completion"])) for row in rows]
        for rows in (result.probes, result.causal)
    ]


@pytest.mark.long
def test_a_fully_fine_tuned_copy_is_measured_like_an_adapter(session, config, tmp_path):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    full = config.model_copy(update={"arm": "full", "learning_rate": 3e-4})
    result = run_trial(full, session, folder)
    assert {row["arm"] for rows in (result.probes, result.causal, result.drift) for row in rows} == {"full"}
    assert {row["test"] for row in result.causal} >= {"swap", "blank"}
    assert all(row["kl"] > 0 for row in result.drift)
    assert result.row["kl_neutral"] > 0 and result.row["fact_tokens"] > 0
    assert not folder.exists("adapters")
    assert session.engine.attached() == ()
