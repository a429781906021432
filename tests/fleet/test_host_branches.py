"""A host and the branches of its trials, with a pack that does nothing: who is told what, and when."""

import asyncio
from types import SimpleNamespace

import pytest

from beliefmod.config import TrialConfig
from beliefmod.fleet.host import PackHost
from beliefmod.run.folder import RunFolder

TRUNK, MIDDLE, SHORT = (TrialConfig(belief="gravity", num_train_epochs=epochs) for epochs in (20, 10, 3))


class IdlePack:
    """Takes trials and holds them until told otherwise."""

    def __init__(self) -> None:
        self.queue, self.taken = self, list[tuple[str, list[str]]]()

    def attach(self, config: TrialConfig, branches=()) -> None:
        self.taken.append((config.trial_id, [branch.trial_id for branch in branches]))

    def holds(self, trial_id: str) -> bool:
        return any(trial_id in (trunk, *branches) for trunk, branches in self.taken)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    made = RunFolder(str(tmp_path / "run"))
    made.create()
    return made


def host_in(folder: RunFolder) -> PackHost:
    host = PackHost(SimpleNamespace(run_url=folder.storage_path))  # type: ignore[arg-type]
    host._pack = IdlePack()
    return host


def ended(config: TrialConfig, status: str = "finished", at: str = "2999-01-01T00:00:00Z") -> dict:
    row = {"trial_id": config.trial_id, "belief": "gravity", "arm": "lora", "status": status}
    return {**row, "finished_at": at, "error": "not finite" if status == "failed" else None}


def report(config: TrialConfig, state: str, row=None) -> dict:
    return {"trial_id": config.trial_id, "state": state, "step": 1, "loss": 1.0, "row": row}


def test_a_trunk_tells_of_branches_that_nobody_waits_for_yet(folder):
    async def run() -> None:
        host = host_in(folder)
        await host.attach(TRUNK, [MIDDLE, SHORT])
        assert host._pack.taken == [(TRUNK.trial_id, [MIDDLE.trial_id, SHORT.trial_id])]
        host._deliver(report(TRUNK, "training"))
        host._deliver(report(SHORT, "finished", ended(SHORT)))
        host._deliver(report(TRUNK, "training"))
        told = await host.next(TRUNK.trial_id)
        assert told is not None and told["state"] == "training"
        assert [branch["trial_id"] for branch in told["branches"]] == [SHORT.trial_id]
        # the other one's trial has come in the meantime and is told itself
        await host.attach(MIDDLE)
        host._deliver(report(MIDDLE, "finished", ended(MIDDLE)))
        host._deliver(report(TRUNK, "finished", ended(TRUNK)))
        last, middle = await host.next(TRUNK.trial_id), await host.next(MIDDLE.trial_id)
        assert last is not None and (last["state"], last["branches"]) == ("finished", [])
        assert middle is not None and middle["state"] == "finished"
        assert len(host._pack.taken) == 2  # a pack that holds it already takes no second one

    asyncio.run(run())


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (ended(SHORT), "finished"),
        (ended(SHORT, "failed"), "failed"),
        (ended(SHORT, "failed", at="2020-01-01T00:00:00Z"), None),
        (None, None),
    ],
    ids=["finished", "failed in this session", "failed in an earlier one", "not run"],
)
def test_a_branch_that_has_ended_is_told_at_once(folder, row, told):
    if row:
        folder.write_trial(row)

    async def run() -> None:
        host = host_in(folder)
        await host.attach(SHORT)
        if told is None:
            assert host._pack.taken == [(SHORT.trial_id, [])]
            return
        found = await asyncio.wait_for(host.next(SHORT.trial_id), 5)
        assert host._pack.taken == []
        assert found is not None and (found["state"], found["row"]["status"]) == (told, told)

    asyncio.run(run())


def test_a_trunk_that_comes_again_makes_only_the_branches_that_are_missing(folder):
    folder.write_trial(ended(SHORT))

    async def run() -> None:
        host = host_in(folder)
        await host.attach(TRUNK, [MIDDLE, SHORT])
        assert host._pack.taken == [(TRUNK.trial_id, [MIDDLE.trial_id])]

    asyncio.run(run())


def test_a_host_that_loads_its_model_holds_what_is_coming(folder, monkeypatch):
    async def run() -> None:
        host, loaded = host_in(folder), asyncio.Event()

        async def ready() -> dict:
            await loaded.wait()
            return {}

        monkeypatch.setattr(host, "ready", ready)
        assert not await host.knows(TRUNK.trial_id)
        arriving = [
            asyncio.create_task(host.attach(TRUNK, [MIDDLE])),
            asyncio.create_task(host.attach(MIDDLE)),
        ]
        await asyncio.sleep(0)
        assert await host.knows(TRUNK.trial_id) and await host.holds(MIDDLE.trial_id)
        loaded.set()
        await asyncio.gather(*arriving)
        # in turn: the branch has not overtaken the trunk
        assert host._pack.taken[0] == (TRUNK.trial_id, [MIDDLE.trial_id])
        assert not await host.knows(SHORT.trial_id)
        folder.write_trial(ended(SHORT, "failed"))
        assert await host.knows(SHORT.trial_id)

    asyncio.run(run())
