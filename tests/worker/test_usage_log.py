"""Accounts of hosts in a run folder, what is left of them after deaths, and the limit made of them."""

import json
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beliefmod.capacity.calibrate import Calibration
from beliefmod.capacity.choose import Choice
from beliefmod.capacity.limit import Machine, Model, limit, limit_line
from beliefmod.engine.usage import Usage, Work
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.worker.usage_log import FOLDER, UsageLog, record_limit

MODEL = Model(1000, 100, 2, 8, 4, False, 64)


@pytest.fixture
def folder(folder) -> RunFolder:
    """One with a manifest, as a sweep's has."""
    folder.write_json({"run_id": "x"}, MANIFEST)
    return folder


def usage_log(
    folder: RunFolder, host: str, started_at: float, flops: float = 1e6, tokens: int = 1000, peak: int = 2**30
) -> UsageLog:
    usage = Usage()
    usage.work.tokens = tokens
    found = Calibration(flops, 1e6, 10**9, ((128, 0.1),), 2048, 100, MODEL, 50, 1.0)
    choice = Choice(2, 2, 2048, 1000, "as asked", 9, 5000)
    return UsageLog(folder, host, started_at, usage, found, choice, lambda: peak)


def files(folder: RunFolder) -> list[str]:
    return sorted(path.rsplit("/", 1)[1] for path in folder.fs.glob(folder.path(FOLDER, "*")))


def test_two_hosts_of_one_attempt(folder):
    usage_log(folder, "host-0", 100.0, flops=1e6).write()
    usage_log(folder, "host-1", 100.0, flops=3e6, peak=3 * 2**30).write()
    found = record_limit(folder, 100.0, 8.0)
    assert found["host_bytes"] == 3 * 2**30
    assert limit_line(found).endswith("a host held 3.0 GiB of memory at most")
    assert found == folder.read_json(MANIFEST)["limit"]
    assert found["machine"] == asdict(Machine(2, 2e6, 1e6, 9, 5000))
    # 4 * 1000 * 2000 operations on two hosts of 2 MFLOP/s take 2 s
    assert (found["seconds"], found["fraction"], found["attempts"]) == (2.0, 0.25, 1)
    assert limit_line(found).startswith(
        "limit: 25 % of this machine's limit; matrix products bind (4 MFLOP/s"
    )
    assert folder.read_json(MANIFEST)["run_id"] == "x"


def test_a_host_rewrites_its_own_file_and_a_restarted_one_makes_another(folder):
    first = usage_log(folder, "host-0", 100.0)
    first.write()
    first.usage.work.tokens = 4000
    first.usage.shrunk("out of memory: pass_tokens 100 -> 50")
    first.write()
    assert len(files(folder)) == 1
    usage_log(folder, "host-0", 100.0).write()
    assert len(files(folder)) == 2 and all(name.startswith("host-0-") for name in files(folder))
    found = record_limit(folder, 100.0, 10.0)
    assert found["work"]["tokens"] == 5000
    assert found["machine"]["hosts"] == 1  # two lives of one host
    assert found["shrinks"] == ["out of memory: pass_tokens 100 -> 50"]


def test_earlier_attempts_count_from_their_start_to_their_last_account(folder, monkeypatch):
    monkeypatch.setattr("beliefmod.worker.usage_log.time.time", lambda: 130.0)
    usage_log(folder, "host-0", 100.0).write()
    monkeypatch.setattr("beliefmod.worker.usage_log.time.time", lambda: 120.0)
    usage_log(folder, "host-1", 100.0).write()
    monkeypatch.setattr("beliefmod.worker.usage_log.time.time", lambda: 530.0)
    usage_log(folder, "host-0", 500.0).write()
    found = record_limit(folder, 500.0, 40.0)
    assert found["wall_seconds"] == 30.0 + 40.0
    assert found["attempts"] == 2
    assert found["machine"]["hosts"] == 2


def test_no_account_no_limit(folder):
    assert record_limit(folder, 1.0, 5.0) is None
    assert "limit" not in folder.read_json(MANIFEST)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000))
def test_a_file_that_is_cut_short_counts_as_absent(folder, cut):
    for path in folder.fs.glob(folder.path(FOLDER, "*")):
        folder.fs.rm(path)
    usage_log(folder, "host-0", 100.0).write()
    whole = usage_log(folder, "host-1", 100.0)
    whole.write()
    [other] = [name for name in files(folder) if name.startswith("host-1")]
    content = folder.read_bytes(FOLDER, other)
    folder.write_bytes(content[:cut], FOLDER, other)
    found = record_limit(folder, 100.0, 8.0)
    assert found["machine"]["hosts"] == (2 if cut >= len(content) else 1)
    json.loads(folder.read_bytes(MANIFEST))


def test_storage_that_fails_does_not_end_the_host(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    one = usage_log(folder, "host-0", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_json", full)
        one.write()
    assert not folder.sizes("usage")
    one.write()  # there is room again, and nothing was lost
    assert len(folder.sizes("usage")) == 1


def test_the_entry_is_what_the_formulas_say(folder):
    usage_log(folder, "host-0", 100.0).write()
    found = record_limit(folder, 100.0, 8.0)
    expected = limit(Work(tokens=1000), MODEL, Machine(1, 1e6, 1e6, 9, 5000), 8.0)
    assert {name: found[name] for name in expected} == expected
