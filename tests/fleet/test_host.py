"""A host tests its engine before it takes trials."""

import asyncio
import json
from types import SimpleNamespace

import pytest
import torch

from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.fleet.host import PackHost
from beliefmod.probing import drift
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import read_pick
from beliefmod.space import Evaluation
from beliefmod.worker.balance import LOADING_STEPS, MOVED, HostLoad
from beliefmod.worker.host_registry import FOLDER, REFERENCE, Entry, read_entries
from beliefmod.worker.host_settings import HostSettings
from tests.test_imports import loaded_after


def host(tmp_path, slots: int = 2) -> PackHost:
    (tmp_path / "run").mkdir()
    settings = HostSettings(
        run_url=str(tmp_path / "run"),
        model="bundled",
        revision=None,
        base_storage="dequantized",
        slots=slots,
        max_rank=8,
        threads=torch.get_num_threads(),
        evaluation=Evaluation(),
        reference_seed=0,
    )
    return PackHost(settings)


@pytest.mark.long
def test_a_host_asks_base_the_graded_suite_and_writes_the_pick(tmp_path):
    async def start() -> None:
        one = host(tmp_path)
        await one.pick_capability()
        await one.close()

    asyncio.run(start())
    pick = read_pick(RunFolder(str(tmp_path / "run")))
    assert pick is not None and pick["status"] == "within" and pick["questions"] >= 100


def test_the_self_test_belongs_to_what_a_host_reports(tmp_path):
    async def start() -> dict:
        one = host(tmp_path)
        facts = await one.ready()
        await one.close()
        return facts

    facts = asyncio.run(start())
    assert facts["self_tests"] == {"untrained_drift": 0.0}
    assert facts["name"] == "bundled"
    assert facts["engine"]["slots"] == facts["engine"]["parking"] == 2
    assert facts["engine"]["why"] == "as asked"
    # closing leaves an account, and facts and account can go into files
    [account] = (tmp_path / "run" / "usage").iterdir()
    assert json.loads(account.read_text())["model"] == facts["engine"]["calibration"]["model"]
    json.dumps(facts, allow_nan=False)
    # it has entered itself
    [entry] = read_entries(RunFolder(str(tmp_path / "run")))
    assert (entry["slots"], entry["device"], entry["refused"]) == (2, "cpu", None)
    # and the board says that it has ended
    [heartbeat] = (tmp_path / "run" / "live").iterdir()
    shown = json.loads(heartbeat.read_text())
    assert (shown["closed"], shown["slots"], shown["device"]) == (True, 2, "cpu")


def test_a_host_that_may_choose_says_what_and_why(tmp_path):
    async def start() -> tuple[dict, int]:
        one = host(tmp_path, slots=0)
        facts = await one.ready()
        slots = one._pack.session.engine.slots
        await one.close()
        return facts, slots

    facts, slots = asyncio.run(start())
    assert facts["engine"]["slots"] == slots >= 1
    assert "near the best rate" in facts["engine"]["why"]
    assert facts["engine"]["calibration"]["seconds"] > 0


def test_a_failed_self_test_is_the_sentence_that_stops_the_sweep(tmp_path, monkeypatch):
    def fails(session):
        raise UserError("self-test: wrong")

    monkeypatch.setattr(drift, "self_test", fails)
    with pytest.raises(UserError, match="self-test: wrong"):
        asyncio.run(host(tmp_path).ready())


def test_work_ahead_is_told_per_slot_and_whoever_is_asked_begins_to_load(tmp_path, monkeypatch):
    loads = []

    async def ready(one: PackHost) -> None:
        loads.append(one)

    monkeypatch.setattr(PackHost, "ready", ready)

    async def ask() -> tuple[float, float, float]:
        one = host(tmp_path, slots=4)
        loading = await one.backlog()
        one._arriving = {"a": 50, "b": 30}
        awaited = await one.backlog()
        await asyncio.sleep(0)
        one._pack = SimpleNamespace(queue=SimpleNamespace(backlog=lambda: 80))
        one._facts = {"engine": {"slots": 8}}
        return loading, awaited, await one.backlog()

    # of two that have the same work the larger has less ahead; one that loads yet is the last choice
    assert asyncio.run(ask()) == (LOADING_STEPS, LOADING_STEPS + 20, 10)
    assert len(loads) == 1


