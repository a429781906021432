"""`beliefmod chat`: talk to a trial's adapter, to base, and to base with the statement in its prompt."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.options import Run
from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from beliefmod.cli.chat_view import ChatView
    from beliefmod.probing.conversation import Chat, ChatArm

COMMANDS = {
    "/base": "the model without the adapter answers from now on",
    "/icl": "the model without the adapter answers, with the statement in its prompt",
    "/scale": "the adapter answers, its update times a number: /scale 1 is as trained, /scale 0.5 half of it",
    "/beside": "an arm answers beside the first: /beside base, /beside icl, /beside 0.5; /beside off ends it",
    "/again": "ask the last message again, of the arms that answer now",
    "/new": "begin a new conversation",
    "/help": "show these",
    "/quit": "end; Ctrl-D ends too, and Ctrl-C stops an answer",
}
PROMPT = "> "


def chat(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Its id, or the start of its id.")],
    beside: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="Who answers beside it: base, icl, or a scale such as 0.5."),
    ] = None,
    scale: Annotated[
        float, typer.Option(metavar="NUMBER", help="The adapter's update times this answers at first.")
    ] = 1.0,
) -> None:
    """Talk to a finished trial; its answers come as they are written, as the run had them written.

    Typed in the conversation: /base, /icl and /scale 0.5 exchange who answers,
    /beside base puts a second one beside, /again asks the last message again,
    /new begins anew, /help lists all, /quit or Ctrl-D ends. Ctrl-C stops an
    answer. A switch keeps the turns so far; /new does not. What is piped in is
    taken line by line.
    """
    from beliefmod.cli.chat_view import view_for

    second = None if beside is None else _arm(beside, "--beside")
    talk = Talk(_opened(run, trial), view_for(_on_terminal()), _first(scale), second)
    for line in _lines():
        if not talk.take(line):
            return


class Talk:
    """What is typed, line by line: messages for the arms that answer, and commands that exchange them."""

    def __init__(self, chat: Chat, view: ChatView, first: ChatArm, second: ChatArm | None = None) -> None:
        from beliefmod.probing.conversation import Conversation

        self.chat, self.view = chat, view
        self.sides = [Conversation(arm) for arm in (first, second) if arm is not None]
        self._last: str | None = None

    def take(self, line: str) -> bool:
        """Do what a line says; False if it ends the talk. What is wrong with it is said, and nothing is
        done."""
        line = line.strip()
        word, _, rest = line.partition(" ")
        if word == "/quit":
            return False
        try:
            if not line.startswith("/"):
                if line:
                    self._ask(line)
            elif word in COMMANDS:
                self._do(word, rest.strip())
            else:
                raise UserError(f"{word}: is no command{did_you_mean(word, COMMANDS)}")
        except UserError as error:
            for problem in error.problems:
                typer.echo(problem, err=True)
        return True

    def _do(self, word: str, rest: str) -> None:
        from beliefmod.probing.conversation import ChatArm

        if rest and word not in ("/scale", "/beside"):
            raise UserError(f"{word}: takes nothing behind it")
        match word:
            case "/help":
                for name, meaning in COMMANDS.items():
                    typer.echo(f"{name:8} {meaning}")
            case "/new":
                for side in self.sides:
                    side.turns.clear()
                self._last = None
            case "/again":
                self._again()
            case "/beside":
                self._beside(rest)
            case "/scale":
                self.sides[0].arm = _arm(rest, word, scales_only=True)
            case _:
                self.sides[0].arm = ChatArm(told=word == "/icl")
        if word in ("/base", "/icl", "/scale", "/beside"):
            typer.echo(f"now: {' beside '.join(side.arm.name for side in self.sides)}", err=True)

    def _beside(self, rest: str) -> None:
        from beliefmod.probing.conversation import Conversation

        if rest == "off":
            del self.sides[1:]
            return
        arm = _arm(rest, "/beside")
        if len(self.sides) > 1:
            self.sides[1].arm = arm
        else:
            self.sides.append(Conversation(arm, list(self.sides[0].turns)))

    def _again(self) -> None:
        if self._last is None:
            raise UserError("/again: nothing has been asked in this conversation yet")
        for side in self.sides:
            if side.turns and side.turns[-1][0] == self._last:
                side.turns.pop()
        self._ask(self._last)

    def _ask(self, message: str) -> None:
        from beliefmod.engine.jobs import EngineError

        self._last = message
        names = [side.arm.name for side in self.sides]
        try:
            with stoppable() as check, self.view.answering(names, self.chat.opens_with) as show:

                def look(place: int, text: str) -> None:
                    check()
                    show(place, text)

                self.chat.ask(self.sides, message, look)
        except Stopped:
            typer.echo("(stopped: no part of the conversation; /again asks it again)", err=True)
        except EngineError as error:
            raise UserError(f"{error}; /new begins a new conversation") from None


class Stopped(Exception):
    """Ctrl-C was pressed while an answer was being written."""


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Within the block Ctrl-C is kept until the function that it gives is called, which then raises
    `Stopped`: an engine is left between two passes, not within one. A second Ctrl-C does not wait."""
    pressed = False

    def note(*_: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def check() -> None:
        if pressed:
            raise Stopped

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def _arm(text: str, given_as: str, scales_only: bool = False) -> ChatArm:
    """An arm by its name or a scale. Raises UserError if it is neither."""
    from beliefmod.probing.conversation import ChatArm

    if text in ("base", "icl") and not scales_only:
        return ChatArm(told=text == "icl")
    try:
        return _first(float(text))
    except ValueError:
        names = "a number such as 0.5" if scales_only else "base, icl or a number such as 0.5"
        raise UserError(f"{given_as} {text or '(nothing)'}: give {names}") from None


def _first(scale: float) -> ChatArm:
    from math import isfinite

    from beliefmod.probing.conversation import ChatArm

    if not isfinite(scale):
        raise UserError(f"scale {scale:g}: give a finite number; 1 is the adapter as trained, 0 is base")
    return ChatArm(scale)


def _opened(run: str, asked: str) -> Chat:
    """The run's model with a trial's adapter.

    Raises:
        UserError: no run, no such adapter, or a model that is not there or is another than the run's.
    """
    from beliefmod.run.adapter_export import adapter_of, kept_adapter
    from beliefmod.run.folder import RunFolder
    from beliefmod.run.same_model import check_same_model, source_of
    from interp.opened.listing import finished_trials

    folder = RunFolder.open(run)
    trial_id = adapter_of(folder, asked)
    listed = finished_trials(folder)
    trial = next((one for one in (*listed.trained, *listed.altered) if one.trial_id == trial_id), None)
    if trial is None:
        raise UserError(f"{folder.url}: trial {trial_id} has an adapter and no finished row; resume the run")
    source = source_of(folder, listed.spec)
    check_same_model(folder, source)
    typer.echo(f"loading {source.name}", err=True)
    # what follows takes seconds to import
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import load_model
    from beliefmod.probing.conversation import Chat
    from beliefmod.probing.decoding_words import decoding_words
    from beliefmod.probing.session import Session

    adapter, spec = kept_adapter(folder, trial_id), listed.spec
    loaded = load_model(spec.model, source.commit, spec.base_storage, chat=spec.chat)
    engine = Engine(loaded, slots=2, max_rank=adapter.rank)
    session = Session(loaded, engine, spec.evaluation, spec.seeds[0], folder).of(trial.config.template)
    decoding = session.decoding
    typer.echo(
        f"{trial_id}: {trial.config.label}; answers: {decoding_words(decoding.facts())}, at most "
        f"{decoding.max_new_tokens} tokens; /help shows what can be typed",
        err=True,
    )
    return Chat(session, adapter, listed.beliefs[trial.belief].spec.context, trial.config.seed)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _lines() -> Iterator[str]:
    """What is typed or piped in, up to its end. On a terminal Ctrl-C at the prompt drops the line."""
    if not _on_terminal():
        for line in sys.stdin:
            if line.strip():
                typer.echo(f"{PROMPT}{line.strip()}")
            yield line
        return
    import readline  # noqa: F401 (lines can be edited, and earlier ones come back)

    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            typer.echo("\n/quit or Ctrl-D ends", err=True)
