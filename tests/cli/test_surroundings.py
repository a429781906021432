"""What the doctor sees around the program, each named with its cure."""

from __future__ import annotations

import compileall
import os
import resource
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from beliefmod.cli import surroundings


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of three modules, uncompiled, that can be imported."""
    top = tmp_path / "newly_installed"
    (top / "inside").mkdir(parents=True)
    for name in ("__init__.py", "inside/__init__.py", "inside/part.py"):
        (top / name).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return top.name


def test_modules_that_will_be_compiled_once_are_no_trouble(package, tmp_path):
    [found] = surroundings.bytecode([package, "not_installed"])
    assert (
        found.status == "ok" and found.found.startswith("0 of 3 modules") and "imported first" in found.found
    )
    compileall.compile_dir(tmp_path, quiet=2)
    [found] = surroundings.bytecode([package])
    assert found.status == "ok" and found.found.startswith("3 of 3") and "imported" not in found.found


def test_modules_that_every_process_compiles_are_named_with_the_command(package, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    [found] = surroundings.bytecode([package])
    assert found.status == "warn" and f"{tmp_path / package} cannot be written" in found.found
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    [found] = surroundings.bytecode([package])
    assert "0 of 3" in found.found and "PYTHONDONTWRITEBYTECODE is set" in found.found
    assert f"-m compileall -q -j 0 {tmp_path / package}" in found.fix
    compileall.compile_dir(tmp_path, quiet=2)
    assert [each.status for each in surroundings.bytecode([package])] == ["ok"]


def test_few_open_files_and_little_shared_memory(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2**26, 0, 2**26))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 1000))
    files, memory = surroundings.limits(tmp_path)
    assert (files.status, files.fix) == ("warn", "ulimit -n 1000")
    assert (
        memory.status == "ok" and "64 MiB free" in memory.found and "temporary folder instead" in memory.found
    )
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    [files] = surroundings.limits(tmp_path / "absent")
    assert files.status == "ok"


def test_where_ray_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null/nowhere")
    monkeypatch.setenv("HOME", "/dev/null")
    folder, home = surroundings.ray_folder({})
    assert folder.status == "ok" and folder.found.startswith(
        f"/tmp/ray-{os.getuid()}, for /dev/null/nowhere/ray"
    )
    assert home.status == "ok" and "not kept" in home.found
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    monkeypatch.setenv("HOME", str(tmp_path))
    [folder] = surroundings.ray_folder({})
    assert folder.found == "/tmp/ray"


def test_the_cluster_that_would_be_joined_and_the_rays_of_others(monkeypatch):
    theirs = [SimpleNamespace(pid=7, info={"name": name, "username": "ada"}) for name in ("gcs_server", "sh")]
    monkeypatch.setattr("psutil.process_iter", lambda _: theirs)
    dead, other = surroundings.clusters({"RAY_ADDRESS": "127.0.0.1:1"})
    assert dead.status == "fail" and "unset RAY_ADDRESS" in dead.fix
    assert other.status == "ok" and "process 7 of ada" in other.found and "beside it" in other.found
    monkeypatch.setattr("psutil.process_iter", lambda _: [])
    [joined] = surroundings.clusters({"RAY_ADDRESS": "auto"})
    assert joined.status == "ok"
    assert list(surroundings.clusters({})) == []
