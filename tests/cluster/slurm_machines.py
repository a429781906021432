"""Slurm's real daemons on the "machines" of machines.sh: a controller here, a slurmd on each."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from beliefmod.capacity.granted import CGROUPS
from tests.command import wait_until

ROOT = Path(__file__).parents[2]
MACHINES = Path(__file__).with_name("machines.sh")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "ip", "nsenter")
CONTROLLER, COUNT = "10.78.0.1", 2
SLURM_CONF = """
ClusterName=bmtest
SlurmctldHost={host}({controller})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=20
KillWait=30
ReturnToService=2
MpiDefault=none
GresTypes=gpu
NodeName=DEFAULT CPUs={cores} Sockets=1 CoresPerSocket={cores} RealMemory=6000 Gres=gpu:1
NodeName=bmtest[1-2] NodeAddr=10.78.0.1[1-2]
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 MaxTime=UNLIMITED
PartitionName=high Nodes=ALL PriorityTier=2
"""
CGROUP_CONF = "CgroupPlugin=cgroup/v1\nConstrainCores=yes\nConstrainRAMSpace=yes\n"


def lacking() -> str | None:
    """Why these daemons cannot run here, None if they can."""
    if os.environ.get("BELIEFMOD_MACHINES") != "1":
        return "takes minutes: set BELIEFMOD_MACHINES=1, or use `make machines`"
    if os.geteuid() != 0:
        return "Slurm's daemons and namespaces need root"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if missing := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        return f"lacks {', '.join(missing)}: apt install slurm-wlm munge iproute2"
    if not (CGROUPS / "freezer").is_dir():
        return "the test's Slurm is set up for cgroups of version 1, and this host has none"
    return None


class SlurmMachines:
    """Two nodes with a GPU each, which is one in name only. `folder` / "shared" is /shared on both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shared = folder, folder / "shared"
        self.environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "SLURM_CONF": str(folder / "slurm.conf"),
        }
        self.environment["SERVER"] = f"env SLURM_CONF={folder / 'slurm.conf'} slurmd -D"

    def up(self) -> None:
        """Start everything; wait until both nodes are idle."""
        for name in ("state", "munge", *(f"spool/bmtest{i}" for i in range(1, COUNT + 1))):
            (self.folder / name).mkdir(parents=True)
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(64))
        (munge / "key").chmod(0o600)
        cores = os.cpu_count() or 1
        conf = SLURM_CONF.format(
            host=socket.gethostname(), controller=CONTROLLER, folder=self.folder, cores=cores
        )
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        files = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        self._run("munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items()))
        self._run(str(MACHINES), "up", str(self.folder), str(COUNT))
        self._run("slurmctld")
        self.wait_for_nodes()

    def down(self) -> None:
        """End everything that was started, whatever its state."""
        with suppress(subprocess.CalledProcessError):
            self._run("scancel", "--user=root", "--signal=KILL", "--full")
        for path in (self.folder / "slurmctld.pid", self.folder / "munge" / "pid"):
            with suppress(OSError, ValueError):
                os.kill(int(path.read_text()), 15)
        self._run(str(MACHINES), "down", str(self.folder), str(COUNT))
        with suppress(AssertionError):  # what was killed is not gone at once
            wait_until(lambda: not _cgroups_left(), 10)

    def wait_for_nodes(self) -> None:
        """Until both take jobs."""
        wait_until(
            lambda: self._run("sinfo", "-h", "-N", "-p", "low", "-o", "%T").split() == ["idle"] * COUNT, 60
        )

    def lose(self, machine: int) -> None:
        """One machine dies, with all its processes."""
        self._run(str(MACHINES), "kill", str(self.folder), str(machine))

    def boot(self, machine: int) -> None:
        """It comes back, empty."""
        self._run(str(MACHINES), "boot", str(self.folder), str(machine))

    def submit(self, *options: str, script: Path | None = None, arguments: tuple[str, ...] = ()) -> str:
        """`sbatch`, from /tmp; the job's number. Without a script a job that does nothing for 3 seconds."""
        what = [str(script), *arguments] if script else ["--wrap=sleep 3"]
        said = self._run("sbatch", "--chdir=/tmp", *options, *what)
        return re.findall(r"Submitted batch job (\d+)", said)[0]

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says, by name."""
        words = self._run("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def limit(self, number: str, minutes: int) -> None:
        """Set a job's time limit."""
        self._run("scontrol", "update", f"JobId={number}", f"TimeLimit={minutes}")

    def cancel(self, number: str) -> None:
        """`scancel`."""
        self._run("scancel", number)

    def read_model_from(self, machine: int) -> set[str]:
        """HF_HOME of the engines on a machine, where the models' files must be."""
        found = set()
        for pid in self._pids(machine):
            with suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_text().startswith("ray::PackHost"):
                    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
                    [home] = [word.partition("=")[2] for word in words if word.startswith("HF_HOME=")]
                    assert list(Path(f"/proc/{pid}/root{home}").glob("hub/*/snapshots/*/*.safetensors"))
                    found.add(home)
        return found

    def processes(self, machine: int) -> list[str]:
        """Command lines of what runs on a machine, its own slurmd aside."""
        found = []
        for pid in self._pids(machine):
            with suppress(OSError):
                found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        return [line for line in found if "slurmd" not in line]

    def _pids(self, machine: int) -> list[str]:
        return self._run("ip", "netns", "pids", f"bmtest{machine}").split()

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return done.stdout


def _cgroups_left() -> list[Path]:
    """Slurm's cgroups of these nodes (of version 1) that hold processes; the others are removed."""
    for folder in sorted(CGROUPS.glob("*/slurm_bmtest*/**/"), reverse=True):
        with suppress(OSError):
            folder.rmdir()
    return list(CGROUPS.glob("*/slurm_bmtest*"))
