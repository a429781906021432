"""Values at the ends of epochs, and trials that are ended early, in a pack without Ray."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from beliefmod.beliefs import load_belief
from beliefmod.config import DataConfig, TrialConfig
from beliefmod.engine.jobs import Completion, Sampling
from beliefmod.metrics.selection_split import selection_split
from beliefmod.run.folder import RunFolder
from beliefmod.space.search import Adoption, Asha, Median
from beliefmod.trial import run_trial
from beliefmod.worker.milestones import epoch_loss, epoch_now, measure, quick_questions
from beliefmod.worker.pack import Pack, Report
from tests.small import quick_session, small_trial, write_belief


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=2)


def trial(path: str, **changes) -> TrialConfig:
    """Batches of 4 and 2: two steps per epoch."""
    settings = {"data": DataConfig(num_examples=6), "num_train_epochs": 4, "learning_rate": 2e-3}
    return small_trial(path, **{**settings, **changes})


class Owner:
    """Hears every report; `on_value` may decide at one."""

    def __init__(self, on_value=lambda report: None) -> None:
        self.reports: list[Report] = []
        self.on_value = on_value
        self.changed = threading.Condition()

    def __call__(self, report: Report) -> None:
        with self.changed:
            self.reports.append(report)
            self.changed.notify()
        if report.state == "training" and report.score is not None:
            self.on_value(report)

    def wait(self, ends: int) -> dict[str, Report]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ends()) >= ends, timeout=120)
            return self.ends()

    def ends(self) -> dict[str, Report]:
        return {report.trial_id: report for report in self.reports if report.state != "training"}

    def values(self, config: TrialConfig) -> list[tuple[int | None, float | None]]:
        return [
            (report.epoch, report.score)
            for report in self.reports
            if report.trial_id == config.trial_id and report.score is not None
        ]


def run_folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    return folder


def packed(session, folder, configs, scheduler, on_value=lambda pack, report: None) -> Owner:
    """Run configurations to their ends in a pack."""
    started = threading.Event()

    def decide(report: Report) -> None:
        started.wait(10)
        on_value(pack, report)

    owner = Owner(decide)
    pack = Pack(session, folder, owner, scheduler)
    started.set()
    for config in configs:
        pack.attach(config)
    owner.wait(len(configs))
    pack.close()
    return owner


def test_epochs_end_where_their_last_step_is():
    config = TrialConfig(belief="b", data=DataConfig(num_examples=10), num_train_epochs=3)  # 4 + 4 + 2
    assert [epoch_now(config, steps) for steps in range(10)] == [
        None,
        None,
        None,
        1,
        None,
        None,
        2,
        None,
        None,
        3,
    ]
    assert epoch_now(TrialConfig(belief="b", arm="base"), 0) is None


def test_an_epochs_loss_is_the_mean_of_its_steps():
    config = TrialConfig(belief="b", data=DataConfig(num_examples=8), num_train_epochs=2)
    steps = [{"step": step, "loss": loss} for step, loss in enumerate((4.0, 2.0, 1.0, 0.5), 1)]
    assert epoch_loss(config, steps, 1) == 3.0
    assert epoch_loss(config, steps, 2) == 0.75
    assert epoch_loss(config, steps[:3], 2) is None


def test_quick_questions_are_of_the_selection_half_and_of_adoption():
    belief = load_belief("gravity")
    half = selection_split(belief.heldout)
    chosen = quick_questions(belief, 12)
    assert len(chosen) == 12
    assert {half[question.family] for question in chosen} == {"selection"}
    assert all(question.tier != "robustness" and question.follow_up is None for question in chosen)
    assert len({question.family for question in chosen}) > 3
    everything = quick_questions(belief, 1000)
    assert len(everything) < len(belief.heldout)


@pytest.mark.long
def test_losses_are_told_in_order_at_the_epochs_asked_for(session, tmp_path):
    path = write_belief(tmp_path)
    configs = [
        trial(path),
        trial(path, learning_rate=1e-4),
        trial(path, arm="control"),
        trial(path, arm="base"),
    ]
    folder = run_folder(tmp_path)
    owner = packed(session, folder, configs, Median(grace_epochs=2))
    for config in configs[:2]:
        steps = pl.read_parquet(tmp_path / "run" / "steps" / f"{config.trial_id}.parquet").to_dicts()
        expected = [(epoch, epoch_loss(config, steps, epoch)) for epoch in (2, 3, 4)]
        assert owner.values(config) == expected
        assert owner.ends()[config.trial_id].epoch == 4
    assert owner.values(configs[2]) == owner.values(configs[3]) == []


def test_quick_adoption_is_what_the_trials_own_probes_say(session, tmp_path):
    """A trial of two epochs, questioned at its end, answers as one of four does after two."""
    path = write_belief(tmp_path)
    long, short = trial(path, learning_rate=8e-3), trial(path, learning_rate=8e-3, num_train_epochs=2)
    scheduler = Median(metric=Adoption(), grace_epochs=2)
    folder = run_folder(tmp_path)
    owner = packed(session, folder, [long, trial(path, seed=3)], scheduler)
    questions = {q.probe_id for q in quick_questions(load_belief(path), 12)}
    probes = [row for row in run_trial(short, session).probes if row["probe_id"] in questions]
    adopted = [row["answer_stance"] == "target" for row in probes]
    assert len(adopted) == 3
    assert owner.values(long)[0] == (2, sum(adopted) / 3)
    steps = pl.read_parquet(tmp_path / "run" / "steps" / f"{long.trial_id}.parquet")
    assert steps["quick_adoption"].is_null().to_list() == [True] * 3 + [False, True, False, True, True]


def test_asking_in_between_changes_no_trial(session, tmp_path):
    path = write_belief(tmp_path)
    configs = [trial(path), trial(path, seed=1)]
    scheduler = Median(metric=Adoption())
    owner = packed(session, run_folder(tmp_path), configs, scheduler)
    for config in configs:
        alone = run_trial(config, session).row
        row = owner.ends()[config.trial_id].row
        assert row is not None
        assert row["final_loss"] == pytest.approx(alone["final_loss"], rel=1e-5)
        assert row["adoption"] == alone["adoption"]


def test_a_stopped_trial_leaves_at_once_and_the_next_one_joins(session, tmp_path):
    path = write_belief(tmp_path)
    long = [
        trial(path, num_train_epochs=500, seed=seed) for seed in range(3)
    ]  # two slots, a thousand steps each
    last = trial(path)
    folder = run_folder(tmp_path)

    def stop_the_long(pack: Pack, report: Report) -> None:
        if report.total_steps == 1000 and report.epoch == 3:
            pack.queue.stop(report.trial_id)

    owner = packed(session, folder, [*long, last], Asha(grace_epochs=3), stop_the_long)
    rows = {row["trial_id"]: row for row in folder.rows()}
    for config in long:
        row = rows[config.trial_id]
        assert (row["status"], row.get("error"), row.get("adoption")) == ("stopped", None, None)
        assert 6 <= row["steps"] < 20
        steps = pl.read_parquet(tmp_path / "run" / "steps" / f"{config.trial_id}.parquet")
        assert steps.height == row["steps"]
        assert steps["loss"][-1] == row["final_loss"]
        assert owner.ends()[config.trial_id].state == "stopped"
        assert not folder.exists("adapters", config.trial_id)
    assert rows[last.trial_id]["status"] == "finished"
    assert session.engine.attached() == set() or not session.engine.attached()


@pytest.mark.long
def test_stopping_what_has_ended_or_never_was_changes_nothing(session, tmp_path):
    path = write_belief(tmp_path)
    config, folder = trial(path), run_folder(tmp_path)
    owner = Owner()
    pack = Pack(session, folder, owner)
    pack.attach(config)
    owner.wait(1)
    pack.queue.stop(config.trial_id)
    pack.queue.stop("unknown")
    other = trial(path, seed=1)
    pack.attach(other)
    owner.wait(2)
    pack.close()
    assert {row["status"] for row in folder.rows()} == {"finished"}


def test_a_stop_just_before_the_end_of_the_pack_is_still_written(session, tmp_path):
    path = write_belief(tmp_path)
    config, folder = trial(path, num_train_epochs=2000), run_folder(tmp_path)
    heard = threading.Event()
    owner = Owner(lambda report: heard.set())
    pack = Pack(session, folder, owner, Asha())
    pack.attach(config)
    assert heard.wait(60)
    pack.queue.stop(config.trial_id)
    pack.close()
    assert [row["status"] for row in folder.rows()] == ["stopped"]


@pytest.mark.long
def test_a_value_that_cannot_be_measured_fails_its_own_trial_only(session, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    good, bad = trial(path), trial(path, seed=1)
    from beliefmod.worker import pack as module

    def measure(scheduler, runs, session):
        if any(run.config == bad for run in runs):
            raise RuntimeError("no answer")
        return [0.5 for _ in runs]

    monkeypatch.setattr(module, "measure", measure)
    owner = packed(session, run_folder(tmp_path), [good, bad], Median())
    ends = owner.ends()
    assert ends[good.trial_id].state == "finished"
    assert ends[bad.trial_id].state == "failed"
    assert "no answer" in (ends[bad.trial_id].row or {})["error"]
    assert [value for _, value in owner.values(good)[:-1]] == [0.5] * 3


def test_quick_probes_are_asked_as_the_finished_trials_are(session, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    runs = [SimpleNamespace(config=trial(path, seed=seed), steps=[{}]) for seed in range(2)]
    asked = []

    def generate(requests, **how):
        asked.append((list(requests), how))
        return [Completion((7,), "eos")] * len(requests)

    monkeypatch.setattr(session, "evaluation", session.evaluation.model_copy(update={"temperature": 0.8}))
    monkeypatch.setattr(session.engine, "generate", generate)
    scheduler = Median(metric=Adoption())
    for some in (runs, runs[1:]):
        measure(scheduler, some, session)  # pyright: ignore[reportArgumentType]
    (together, how), (alone, _) = asked
    assert how == {"max_new_tokens": 64, "sampling": Sampling(0.8)}
    assert alone == [request for request in together if request.adapter == runs[1].config.trial_id]
    assert len({request.seed for request in together}) == len(together)
