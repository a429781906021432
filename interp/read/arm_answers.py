"""What the arms said, question by question, and where in it they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question
from beliefmod.errors import UserError
from beliefmod.model.template import empty_thinking
from beliefmod.probing.questioning import in_context
from interp.lens_settings import LensSettings
from interp.opened.listing import first_of_belief
from interp.prompts.stems import lens_questions
from interp.prompts.value_places import ValuePlace, closed_thinking, value_places
from interp.read.sites import Site
from interp.read.trajectories import Subject

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from interp.opened.inspection import Inspection, Trained
    from interp.read.contrast_questions import Posed

Row = dict[str, Any]


@dataclass(frozen=True)
class Voice:
    """An arm with its completions.

    Attributes:
        said: its rows of the probes table by probe_id, held-out questions only.
    """

    subject: Subject
    said: Mapping[str, Row]

    def who(self, belief: Belief) -> Row:
        """The columns that say whose row it is."""
        return {"trial_id": self.subject.trial_id, "arm": self.subject.arm, "belief": belief.spec.name}


def voices(
    inspection: Inspection, trials: Sequence[Trained], settings: LensSettings
) -> dict[str, tuple[Voice, ...]]:
    """The arms of a batch by belief: the untrained ones of beliefs whose first batch it is, then the trials.

    Raises:
        UserError: a reference has no probes in the run.
    """
    first = first_of_belief(inspection, trials, deep=False, settings=settings)
    found: dict[str, tuple[Voice, ...]] = {}
    for belief in dict.fromkeys(trial.belief for trial in trials):
        untrained = [arm for arm in ("base", "icl") if arm in settings.arms and belief in first]
        trained = [t for t in trials if t.belief == belief] if "lora" in settings.arms else []
        found[belief] = (
            *(reference_voice(inspection, belief, arm) for arm in untrained),
            *(voice_of(inspection, Subject(t.trial_id, t.config.arm, "lora", t.trial_id)) for t in trained),
        )
    return found


def reference_voice(inspection: Inspection, belief: str, arm: str) -> Voice:
    """An untrained arm's, "base" or "icl".

    Raises:
        UserError: it has no probes in the run.
    """
    trial_id = inspection.references[belief, arm].trial_id
    return inspection.once(
        ("voice", trial_id), lambda: voice_of(inspection, Subject(trial_id, arm, arm, None))
    )


def voice_of(inspection: Inspection, subject: Subject) -> Voice:
    """An arm's with its rows as the run has them.

    Raises:
        UserError: it has no probes in the run.
    """
    rows = inspection.folder.finished_rows("probes", subject.trial_id)
    if rows is None:
        raise UserError(
            f"{inspection.folder.url}: probes/{subject.trial_id}.parquet cannot be read; `beliefmod resume` "
            "makes it again"
        )
    held_out = [row for row in rows if row["suite"] == "belief" and row["tier"] != "trained"]
    return Voice(subject, {row["probe_id"]: row for row in held_out})


def asked_of(voice: Voice, belief: Belief, count: int) -> list[tuple[Question, Row]]:
    """The questions of the lens that this arm was asked, with its rows."""
    return [(q, voice.said[q.probe_id]) for q in lens_questions(belief, count) if q.probe_id in voice.said]


def prompt_of(stem: str, question: Question, belief: Belief, session: Session) -> tuple[int, ...]:
    """Token ids of the prompt that an arm ("base", "icl", "lora") is asked a question with."""
    context = belief.spec.context if stem == "icl" else None
    return session.prompts.ids(in_context(context, question.text))


def own_sites(voice: Voice, question: Question, belief: Belief, session: Session) -> dict[str, Site]:
    """Where an arm's own completion names a value: "thinking", "answer", as far as it does.

    Raises:
        UserError: the stored completion was given to another prompt than this version makes.
    """
    row = voice.said[question.probe_id]
    places = value_places(row, question, belief.spec, session.loaded.tokenizer)
    prompt = prompt_of(voice.subject.stem, question, belief, session)
    if places and session.prompts.text(prompt) != row["prompt"]:
        raise UserError(
            f"trial {voice.subject.trial_id}, {question.probe_id}: the prompt in the run is not the one that "
            "the belief's copy and the model's chat template give now; the sweep must be run again with them"
        )
    base = prompt_of("base", question, belief, session)
    return {part: _site(place, prompt, base, voice.subject.adapter) for part, place in places.items()}


def _site(place: ValuePlace, prompt: tuple[int, ...], base: tuple[int, ...], adapter: str | None) -> Site:
    return Site(
        (*prompt, *place.ids), (*base, *place.ids), adapter, place.target_id, place.prior_id, place.side
    )


def answer_site(
    subject: Subject,
    posed: Posed,
    belief: Belief,
    session: Session,
    row: Row,
    length: int | None = None,
) -> Site | None:
    """Where the worlds part in the begun answer of a stem, after thinking that stands in a probe row.

    The two tokens are those compared at the end of the stem, for a novel belief too: its rival is base's
    likeliest token there, whatever is read in front.

    Args:
        posed: the question with its stems.
        row: whose thinking, its think block intact: the arm's own, or base's.
        length: characters of it that are kept, all by default; 0 is the stem itself.

    Returns:
        None where that thinking cannot be found among its token ids.
    """
    tokenizer, stem = session.loaded.tokenizer, posed.stems[subject.stem]
    prompt = prompt_of(subject.stem, posed.question, belief, session)
    nothing = session.prompts.encode(empty_thinking(tokenizer))
    kept = len(row["thinking"]) if length is None else length
    thinking = closed_thinking(row, kept, tokenizer) if kept else nothing
    if thinking is None:
        return None
    rest = (*thinking, *stem.ids[len(prompt) + len(nothing) :])
    base = prompt_of("base", posed.question, belief, session)
    return Site(
        (*prompt, *rest),
        (*base, *rest),
        subject.adapter,
        posed.contrast.target_id,
        posed.contrast.rival_id,
        borrowed=posed.rival != "prior",
    )