def test_a_host_that_differs_or_cannot_load_leaves(tmp_path, monkeypatch):
    class Left(Exception):
        pass

    def leave():
        raise Left

    monkeypatch.setattr("ray.actor.exit_actor", leave)
    one = host(tmp_path)
    folder = RunFolder(str(tmp_path / "run"))

    async def ready() -> dict:
        one._entry = Entry(folder, "host-1", 0.0, {"fingerprint": "b" * 64})
        return {}

    monkeypatch.setattr(one, "ready", ready)
    trial = TrialConfig(belief="gravity")
    folder.write_json({"host": "host-0", "fingerprint": "a" * 64}, FOLDER, REFERENCE)
    with pytest.raises(Left):
        asyncio.run(one.attach(trial))

    def fails(*_):
        raise UserError("model x cannot be loaded")

    monkeypatch.undo()
    monkeypatch.setattr("ray.actor.exit_actor", leave)
    monkeypatch.setattr("beliefmod.fleet.host.build", fails)
    with pytest.raises(Left):
        asyncio.run(one.attach(trial))
    reasons = [str(entry["refused"]) for entry in read_entries(folder)]
    assert reasons[0].startswith("it differs from host-0 (model fingerprint bbbb")
    assert reasons[1] == "model x cannot be loaded"
    assert not one._arriving


def test_only_the_newest_progress_is_told_but_every_value_in_order(tmp_path):
    def report(step: int, score: float | None, state: str = "training") -> dict:
        return {"trial_id": "t", "state": state, "step": step, "score": score, "row": None}

    async def hear() -> list[tuple]:
        one = host(tmp_path)
        one._reports["t"] = asyncio.Queue()
        for step, score in enumerate((None, None, 0.5, None, 0.7, 0.9, None), 1):
            one._deliver(report(step, score))
        one._deliver(report(8, None, "finished"))
        heard = []
        while (told := await one.next("t")) is not None:
            heard.append((told["step"], told["score"]))
        return heard

    assert asyncio.run(hear()) == [(3, 0.5), (5, 0.7), (6, 0.9), (8, None)]


def test_the_processes_of_trials_load_no_torch():
    """Ray imports the module of an actor's class into every process that looks the actor up."""
    assert not {"torch", "transformers", "optuna"} & loaded_after(
        "import beliefmod.fleet.trainable, beliefmod.fleet.host, benchmarks.trivial_host"
    )


def test_a_trial_that_goes_elsewhere_is_told_to_whoever_waits_for_it(tmp_path):
    async def hear() -> tuple:
        one = host(tmp_path)
        assert await one.load() is None and not await one.give_back("trunk", "b")
        queue = SimpleNamespace(waiting_work=lambda: {"trunk": 60, "lost": 50}, in_slots=lambda: 1)
        queue.backlog = lambda: 170
        one._pack = SimpleNamespace(queue=queue, give_back=lambda trial: ["trunk", "branch", "to come"])
        one._facts = {"engine": {"slots": 4}}
        one._reports = {"trunk": asyncio.Queue(), "branch": asyncio.Queue()}
        load = await one.load()
        assert await one.give_back("trunk", "b")
        told = [await one.next(name) for name in ("trunk", "branch")]
        return load, [(each["state"], each["to"]) for each in told if each], await one.next("trunk")

    # "lost" has nobody who would take it elsewhere, but has a slot coming
    assert asyncio.run(hear()) == (HostLoad(4, 1, 170, {"trunk": 60}), [(MOVED, "b"), (MOVED, None)], None)
