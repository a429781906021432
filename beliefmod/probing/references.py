"""Rows of the untrained arms, with which every trial is compared: asked once, or read from the run folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beliefmod.config import TrialConfig
from beliefmod.probing.probes import reference_sample
from beliefmod.probing.questioning import Subject, ask

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from beliefmod.run.folder import TrialTable

Rows = list[dict[str, Any]]


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
    key = (table, belief, arm)
    if key not in session.references:
        named = {"belief": belief, "arm": arm, "seed": session.reference_seed, "template": session.template}
        config = TrialConfig.model_validate(named)
        rows = session.folder.finished_rows(table, config.trial_id) if session.folder else None
        if rows is None:
            sample = reference_sample(session.belief(belief), session.reference_seed)
            [rows] = measure(Subject(config, None, sample))
        session.references[key] = rows
    return session.references[key]
