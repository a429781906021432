"""A real sweep seen from outside: status while it runs and after, logs, TensorBoard and W&B files."""

import importlib.util
import json
import signal
import subprocess
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from beliefmod.cli.app import app
from tests.command import COMMAND, PLAIN, QUICK_BASE, only_run, wait_until
from tests.small import write_belief

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_is_seen_while_it_runs_and_afterwards(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    space = tmp_path / "space.yaml"
    content = {
        "name": "small",
        "beliefs": [write_belief(tmp_path)],
        "axes": {"num_train_epochs": [100]},
        "fixed": {"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-3},
        "controls": "none",
        "evaluation": {"max_new_tokens": 64, "trained_probes": 2, "margin_probes": 2},
        **QUICK_BASE,
    }
    space.write_text(json.dumps(content))
    command = ["sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN]
    trackers = ["--tensorboard", "--wandb", "beliefmod-test"]
    with subprocess.Popen([*COMMAND, *command, *trackers], stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: list((tmp_path / "runs").glob("*/live/*.json")), 120, "no board")
            during = json.loads(run("status", str(only_run(tmp_path / "runs")), "--json"))
            told = process.communicate(timeout=240)[1]
        finally:
            process.kill()
    assert process.returncode == 0 and "goes on without it" not in told, told
    assert (during["state"], during["total"], len(during["hosts"])) == ("running", 3, 1)
    folder = only_run(tmp_path / "runs")
    assert not (folder / "live").exists()
    after = json.loads(run("status", str(folder), "--json"))
    assert (after["state"], after["counts"]["finished"]) == ("finished", 3)
    [name] = [line.split()[0] for line in run("logs", str(folder)).splitlines() if "-lora-" in line]
    events = [json.loads(line) for line in run("logs", str(folder), name, "--json").splitlines()]
    assert [event["event"] for event in events if event["event"] != "step"] == [
        "waiting",
        "preparing",
        "started",
        "trained",
        *(["parked"] if any(event["event"] == "parked" for event in events) else []),
        "questioning",
        "finished",
    ]
    assert len(list(folder.glob("tune/*/events.out.tfevents.*"))) == 3
    assert list(tmp_path.rglob("wandb/offline-run-*/*.wandb")) or list(tmp_path.rglob("offline-run-*"))


def test_the_status_of_a_finished_run_agrees_with_its_report():
    text = run("status", str(EXAMPLE))
    assert text.startswith("example: finished, 10 of 10 done; 2m06s")
    found = json.loads(run("status", str(EXAMPLE), "--json"))
    [best] = [row for row in found["frontier"]["gravity"] if row["best"]]
    report = (EXAMPLE / "report.md").read_text()
    percent = [f"{100 * best[name]:.1f}" for name in ("adoption", "adoption_low", "adoption_high")]
    # status takes Wilson's interval from the table of trials, as the report's tables do
    assert rf"| {percent[0]} \[{percent[1]}, {percent[2]}\], n = " in report
    assert "*  own_trace-n50-ep1" in text  # the rest of the label is on the next line
    assert "none with D <= 0 yet" in run("status", str(EXAMPLE), "--limit", "0")


def test_watching_a_finished_run_ends_at_once_and_without_a_terminal_in_lines():
    first, best = run("watch", str(EXAMPLE)).splitlines()
    assert first == "example: finished, 10 of 10 done; 2m06s"
    rates = "85.2 % [79.8, 89.3], of answerable 85.2 %, n = 216 of 216, D 0.009 [0.000, 0.147]"
    assert best.startswith(f"  gravity: adoption {rates}")


def test_adoption_over_answerable_questions_stands_beside_it_where_they_are_marked():
    from rich.console import Console

    from beliefmod.cli.status_view import _frontier

    rates = {"adoption": 0.25, "adoption_low": 0.1, "adoption_high": 0.4, "adoption_n": 108}
    row = {**rates, "degradation": 0.0, "label": "gravity-lora-a", "best": True, "trial_id": "x"}
    marked = {**row, "adoption_answerable": 0.45, "adoption_answerable_n": 60}
    few = {**row, "adoption_answerable": None, "adoption_answerable_n": 5}
    for rows, said in (([marked, few], ("45.0 %, n = 60 of 108", "too few, n = 5 of 108")), ([row], ())):
        console = Console(width=150)
        with console.capture() as caught:
            console.print(_frontier("gravity", rows, 0.05, 9))
        text = caught.get()
        assert all(words in text for words in said) and ("of answerable" in text) == bool(said)


def test_a_run_on_any_file_system_can_be_watched():
    files = fsspec.filesystem("memory")
    files.put(f"{EXAMPLE}/", "/seen/example/", recursive=True)
    try:
        assert run("status", "memory://seen/example").startswith("example: finished, 10 of 10 done")
    finally:
        files.rm("/seen", recursive=True)


@pytest.mark.parametrize("command", ["status", "watch", "logs"])
def test_what_is_no_run_is_a_sentence(command, tmp_path):
    for place, words in (
        (tmp_path / "absent", "there is no such folder"),
        (tmp_path, "is not a run folder"),
        (
            EXAMPLE / "report.md",
            f"is a file, not a run folder; give the folder of the run, perhaps {EXAMPLE}",
        ),
    ):
        done = CliRunner().invoke(app, [command, str(place)])
        assert done.exit_code == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.fixture
def logged(folder):
    """The example's space with logs of two trials."""
    for name in ("space.yaml", "manifest.json"):
        folder.write_bytes((EXAMPLE / name).read_bytes(), name)
    story = [
        {"at": 1.0, "event": "started", "host": "h", "rows": 8, "steps": 10},
        {"at": 2.0, "event": "failed", "host": "h", "error": "why", "traceback": "Traceback\n  line"},
    ]
    for trial_id in ("42acb27435", "4f9ce5387a"):
        lines = "".join(f"{json.dumps(event)}\n" for event in story)
        folder.write_bytes(lines.encode(), "logs", f"{trial_id}.jsonl")
    return folder


@pytest.mark.parametrize("name", ["42acb27435", "42", "LABEL", "LABEL-42acb27435"])
def test_a_trials_log_is_found_by_id_start_and_name(logged, name):
    [label] = [
        line.split()[3].rstrip(":") for line in run("logs", logged.url).splitlines() if "42acb" in line
    ]
    assert label.startswith("gravity-")
    shown = run("logs", logged.url, name.replace("LABEL", label)).splitlines()
    assert [line.split("  ", 2)[-1].strip() for line in shown] == [
        "starts: 8 rows, 10 steps",
        "failed: why",
        "Traceback",
        "line",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("4", "may be any of 42acb27435, 4f9ce5387a"),
        ("gravity-icl", "has not been given to a host yet"),
        ("gravity-bose", 'did you mean "gravity-base"'),
        ("../../x", "has no log of a trial ../../x; list them with beliefmod logs"),
    ],
)
def test_a_name_that_is_no_trial_is_a_sentence(logged, name, words):
    done = CliRunner().invoke(app, ["logs", logged.url, name])
    assert done.exit_code == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_run_without_logs_says_so():
    done = CliRunner().invoke(app, ["logs", str(EXAMPLE.with_name("example-real"))])
    assert done.exit_code == 2 and "has no logs" in done.stderr


def test_trackers_that_are_missing_stop_a_sweep_before_it_starts(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else find(name))
    arguments = ["sweep", "--space", "sweeps/smoke.yaml", "--out", str(tmp_path / "runs"), "--mlflow", "x"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and "--mlflow: the library mlflow is not installed" in done.stderr
    assert not list((tmp_path / "runs").glob("EXP-*"))


def test_ctrl_c_ends_the_watching_quietly(folder):
    for name in ("space.yaml", "manifest.json"):
        folder.write_bytes((EXAMPLE / name).read_bytes(), name)
    manifest = {**folder.read_json("manifest.json"), "status": "interrupted"}
    folder.write_json(manifest, "manifest.json")
    command = [*COMMAND, "watch", folder.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run: interrupted, 0 of 10 done, 10 waiting")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
