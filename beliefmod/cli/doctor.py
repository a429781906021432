"""`beliefmod doctor`: is this machine ready, and if not, what to do? One function per subject."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from beliefmod.cli.finding import Finding, either
from beliefmod.cli.surroundings import bytecode, clusters, limits, ray_folder
from beliefmod.errors import UserError
from beliefmod.user_files.file_lock import lock_exclusively

GIB = 2**30
MIN_DISK_GIB = 5
MIN_MEMORY_GIB = 4


def doctor(
    runs: Annotated[str, typer.Option(help="The folder that runs are to be written to.")] = "runs",
    ray: Annotated[bool, typer.Option("--ray", help="Also start a local Ray session (seconds).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine: libraries, CPU, GPU, quantisation, disk, limits. Exit 1 on a failure."""
    subjects = {
        "python": python,
        "libraries": libraries,
        "machine": machine,
        "gpu": gpus,
        "nf4": nf4,
        "bytecode": bytecode,
        "limits": limits,
        "temporary folder": ray_folder,
        "clusters": clusters,
        "runs folder": lambda: runs_folder(runs),
        "bundled model": bundled_model,
        **({"ray session": ray_session} if ray else {}),
    }
    findings: list[Finding] = []
    for subject, check in subjects.items():
        for finding in guarded(subject, check):
            findings.append(finding)
            if not as_json:
                typer.echo(f"{finding.status:<4}  {finding.subject:<18}  {finding.found}")
                if finding.fix:
                    typer.echo(f"{'':24}  fix: {finding.fix}")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check's findings; a check that breaks is itself a finding, so that the others still run."""
    found: list[Finding] = []
    try:
        found.extend(check())
    except Exception as error:  # whatever a broken installation raises
        message = str(error).strip().splitlines()[:1]
        found.append(
            Finding(
                "fail",
                subject,
                f"{type(error).__name__}: {''.join(message)}",
                "reinstall with: make setup, or pip install --force-reinstall beliefmod",
            )
        )
    return found


def python() -> Iterator[Finding]:
    """The interpreter and the system."""
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield either(sys.version_info >= (3, 11), "python", found, found, "use Python 3.11 or newer")


def libraries() -> Iterator[Finding]:
    """Every required library: installed version against what beliefmod asks for."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires("beliefmod") or []]
    except PackageNotFoundError:
        yield Finding("warn", "beliefmod", "not installed, only on the path", "run: pip install -e .")
        return
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        fix = f'run: pip install "{str(requirement).partition(";")[0]}"'
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield Finding("fail", requirement.name, "not installed", fix)
            continue
        # a local build such as 2.13.0+cpu fulfils what 2.13.0 does
        fulfilled = requirement.specifier.contains(installed, prereleases=True)
        wanted_too = f"{installed}, wanted {requirement.specifier}"
        yield either(fulfilled, requirement.name, installed, wanted_too, fix)


def machine() -> Iterator[Finding]:
    """CPU cores and memory, as affinity, cgroups and Slurm grant them."""
    from beliefmod.capacity.granted import granted_cores, granted_memory

    yield Finding("ok", "cpu", f"{granted_cores()} cores usable")
    total, free = granted_memory()
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    fix = f"close other programs; a run of the bundled model wants {MIN_MEMORY_GIB} GiB"
    yield either(free >= MIN_MEMORY_GIB * GIB, "memory", text, text, fix, "warn")


def gpus() -> Iterator[Finding]:
    """NVIDIA GPUs as torch sees them."""
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            yield Finding(
                "warn",
                "gpu",
                f"nvidia-smi is here, but torch {torch.__version__} cannot use a GPU",
                "install a CUDA build of torch, and check the driver with: nvidia-smi",
            )
        else:
            yield Finding("ok", "gpu", "none; everything runs on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(
            "ok", f"gpu {index}", f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, CUDA works"
        )


def nf4() -> Iterator[Finding]:
    """bitsandbytes' NF4 forward and backward, and the trap of its CPU kernels."""
    import torch

    from beliefmod.model.quiet import quiet_libraries
    from beliefmod.model.self_test import nf4_test

    quiet_libraries()  # a remark of bitsandbytes would stand between the findings
    # on a GPU models are in bf16
    on_gpu = (("cuda", "float32"), ("cuda", "bfloat16")) if torch.cuda.is_available() else ()
    for device, dtype in (("cpu", "float32"), *on_gpu):
        test = nf4_test(device, dtype)
        yield either(
            test.right,
            f"nf4 on {device}" + (" in bf16" if dtype == "bfloat16" else ""),
            "training and answers match the dequantised product",
            f"relative error {test.forward:.1e} forward, {test.gradient:.1e} backward, {test.answers:.1e} in "
            "products without gradients",
            "set base_storage: none in the space file, or install another bitsandbytes",
        )
        if device != "cpu":
            continue
        if not test.guard_needed:
            yield Finding("ok", "nf4 guard", "not needed: evaluation leaves NF4 weights alone here")
            continue
        yield either(
            test.works,
            "nf4 guard",
            "needed (bitsandbytes repacks for AVX512-BF16 here), and it holds",
            f"training after an evaluation has gradients {test.after_eval:.0%} wrong",
            "keep base_storage: dequantized (the default), or install bitsandbytes 0.50.2",
        )


def runs_folder(runs: str) -> Iterator[Finding]:
    """Whether runs can be written, and how much room is left."""
    if "://" in runs:
        from beliefmod.run.folder import RunFolder

        RunFolder(f"{runs.rstrip('/')}/.doctor").create()
        yield Finding("ok", "runs folder", f"{runs} can be written")
        return
    folder = Path(runs).absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            locks = lock_exclusively(file)
    except OSError as error:
        fix = "give a folder you may write to with --runs (and with --out to sweep)"
        yield Finding("fail", "runs folder", f"{runs} cannot be written ({error.strerror})", fix)
        return
    if not locks:
        fix = "see to it yourself that no two commands work on one run, or give another folder with --runs"
        yield Finding("warn", "locks", f"the file system of {runs} has none", fix)
    free = shutil.disk_usage(folder).free / GIB
    text = f"{runs} can be written, {free:.0f} GiB free"
    fix = f"free some space; {MIN_DISK_GIB} GiB is comfortable"
    yield either(free >= MIN_DISK_GIB, "runs folder", text, text, fix, "warn")


def bundled_model() -> Iterator[Finding]:
    """The shipped weights and their fingerprint."""
    from beliefmod.model.source import find_source

    try:
        source = find_source("bundled")
    except UserError as error:
        fix = "take a whole copy of the repository, or name another model with --model"
        yield Finding("fail", "bundled model", str(error), fix)
        return
    size = sum(path.stat().st_size for path in source.weight_files()) / 2**20
    yield Finding("ok", "bundled model", f"{size:.1f} MiB, fingerprint {source.fingerprint()[:12]}")


def ray_session() -> Iterator[Finding]:
    """Start a local Ray session, run one task in it, stop it. Takes seconds."""
    import ray

    from beliefmod.fleet.cluster import session

    start = time.monotonic()
    # "local": a session of its own also where somebody else's cluster runs on this machine
    with session("local", "beliefmod-doctor", dashboard=False):
        answer = ray.get(ray.remote(_task).remote(), timeout=120)
    found = f"a local session ran a task in {time.monotonic() - start:.0f} s"
    yield either(
        answer == 42, "ray session", found, found, "see the files under /tmp/ray/session_latest/logs"
    )


def _task() -> int:
    return 42
