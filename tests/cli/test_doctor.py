"""The doctor: healthy machines pass, every kind of ailment is named with its cure."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.cli import doctor as checks
from beliefmod.cli.app import app


def only(found: Iterator[checks.Finding], status: str) -> list[checks.Finding]:
    return [finding for finding in found if finding.status == status]


def test_libraries_of_this_installation_fit():
    found = list(checks.libraries())
    assert {"torch", "ray", "transformers", "peft", "bitsandbytes"} <= {finding.subject for finding in found}
    assert not only(iter(found), "fail")
    assert "pytest" not in {finding.subject for finding in found}  # extras are not required


def test_a_missing_and_an_old_library_are_failures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "importlib.metadata.requires",
        lambda _: ["no-such-library>=1", "pydantic>=999", "rich", "x; extra == 'dev'"],
    )
    missing, old, fine = checks.libraries()
    assert (missing.status, old.status, fine.status) == ("fail", "fail", "ok")
    assert missing.found == "not installed" and 'pip install "no-such-library>=1"' in missing.fix
    assert "wanted >=999" in old.found


@pytest.mark.parametrize(
    ("installed", "status"), [("2.13.0+cpu", "ok"), ("2.14.0", "ok"), ("2.5.1+cu121", "fail")]
)
def test_local_builds_count_as_their_version(installed: str, status: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["torch>=2.6"])
    monkeypatch.setattr("importlib.metadata.version", lambda _: installed)
    assert [finding.status for finding in checks.libraries()] == [status]


def test_a_check_that_breaks_is_a_failure_and_not_the_end():
    def broken() -> Iterator[checks.Finding]:
        yield checks.Finding("ok", "first", "fine")
        raise OSError("libcudart.so.12: cannot open shared object file\nmore")

    first, second = checks.guarded("gpu", broken)
    assert first.status == "ok"
    assert second.status == "fail"
    assert second.found == "OSError: libcudart.so.12: cannot open shared object file"
    assert second.fix


def test_runs_folder_that_is_not_there_yet_is_not_made(tmp_path: Path):
    (finding,) = checks.runs_folder(str(tmp_path / "a" / "b"))
    assert finding.status in ("ok", "warn") and "GiB free" in finding.found
    assert list(tmp_path.iterdir()) == []


def test_runs_folder_below_a_file_is_a_failure(tmp_path: Path):
    (tmp_path / "file").write_text("")
    (finding,) = checks.runs_folder(str(tmp_path / "file" / "runs"))
    assert finding.status == "fail" and "--runs" in finding.fix


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**12, 10**12 - 10**9, 10**9))
    (finding,) = checks.runs_folder(str(tmp_path))
    assert finding.status == "warn" and finding.fix


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "lock_exclusively", lambda file: False)
    locks, _ = checks.runs_folder(str(tmp_path))
    assert (locks.status, locks.subject) == ("warn", "locks") and "no two commands" in locks.fix


def test_a_remote_runs_folder_is_written_to():
    (finding,) = checks.runs_folder("memory://doctor-test/runs")
    assert finding.status == "ok"


def test_exit_codes_and_json(monkeypatch: pytest.MonkeyPatch):
    around = ("bytecode", "limits", "ray_folder", "clusters")
    for name in ("libraries", "machine", "gpus", "nf4", *around, "bundled_model"):
        monkeypatch.setattr(checks, name, lambda: iter([checks.Finding("warn", "x", "y", "z")]))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [finding["subject"] for finding in found] == ["python", *8 * ["x"], "runs folder", "x"]
    monkeypatch.setattr(checks, "gpus", lambda: iter([checks.Finding("fail", "gpu", "gone", "buy one")]))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "fail  gpu                 gone\n" + " " * 26 + "fix: buy one\n" in result.stdout


@pytest.mark.slow
def test_this_machine_is_healthy(tmp_path: Path):
    result = CliRunner().invoke(app, ["doctor", "--runs", str(tmp_path), "--json"])
    found = {finding["subject"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 0, [finding for finding in found.values() if finding["status"] == "fail"]
    assert {"nf4 on cpu", "nf4 guard", "bundled model", "runs folder", "memory"} <= set(found)


@pytest.mark.slow
def test_a_ray_session_starts():
    (finding,) = checks.ray_session()
    assert finding.status == "ok"
