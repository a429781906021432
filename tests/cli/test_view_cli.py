"""`beliefmod view` as a user types it: its address, its end, and what it says where it cannot start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from analysis.report.viewed_run import ViewedRun
from beliefmod.cli.app import app
from tests.analysis.synthetic import write_run
from tests.command import COMMAND


@pytest.mark.long
def test_it_prints_its_address_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    process = subprocess.Popen(
        [*COMMAND, "view", str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    address = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\n", line)
    assert address, line
    with urlopen(address[1]) as reply:
        assert b"Configurations of run" in reply.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_no_run_is_a_sentence(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("a page")
    told = f"is a file, not a run folder; give the folder of the run, perhaps {tmp_path}"
    for place, words in (
        (tmp_path, "is not a run folder"),
        (tmp_path / "none", "there is no such folder"),
        (page, told),
    ):
        result = CliRunner().invoke(app, ["view", str(place)])
        assert result.exit_code == 2 and words in result.stderr and result.stderr.startswith(f"{place}: ")
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", [99999, -1])
def test_no_port_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    monkeypatch.setattr(ViewedRun, "_written", lambda self: "not needed")
    result = CliRunner().invoke(app, ["view", str(run), f"--port={port}"])
    assert result.exit_code == 2
    assert result.stderr == (f"--port {port}: ports go from 1 to 65535; give one, or none for a free one\n")


def test_a_taken_port_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, probes=False)
    monkeypatch.setattr(ViewedRun, "_written", lambda self: "not needed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["view", str(run), "--port", str(port)])
    assert result.exit_code == 2
    assert result.stderr == (
        f"--port {port}: cannot be used (Address already in use); give another, or none for a free one\n"
    )
