"""Rows of the untrained arms, with which every trial is compared: asked once, or read from the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from beliefmod.config import REFERENCE_ARMS, TrialConfig
from beliefmod.probing.probes import reference_sample
from beliefmod.probing.questioning import Subject, ask

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from beliefmod.run.folder import TrialTable

Rows = list[dict[str, Any]]


def ask_references(session: Session, beliefs: Iterable[str]) -> None:
    """Learn the probe rows of both untrained arms for these beliefs; what must be asked is asked together."""
    wanted = [(belief, arm) for belief in dict.fromkeys(beliefs) for arm in REFERENCE_ARMS]
    missing = [each for each in wanted if known_rows(session, "probes", *each) is None]
    with session.asking.subjects(len(missing), references=True):
        asked = ask([reference_subject(session, *each) for each in missing], session)
    session.references.update((("probes", *each), rows) for each, rows in zip(missing, asked, strict=True))


def reference_probes(session: Session, belief: str, arm: str) -> Rows:
    """The probe rows of an untrained arm.

    Args:
        belief: the name or path that configurations use.
        arm: base | icl.
    """
    return reference_rows(session, "probes", belief, arm, lambda subject: ask([subject], session))


def reference_rows(
    session: Session, table: TrialTable, belief: str, arm: str, measure: Callable[[Subject], list[Rows]]
) -> Rows:
    """An untrained arm's rows of one table: those of the session, else of the run folder, else measured.

    Args:
        measure: rows per subject, of one subject.
    """
    rows = known_rows(session, table, belief, arm)
    if rows is None:
        [rows] = measure(reference_subject(session, belief, arm))
        session.references[table, belief, arm] = rows
    return rows


def known_rows(session: Session, table: TrialTable, belief: str, arm: str) -> Rows | None:
    """An untrained arm's rows of one table, if the session has them or the run folder."""
    key = (table, belief, arm)
    if key not in session.references and session.folder is not None:
        trial_id = reference_subject(session, belief, arm).config.trial_id
        rows = session.folder.finished_rows(table, trial_id)
        if rows is not None:
            session.references[key] = rows
    return session.references.get(key)


def reference_subject(session: Session, belief: str, arm: str) -> Subject:
    """An untrained arm to be questioned, of the session's reference seed."""
    named = {"belief": belief, "arm": arm, "seed": session.reference_seed, "template": session.template}
    sample = reference_sample(session.belief(belief), session.reference_seed)
    return Subject(TrialConfig.model_validate(named), None, sample)
