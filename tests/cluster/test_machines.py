"""`ray up docs/cluster/local.yaml` for real: three machines on one host, one of which dies half-way.

Takes minutes and root: `make machines` runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.chaos.chaos import differences, leftovers, table, write_space
from tests.command import only_run, wait_until

ROOT = Path(__file__).parents[2]
MACHINES = Path(__file__).with_name("machines.sh")
NEEDED = ("ip", "sshd", "ssh", "rsync", "unshare")
COUNT, HEAD = 3, "10.78.0.11"
BIN = Path(sys.executable).parent
START = "export OMP_NUM_THREADS=1; ray start --object-store-memory=80000000"
SETTINGS = "--space /shared/space.yaml --no-report --hosts 2 --slots 2 --checkpoint-every 0.5"


def lacking() -> str | None:
    """Why machines cannot be made here, None if they can."""
    if os.environ.get("BELIEFMOD_MACHINES") != "1":
        return "takes minutes: set BELIEFMOD_MACHINES=1, or use `make machines`"
    if os.geteuid() != 0:
        return "namespaces need root"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    return f"lacks {', '.join(missing)}: apt install iproute2 openssh-server rsync" if missing else None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(lacking() is not None, reason=str(lacking())),
]


class Laptop:
    """What a user types, on a laptop with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cluster = folder, folder / "local.yaml"
        (folder / "home").mkdir()
        self.environment = {
            **os.environ,
            "HOME": str(folder / "home"),
            "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "RAY_TMPDIR": str(folder / "home"),
            "RAY_AUTH_MODE": "token",
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.ray("get-auth-token", "--generate")

    def ray(self, *arguments: str, seconds: float = 300) -> str:
        """Run a command of Ray's to its end; what it printed."""
        with self.started("ray", *arguments) as process:
            try:
                out, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, out
        return out

    def started(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words, cwd=ROOT, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def here(folder: Path) -> dict[str, Any]:
    """`docs/cluster/local.yaml` with three things filled in; this environment stands for the installation."""
    config = yaml.safe_load((ROOT / "docs" / "cluster" / "local.yaml").read_text())
    workers = [f"10.78.0.1{i}" for i in range(2, COUNT + 1)]
    config["provider"] |= {"head_ip": HEAD, "worker_ips": workers}
    config["auth"] |= {"ssh_user": "root", "ssh_private_key": str(folder / "key")}
    config["setup_commands"] = [
        f"ln -sfn {BIN.parent} ~/venv" if "pip install" in line else line
        for line in config["setup_commands"]
        if "-m venv" not in line
    ]
    for name, cores in (("head_start_ray_commands", ""), ("worker_start_ray_commands", " --num-cpus=1")):
        config[name] = [line.replace("ray start", START + cores) for line in config[name]]
    return config


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    folder = tmp_path / "machines"
    folder.mkdir()
    subprocess.run([MACHINES, "up", folder, str(COUNT)], check=True)
    try:
        laptop = Laptop(folder)
        laptop.cluster.write_text(yaml.safe_dump(here(folder)))
        wait_until(lambda: answers(HEAD, 22), 20, "no SSH server answers")
        yield laptop
    finally:
        subprocess.run([MACHINES, "down", folder, str(COUNT)], check=True)


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def rows(runs: Path) -> list[Path]:
    return list(runs.glob("*/rows/*.json"))


def in_the_middle(runs: Path) -> bool:
    """Some trials have ended and another is being trained."""
    return len(rows(runs)) >= 2 and any(runs.glob("*/checkpoints/*.safetensors"))


def busiest(machines: Iterable[int]) -> int:
    """The machine whose host has worked most: its loss is felt."""

    def seconds(machine: int) -> float:
        command = ["ip", "netns", "pids", f"bmtest{machine}"]
        pids = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        spent = 0.0
        for pid in pids:
            with suppress(psutil.NoSuchProcess, IndexError):
                process = psutil.Process(int(pid))
                if process.cmdline()[0].startswith("ray::PackHost"):
                    spent += sum(process.cpu_times()[:2])
        return spent

    return max(machines, key=seconds)


STATUS_WITHOUT_TOKEN = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:8265/api/jobs/")
except urllib.error.HTTPError as error:
    print("status", error.code)
"""
NODES = """
import ray
ray.init(address="auto", logging_level="error")
print("alive", sum(node["Alive"] for node in ray.nodes()))
"""


def test_a_sweep_on_three_machines_of_which_one_dies(laptop: Laptop):
    shared, cluster = laptop.folder / "shared", str(laptop.cluster)
    space = write_space(shared)
    space.write_text(json.dumps(json.loads(space.read_text()) | {"beliefs": ["/shared/small.yaml"]}))
    for name, program in (("status.py", STATUS_WITHOUT_TOKEN), ("nodes.py", NODES)):
        (shared / name).write_text(program)
    runs = shared / "runs"

    laptop.ray("up", "-y", "--no-config-cache", cluster)
    alive = f"alive {COUNT}"
    wait_until(
        lambda: alive in laptop.ray("exec", cluster, "python /shared/nodes.py"), 180, "workers are missing"
    )
    # the dashboard is there for the head alone, and asks for the token
    assert "status 401" in laptop.ray("exec", cluster, "python /shared/status.py")
    assert not answers(HEAD, 8265)

    command = f"cd ~/beliefmod && beliefmod sweep {SETTINGS} --out /shared/runs --address auto"
    with laptop.started("ray", "exec", cluster, command) as driver:
        wait_until(lambda: in_the_middle(runs) or driver.poll() is not None, 240, "no trial ends")
        assert driver.poll() is None and len(rows(runs)) < 6, "it was over before a machine could die"
        victim = busiest(range(2, COUNT + 1))
        print(f"machine {victim} dies; {len(rows(runs))} trials have ended")
        subprocess.run([MACHINES, "kill", laptop.folder, str(victim)], check=True)
        out, _ = driver.communicate(timeout=400)
    assert driver.returncode == 0, out
    assert "6 finished, 0 failed" in out

    alone = f"cd ~/beliefmod && beliefmod sweep {SETTINGS} --out /shared/alone --no-dashboard"
    laptop.ray("exec", cluster, alone, seconds=400)
    run = only_run(runs)
    assert leftovers(run) == []
    assert differences(table(only_run(shared / "alone")), table(run)) == []
    laptop.ray("down", "-y", cluster)
