"""A real Prometheus that scrapes a real sweep: every query of the shipped Grafana board gives data."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import COMMAND, PLAIN, QUICK_BASE, only_run, wait_until
from tests.small import write_belief

BINARY = shutil.which("prometheus")
BOARD = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "beliefmod.json").read_text())
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
FAST = {"RAY_metrics_report_interval_ms": "1000", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
"""Ray exports every 10 seconds, which a sweep for tests does not live long enough for."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(
        BINARY is None, reason="no prometheus is installed (Debian: apt-get install prometheus)"
    ),
]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


@contextmanager
def started(command: list[str], log: Path) -> Iterator[None]:
    """A process, and what it starts, until the end."""
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **FAST}, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def ask(url: str, path: str, **values: Any) -> Any:
    """The data of an answer of Prometheus."""
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(values)}", timeout=10) as reply:
        return json.load(reply)["data"]


def answers(url: str) -> bool:
    """Whether a Prometheus is up."""
    try:
        return bool(ask(url, "query", query="vector(1)"))
    except OSError:
        return False


def test_every_query_of_the_board_gives_data(tmp_path):
    # paths of Ray's sockets must be short
    with tempfile.TemporaryDirectory(prefix="bm-", dir="/tmp") as short:
        address, place = f"127.0.0.1:{free_port()}", Path(short)
        head = ["ray", "start", "--head", "--block", "--temp-dir", short, "--num-cpus=2"]
        ports = [f"--port={address.partition(':')[2]}", f"--dashboard-port={free_port()}"]
        small = ["--object-store-memory=80000000", "--disable-usage-stats"]
        ray = str(Path(COMMAND[0]).with_name("ray"))
        with started([ray, *head[1:], *ports, *small], tmp_path / "ray.log"):
            config = place / "session_latest" / "metrics" / "prometheus" / "prometheus.yml"
            targets = place / "prom_metrics_service_discovery.json"
            wait_until(lambda: config.exists() and targets.exists(), 60, (tmp_path / "ray.log").read_text())
            ours = tmp_path / "prometheus.yml"
            ours.write_text(config.read_text().replace(": 10s", ": 1s"))
            url = f"http://127.0.0.1:{free_port()}"
            options = [f"--config.file={ours}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
            with started(
                [str(BINARY), *options, f"--web.listen-address={url[7:]}"], tmp_path / "prometheus.log"
            ):
                wait_until(lambda: answers(url), 60, "prometheus does not answer")
                began = time.time()
                run = swept(tmp_path, address)
                check_board(url, run, began)


def swept(folder: Path, address: str) -> str:
    """The name of a small sweep's run."""
    space = folder / "space.yaml"
    content = {
        "name": "small",
        "beliefs": [write_belief(folder)],
        "axes": {"num_train_epochs": [40, 60, 80]},
        # so little training leaves the model whole: there is a best trial
        "fixed": {"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-6},
        "controls": "none",
        "evaluation": {"max_new_tokens": 64, "trained_probes": 2, "margin_probes": 2},
        **QUICK_BASE,
    }
    space.write_text(yaml.safe_dump(content))
    options = ["--space", str(space), "--out", str(folder / "runs"), "--address", address, *PLAIN]
    done = subprocess.run(
        [*COMMAND, "sweep", *options], capture_output=True, text=True, timeout=240, env={**os.environ, **FAST}
    )
    assert done.returncode == 0, done.stderr
    return only_run(folder / "runs").name


def check_board(url: str, run: str, began: float) -> None:
    """Every panel has a curve, with the labels that its legend names; the run can be chosen."""
    assert run in ask(url, "label/run/values", **{"match[]": "ray_beliefmod_trials"})
    span = {"start": began, "end": time.time() + 5, "step": 1}
    found = {}
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$run", run)
            curves = ask(url, "query_range", query=expression, **span)["result"]
            assert curves, f"{panel['title']}: no data for {expression}"
            legend = target["legendFormat"]
            if "{{" in legend:
                label = legend.partition("{{")[2].partition("}}")[0]
                assert all(label in curve["metric"] for curve in curves), legend
            found[target["expr"]] = curves
    states = {curve["metric"]["state"] for curve in found[EXPRESSIONS[0]]}
    assert states == {"waiting", "training", "finished", "failed", "stopped"}
    [finished] = [curves for expression, curves in found.items() if 'state="finished"' in expression]
    assert float(finished[0]["values"][-1][1]) == 5  # base, in context, three trained
