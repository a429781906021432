"""A conversation with an arm of a finished run: base, base with the statement, or an adapter at any scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beliefmod.engine.jobs import GenerateRequest
from beliefmod.model.altered_adapters import scaled
from beliefmod.model.prompts import in_context
from beliefmod.model.think_marks import THINK_OPEN
from beliefmod.probing.questioning import reply_of
from beliefmod.probing.session import Session, probe_seed

if TYPE_CHECKING:
    from beliefmod.model.adapter_files import AdapterFile
    from beliefmod.model.think_marks import Reply

OnText = Callable[[int, str], None]
"""Gets all of an answer's text so far, thinking included, with the place of its arm among those asked."""
UNFINISHED = "\ufffd"
"""What a decoder puts where the bytes of a letter have not all been written yet."""


@dataclass(frozen=True)
class ChatArm:
    """Who answers: the adapter times `scale`, base where that is 0; with the statement in front if `told`."""

    scale: float = 0.0
    told: bool = False

    @property
    def name(self) -> str:
        """`base`, `icl` or `scale 0.5`: the command that switches to it, without its slash."""
        return "icl" if self.told else f"scale {self.scale:g}" if self.scale else "base"


@dataclass
class Conversation:
    """The turns between a user and an arm, which may be exchanged between turns."""

    arm: ChatArm
    turns: list[tuple[str, Reply]] = field(default_factory=list)

    def messages(self, asked: str, context: str) -> list[str | Reply]:
        """What the arm is given: the turns so far and a new message, the statement in front of the first
        one if the arm is told it."""
        said = [each for turn in self.turns for each in turn] + [asked]
        return [in_context(context if self.arm.told else None, str(said[0])), *said[1:]]


class Chat:
    """Answers of the arms around one adapter, written side by side.

    Args:
        session: the run's model on an engine with a slot for each conversation, asking as the run asked.
        adapter: of the trial. context: the statement that the in-context arm has in its prompt.
        seed: of the trial; where answers are sampled no two are drawn alike.
    """

    def __init__(self, session: Session, adapter: AdapterFile, context: str, seed: int = 0) -> None:
        self.session, self.adapter, self.context, self._seed = session, adapter, context, seed
        self._asked = 0

    @property
    def opens_with(self) -> str:
        """What the prompt itself has put in front of an answer: the opening mark of thinking, or nothing."""
        return f"{THINK_OPEN}\n" if self.session.opened_by == "prompt" else ""

    def ask(self, conversations: Sequence[Conversation], asked: str, on_text: OnText) -> list[str]:
        """Put a message to every conversation; the answers, which are then turns of them.

        Raises:
            EngineError: a conversation is too long for the model; nothing has changed then.
            Whatever `on_text` raises, which ends the answers; they are no turns then.
        """
        session, engine = self.session, self.session.engine
        names = self._placed([one.arm.scale for one in conversations])
        requests = []
        for one in conversations:
            first, *later = one.messages(asked, self.context)
            seed = probe_seed(self._seed, self._asked)
            ids = session.prompts.ids(first, *later)
            requests.append(GenerateRequest(names.get(one.arm.scale), ids, seed))
        self._asked += 1

        def written(tokens: Mapping[int, tuple[int, ...]]) -> None:
            for place, ids in tokens.items():
                on_text(place, session.decode(ids).rstrip(UNFINISHED))

        found = engine.generate(
            requests, session.decoding.max_new_tokens, session.decoding.sampling, on_written=written
        )
        answers = [session.decode(each.token_ids) for each in found]
        for one, answer in zip(conversations, answers, strict=True):
            one.turns.append((asked, reply_of(answer, session.opened_by)))
        return answers

    def _placed(self, scales: Sequence[float]) -> dict[float, str]:
        """The adapter at these scales in the engine, by scale; base, at 0, needs none."""
        engine, wanted = self.session.engine, {scale for scale in scales if scale}
        names = {scale: f"adapter at {scale!r}" for scale in wanted}
        for gone in set(engine.attached()) - set(names.values()):
            engine.release(gone)
        for scale in wanted:
            if names[scale] not in engine.attached():
                engine.put_adapter(scaled(self.adapter, scale), names[scale])
        return names
