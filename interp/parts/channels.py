"""Thinking against answer: what an arm says in each, and how far it leans to each side inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question
from beliefmod.reading.thinking import ends_with, thinking_class
from beliefmod.run.tables.lens_tables import TAU
from interp.lens_settings import LensSettings
from interp.parts.logit_lens import posed_once
from interp.read.arm_answers import Voice, answer_site, asked_of, own_sites, reference_voice, voices
from interp.read.sites import Site, SiteReading, read_sites
from interp.types import NOTE, Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, Trained
    from interp.read.contrast_questions import Posed

Row = dict[str, Any]
Found = dict[str, tuple[Site, SiteReading]]


def channels(inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say) -> Rows:
    """Rows of the table for a batch of trials, with the untrained arms of their beliefs."""
    rows: list[Row] = []
    arms = voices(inspection, trials, settings)
    with inspection.loaded(trials if "lora" in settings.arms else ()):
        for belief, group in arms.items():
            posed = {p.question.probe_id: p for p in posed_once(inspection, belief, settings, say)}
            for voice in group:
                rows += channel_rows(inspection, voice, inspection.beliefs[belief], posed, settings, say)
    return {"channels": rows}


def channel_rows(
    inspection: Inspection,
    voice: Voice,
    belief: Belief,
    posed: dict[str, Posed],
    settings: LensSettings,
    say: Say,
) -> list[Row]:
    """The rows of one arm, whose adapter is in the engine: one per question that it was asked; none of a
    model that does not think.

    Args:
        posed: questions with their stems, by probe_id.
    """
    session = inspection.session
    if not session.thinks:
        return []
    base = reference_voice(inspection, belief.spec.name, "base")
    asked = asked_of(voice, belief, settings.prompts)
    wanted = [_sites(inspection, voice, base, question, belief, posed) for question, _ in asked]
    flat = [site for sites in wanted for site in sites.values()]
    read = iter(read_sites(session.engine, inspection.head, flat, compared=False))
    found = [{name: (site, next(read)) for name, site in sites.items()} for sites in wanted]
    if session.decoding.sampling.greedy:
        _check_greedy(voice, asked, found, say)
    return [
        {
            **voice.who(belief),
            "probe_id": question.probe_id,
            "family": question.family,
            "thinking_stance": row["thinking_stance"],
            "answer_stance": row["answer_stance"],
            "text_class": text_class(row),
            **_inside(row, each),
        }
        for (question, row), each in zip(asked, found, strict=True)
    ]


def text_class(row: Row) -> str:
    """stygian | reverse | agree_target | agree_prior | other, from the stances of a probe row."""
    return _CLASSES.get((ends_with(thinking_class(row)), row["answer_stance"]), "other")


def inside_class(thinking: float | None, answer: float | None, against_prior: bool) -> str | None:
    """The same from the logit differences, each at least TAU from 0, else "other".

    >>> inside_class(-6.8, 4.0, True), inside_class(-0.2, 4.0, True), inside_class(None, 4.0, True)
    ('stygian', 'other', None)

    Args:
        against_prior: whether both are differences to base's value. To base's likeliest token alone
            (a novel belief) only "agree_target" can be told: leaning away from the target has no side.
    """
    if thinking is None or answer is None:
        return None
    found = _CLASSES.get((_side(thinking), _side(answer)), "other")
    return found if against_prior or found == "agree_target" else "other"


_CLASSES: dict[tuple[str | None, str | None], str] = {
    ("prior", "target"): "stygian",
    ("target", "prior"): "reverse",
    ("target", "target"): "agree_target",
    ("prior", "prior"): "agree_prior",
}


def _side(difference: float) -> str | None:
    return "target" if difference >= TAU else "prior" if difference <= -TAU else None


def _sites(
    inspection: Inspection,
    voice: Voice,
    base: Voice,
    question: Question,
    belief: Belief,
    posed: dict[str, Posed],
) -> dict[str, Site]:
    """The places at which one question is read, by name."""
    session, one = inspection.session, posed.get(question.probe_id)
    found = own_sites(voice, question, belief, session)
    if one is None:
        return found
    thought = base.said.get(question.probe_id)
    lengths: dict[str, int | None] = {"stem": 0}
    if thought is not None and thought["think_state"] == "ok":
        lengths["answer_shared"] = None
    for name, length in lengths.items():
        site = answer_site(voice.subject, one, belief, session, thought or {"thinking": ""}, length)
        if site is not None:
            found[name] = site
    return found


def _inside(row: Row, found: Found) -> Row:
    differences = {name: read.reading.logit_diff[-1] for name, (_, read) in found.items()}
    rivals = {name: site.rival for name, (site, _) in found.items()}
    thinking, answer = differences.get("thinking"), differences.get("answer")
    against_prior = all(rivals.get(part) == "prior" for part in ("thinking", "answer"))
    suppressed = None
    if row["answer_stance"] == "target" and rivals.get("answer") == "prior":
        suppressed = found["answer"][1].reading
    return {
        "thinking_diff": thinking,
        "thinking_rival": rivals.get("thinking"),
        "answer_diff": answer,
        "answer_rival": rivals.get("answer"),
        "answer_diff_shared": differences.get("answer_shared"),
        "stem_diff": differences.get("stem"),
        "inside_class": inside_class(thinking, answer, against_prior),
        "suppressed_prior": None if suppressed is None else max(suppressed.prob_rival),
        "suppressed_rank": None if suppressed is None else min(suppressed.rank_rival),
    }


def _check_greedy(
    voice: Voice, asked: Sequence[tuple[Question, Row]], found: Sequence[Found], say: Say
) -> None:
    """Without sampling the value that was written is the likelier of the two: say where it is not.

    This tests prompt, weights, adapter and places at once.
    """
    wrong = []
    for (question, _), each in zip(asked, found, strict=True):
        for part, (site, read) in each.items():
            leans = read.reading.logit_diff[-1] * (1 if site.wrote == "target" else -1)
            if site.wrote is not None and leans < -TAU:
                wrong.append(f"{question.probe_id} ({part})")
    if wrong:
        say(
            f"{NOTE}trial {voice.subject.trial_id}: {len(wrong)} of the values that it wrote are less likely "
            f"now than the other world's, first {wrong[0]}; was it asked with other software or precision?"
        )
