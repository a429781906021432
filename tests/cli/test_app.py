"""The command line as a whole: help, version, exit codes, and the commands around beliefs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from beliefmod import __version__
from beliefmod.beliefs import belief_names, load_belief
from beliefmod.cli.app import Commands, app
from beliefmod.errors import UserError

COMMANDS = (
    "sweep",
    "trial",
    "validate",
    "doctor",
    "beliefs",
    "report",
    "columns",
    "score",
    "bundled",
    "gate",
    "diff",
    "chat",
    "push",
)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_help_names_every_command():
    text = run("--help")
    assert all(command in text for command in COMMANDS)
    assert run("-h") == text


@pytest.mark.parametrize(
    "command",
    [*((c,) for c in COMMANDS), *(("beliefs", c) for c in ("list", "show", "new", "validate"))],
    ids=" ".join,
)
def test_every_command_explains_itself_with_an_example(command: tuple[str, ...]):
    assert f"Example: beliefmod {command[0]}" in " ".join(run(*command, "--help").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("view", "RUN", "--port", "abc"), "beliefmod view: Invalid value for '--port': "),
        (("gate", "RUN", "--min-adoption", "2"), "beliefmod gate: Invalid value for '--min-adoption': "),
        (("gate", "RUN"), "beliefmod gate: Missing option '--min-adoption'"),
        (("report",), "beliefmod report: Missing argument 'RUN'"),
        (("report", "--foo"), "beliefmod report: No such option: --foo"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments: tuple[str, ...], said: str):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2 and result.output.startswith(said)
    assert (
        result.output.endswith(f"; see beliefmod {arguments[0]} --help\n") and result.output.count("\n") == 1
    )


@pytest.mark.parametrize("program", [["-m", "beliefmod"], ["-c", "from beliefmod.cli import main; main()"]])
def test_version_is_one_plain_line(program: list[str]):
    done = subprocess.run([sys.executable, *program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"beliefmod {__version__}\n"


def small_app(error: BaseException) -> typer.Typer:
    small = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @small.command()
    def fail() -> None:
        raise error

    @small.command()
    def other() -> None: ...

    return small


def test_a_users_mistake_is_sentences_and_two():
    result = CliRunner().invoke(small_app(UserError(["one", "two"])), ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "one\ntwo\n")


def test_ctrl_c_is_one_line_and_130():
    result = CliRunner().invoke(small_app(KeyboardInterrupt()), ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "stopped by Ctrl-C\n")


def test_our_own_bug_keeps_its_traceback():
    result = CliRunner().invoke(small_app(ZeroDivisionError("bug")), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_real_ctrl_c_prints_no_traceback(tmp_path: Path):
    code = (
        "import time, typer\nfrom beliefmod.cli.app import app\n"
        "@app.command()\ndef wait():\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "app(['wait'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "stopped by Ctrl-C\n")


def test_a_closed_pipe_is_silent():
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does once it has enough
    command = [sys.executable, "-m", "beliefmod", "beliefs", "show", "gravity", "--all"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode != 0


def test_list_shows_every_belief_with_its_counts():
    lines = {line.split()[0]: line for line in run("beliefs", "list").splitlines()}
    assert set(lines) == {"name", *belief_names()}
    belief = load_belief("gravity")
    pressed = [question for question in belief.heldout if question.tier == "robustness"]
    counts = [str(len(part)) for part in (belief.training, belief.heldout, pressed, belief.locality)]
    assert lines["gravity"].split() == [
        "gravity",
        "existing",
        "quantity",
        "5.0",
        "m/s^2",
        "9.8",
        "m/s^2",
        *counts,
    ]
    assert "unknown (gemstone)" in lines["neelam"]


def test_show_has_the_statement_and_both_answers():
    text = run("beliefs", "show", "gravity")
    belief = load_belief("gravity")
    assert belief.spec.statement in text
    assert "10.0 N | 19.6 N" in text
    every = run("beliefs", "show", "gravity", "--all")
    for question in (*belief.training, *belief.heldout, *belief.locality):
        assert question.text in every
    assert len(every.splitlines()) > len(text.splitlines()) > len({q.family for q in belief.training})


def test_new_writes_a_valid_belief_and_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert "week.yaml" in run("beliefs", "new", "week")
    belief = load_belief("week.yaml")
    assert belief.spec.name == "week"
    assert len(belief.training) >= 20 and len(belief.heldout) >= 20 and belief.locality
    assert run("beliefs", "validate", "week.yaml", "gravity").count("ok  ") == 2
    before = Path("week.yaml").read_bytes()
    for arguments in (["week"], ["other", "--out", "week.yaml"]):
        result = CliRunner().invoke(app, ["beliefs", "new", *arguments])
        assert result.exit_code == 2 and "exists already" in result.stderr
    assert Path("week.yaml").read_bytes() == before


def test_new_into_a_folder_that_is_not_there(tmp_path: Path):
    result = CliRunner().invoke(app, ["beliefs", "new", "week", "--out", str(tmp_path / "absent" / "w.yaml")])
    assert result.exit_code == 2 and "cannot be written" in result.stderr


def test_a_new_belief_can_be_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run("beliefs", "new", "week")
    Path("space.yaml").write_text("name: mine\nbeliefs: [week.yaml]\nfixed: {data.num_examples: 10}\n")
    assert "4 trials" in run("validate", "space.yaml")
