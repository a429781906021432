"""The lens before the values that arms' own completions name, and before base's answer after its thinking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.lens_settings import LensSettings
from interp.read.arm_answers import Voice, answer_site, asked_of, own_sites, reference_voice
from interp.read.commitment import commitment
from interp.read.reading_rows import View, entry_rows
from interp.read.sites import Site, SiteReading, read_sites
from interp.types import Rows

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from interp.opened.inspection import Inspection
    from interp.read.contrast_questions import Posed

Placed = list[tuple["Question", str, Site]]


def value_rows(
    inspection: Inspection,
    belief: str,
    voice: Voice,
    views: Sequence[View],
    posed: Sequence[Posed],
    settings: LensSettings,
) -> Rows:
    """Rows of readings and commitments of one arm, whose adapter is in the engine.

    Positions: "thinking" and "answer", before the value in the arm's own completion; "answer_shared", before
    the value in the answer after base's thinking. Base reads the same tokens to be compared with (kl_base);
    commitments have no contrast there, for base itself wrote something else.
    """
    placed = _placed(inspection, belief, voice, posed, settings)
    rows: Rows = {"readings": [], "commitments": []}
    who = voice.who(inspection.beliefs[belief])
    for view in views:
        if not view.sees(voice.subject):
            continue
        session, sites = inspection.session, [site for _, _, site in placed]
        read = read_sites(session.engine, inspection.head, sites, view.translate)
        rows["readings"] += _reading_rows(inspection, who, view, placed, read)
        rows["commitments"] += _commitment_rows(who, view, placed, read, settings)
    return rows


def _placed(
    inspection: Inspection, belief: str, voice: Voice, posed: Sequence[Posed], settings: LensSettings
) -> Placed:
    session, known = inspection.session, inspection.beliefs[belief]
    base = reference_voice(inspection, belief, "base")
    by_probe = {one.question.probe_id: one for one in posed}
    found: Placed = []
    for question, _ in asked_of(voice, known, settings.prompts):
        found += [(question, name, site) for name, site in own_sites(voice, question, known, session).items()]
        one, thought = by_probe.get(question.probe_id), base.said.get(question.probe_id)
        if one is None or thought is None or thought["think_state"] != "ok":
            continue
        shared = answer_site(voice.subject, one, known, session, thought)
        if shared is not None:
            found.append((question, "answer_shared", shared))
    return found


def _reading_rows(
    inspection: Inspection,
    who: Mapping[str, Any],
    view: View,
    placed: Placed,
    read: Sequence[SiteReading],
) -> Iterator[dict[str, Any]]:
    prompts = inspection.session.prompts
    for (question, name, site), found in zip(placed, read, strict=True):
        fixed = {
            **who,
            "probe_id": question.probe_id,
            "family": question.family,
            "position": name,
            "token": prompts.text(site.ids[-1:]),
            "lens": view.name,
            "fitted_on": view.fitted_on,
            "target_token": prompts.text((found.contrast.target_id,)),
            "rival_token": prompts.text((found.contrast.rival_id,)),
            "rival": site.rival,
        }
        yield from entry_rows(fixed, found.reading, prompts)


def _commitment_rows(
    who: Mapping[str, Any], view: View, placed: Placed, read: Sequence[SiteReading], settings: LensSettings
) -> Iterator[dict[str, Any]]:
    for name in dict.fromkeys(name for _, name, _ in placed):
        here = [
            (question.family, found.reading.logit_diff)
            for (question, at, _), found in zip(placed, read, strict=True)
            if at == name
        ]
        families, differences = [family for family, _ in here], np.array([values for _, values in here])
        yield {
            **who,
            "position": name,
            "lens": view.name,
            "fitted_on": view.fitted_on,
            **commitment(differences, None, families, settings.draws, settings.seed),
        }
