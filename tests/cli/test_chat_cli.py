"""What is typed into `beliefmod chat`: messages, commands that exchange the arms, and Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from beliefmod.cli import chat as chat_command
from beliefmod.cli.app import app
from beliefmod.cli.chat import Stopped, Talk, stoppable
from beliefmod.cli.chat_view import Lines, beside
from beliefmod.model.think_marks import Reply
from beliefmod.probing.conversation import ChatArm

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"


class Scripted:
    """Answers with who was asked, how many turns there were before, and what was asked."""

    opens_with = "<think>\n"

    def __init__(self) -> None:
        self.interrupts = 0

    def ask(self, conversations, asked, on_text):
        answers = [f"{one.arm.name}/{len(one.turns)}: {asked}" for one in conversations]
        for size in (4, 99):
            for place, answer in enumerate(answers):
                if self.interrupts and size == 99:
                    self.interrupts -= 1
                    os.kill(os.getpid(), signal.SIGINT)
                on_text(place, answer[:size])
        for one, answer in zip(conversations, answers, strict=True):
            one.turns.append((asked, Reply("", answer)))
        return answers


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    made = Scripted()
    monkeypatch.setattr(chat_command, "_opened", lambda run, trial: made)
    return made


def typed(*lines: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
    """What is said on standard output, and beside it."""
    text = "".join(f"{line}\n" for line in lines)
    done = CliRunner().invoke(app, ["chat", "RUN", "TRIAL", *options], input=text)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_an_answer_stands_under_its_arm_behind_what_was_asked(scripted):
    assert typed("hello")[0] == "> hello\n[scale 1]\n<think>\nscale 1/0: hello\n"


def test_a_switch_keeps_the_turns_and_new_drops_them(scripted):
    said, beside_it = typed("a", "/base", "b", "/icl", "c", "/scale 0.5", "/new", "d")
    answers = [line for line in said.splitlines() if ": " in line]
    assert answers == ["scale 1/0: a", "base/1: b", "icl/2: c", "scale 0.5/0: d"]
    assert beside_it.splitlines() == ["now: base", "now: icl", "now: scale 0.5"]


def test_again_asks_the_same_in_place_of_the_last_turn(scripted):
    said, _ = typed("a", "b", "/base", "/again", "/again")
    answers = [line for line in said.splitlines() if ": " in line]
    assert answers == ["scale 1/0: a", "scale 1/1: b", "base/1: b", "base/1: b"]


def test_a_second_arm_answers_beside_with_the_turns_so_far(scripted):
    said, _ = typed("a", "/beside base", "b", "/beside 2", "c", "/beside off", "d")
    answers = [line for line in said.splitlines() if ": " in line]
    assert answers == [
        "scale 1/0: a",
        "scale 1/1: b",
        "base/1: b",
        "scale 1/2: c",
        "scale 2/2: c",
        "scale 1/3: d",
    ]
    assert "base/0: a" in typed("a", options=("--beside", "base", "--scale", "2"))[0]


def test_quit_ends_and_help_lists_every_command(scripted):
    said, _ = typed("/help", "/quit", "never asked")
    assert all(f"\n{name} " in f"\n{said}" for name in chat_command.COMMANDS) and "never" not in said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/bas", '/bas: is no command, did you mean "/base"?'),
        ("/scale", "/scale (nothing): give a number such as 0.5"),
        ("/scale base", "/scale base: give a number"),
        ("/scale nan", "give a finite number"),
        ("/beside nobody", "/beside nobody: give base, icl or a number such as 0.5"),
        ("/new now", "/new: takes nothing behind it"),
        ("/again", "/again: nothing has been asked"),
    ],
)
def test_what_is_wrong_is_said_and_the_talk_goes_on(scripted, line: str, says: str):
    said, beside_it = typed(line, "a")
    assert says in beside_it and "scale 1/0: a" in said


def test_a_wrong_option_ends_before_a_model_is_loaded():
    done = CliRunner().invoke(app, ["chat", "RUN", "TRIAL", "--beside", "nobody"])
    assert done.exit_code == 2 and "--beside nobody: give base, icl or a number" in done.stderr


def test_a_run_without_adapters_says_so():
    done = CliRunner().invoke(app, ["chat", str(EXAMPLE), "8a01"])
    assert done.exit_code == 2 and "its adapters were deleted on" in done.stderr


def test_ctrl_c_stops_an_answer_and_not_the_talk(scripted, capsys):
    talk = Talk(scripted, Lines(), ChatArm(1.0))  # type: ignore[arg-type]
    scripted.interrupts = 1
    assert talk.take("a") and talk.take("/again")
    said = capsys.readouterr()
    assert "stopped" in said.err and "scal\n" in said.out and "scale 1/0: a\n" in said.out
    assert [len(side.turns) for side in talk.sides] == [1]


def test_a_second_ctrl_c_does_not_wait():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stoppable() as check:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            check()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_columns_stand_beside_each_other_and_take_nothing_for_markup():
    shown = io.StringIO()
    console = Console(file=shown, width=44)
    console.print(beside(["scale 1", "base"], ["<think>\n[bold]five[/bold]", "It is [9.8]."]))
    first, second, third = (line.split() for line in shown.getvalue().splitlines())
    assert first == ["[scale", "1]", "[base]"] and second[0] == "<think>" and second[-1] == "[9.8]."
    assert third == ["[bold]five[/bold]"]
