"""What a function took, counted over every process that it starts; how results are printed."""

from pathlib import Path

import pytest

from benchmarks.harness import print_table
from benchmarks.measure import DRIVER, RAY, Measured, measured

BURN = "import time\nend = time.process_time() + 1.0\nwhile time.process_time() < end: pass"


def test_a_functions_own_cpu_time_is_the_drivers(tmp_path: Path):
    result, took = measured(exec, BURN, log=tmp_path / "log")
    assert result is None
    assert 0.7 < took.cpu[DRIVER] < 3.0
    assert took.cpu[RAY] == 0.0 and took.started[RAY] == 0
    assert took.wall >= took.cpu[DRIVER] > 0.9 * took.all_cpu


def test_the_cpu_time_of_a_child_counts_too(tmp_path: Path):
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])"
    _, took = measured(exec, code, log=tmp_path / "log")
    assert 0.7 < took.cpu[RAY] < 3.0
    assert took.started == {DRIVER: 1, RAY: 1}


def test_memory_is_sampled_where_asked(tmp_path: Path):
    code = "import time\nheld = bytearray(80_000_000)\nheld[::4096] = held[::4096]\ntime.sleep(1.2)"
    _, took = measured(exec, code, log=tmp_path / "log", memory_seconds=0.2)
    assert 80e6 < took.peak < 140e6
    found, took = measured(eval, "[1, 2]", log=tmp_path / "log")
    assert found == [1, 2] and took.peak == 0


def test_a_function_that_fails_ends_the_benchmark_and_shows_why(tmp_path: Path):
    with pytest.raises(SystemExit, match="ZeroDivisionError"):
        measured(eval, "1 / 0", log=tmp_path / "log")


def test_kinds_are_told_with_their_numbers():
    cpu = {"driver": 12.4, "hosts": 3.0, "trial processes": 2.0, "Ray's own processes": 0.6}
    took = Measured(1.0, cpu, started={"hosts": 2, "trial processes": 8})  # type: ignore[arg-type]
    assert took.told() == "driver 12, hosts 3 (2), trial processes 2 (8), Ray's own processes 1"


def test_a_table_says_when_on_what_and_with_what(capsys: pytest.CaptureFixture[str]):
    print_table("Title", ["A note."], ["side", "wall"], [["obvious", "10 s"], ["ours", "1 s"]], ("numpy",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("## 20") and lines[1].endswith(" Title")
    assert "cores" in lines[3] and "numpy" in lines[3]
    assert lines[4] == "A note."
    assert lines[6:] == [
        "| side    | wall |",
        "| ------- | ---: |",
        "| obvious | 10 s |",
        "| ours    |  1 s |",
        "",
    ]
