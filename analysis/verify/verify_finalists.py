"""Whether the configurations that were confirmed are those that the selection half chooses."""

from __future__ import annotations

from typing import Any

from analysis.frontier.non_dominated import CONFIG
from analysis.studies.confirm import chosen, half_of
from analysis.told_apart import told_apart
from analysis.verify.verify_trials import Verification
from beliefmod.errors import UserError
from beliefmod.run.read_run import Run


def verify_finalists(run: Run, again: Run, done: Verification) -> None:
    """Note every confirmed configuration that was not chosen, and every chosen one that was not confirmed.

    Args:
        run: the run that they were chosen from.
        again: its confirmation.
    """
    asked = again.manifest.get("confirmation")
    if not isinstance(asked, dict):
        done.notes.append("its manifest does not say how finalists were chosen, so they are not chosen again")
        return
    if run.manifest.get("rescored"):
        done.notes.append("the run was rescored since, so finalists are not chosen again: others may be")
        return
    if str(run.trials["finished_at"].max()) > str(again.manifest.get("started_at")):
        done.notes.append("the run went on since, so finalists are not chosen again: others may be")
        return
    run, again = told_apart(run), told_apart(again)
    try:
        finalists = chosen(half_of(run, "selection"), asked["limit"], asked["top"])
    except (KeyError, UserError, ValueError) as error:
        done.notes.append(f"finalists cannot be chosen again ({error})")
        return
    wanted = {_key(row): row["trial_id"] for rows in finalists.values() for row in rows}
    trials = again.trials.filter(again.trials["arm"] == "lora").iter_rows(named=True)
    tried = {row["trial_id"]: _key(row) for row in trials}
    for trial_id, key in tried.items():
        if not any(_alike(key, other) for other in wanted):
            done.mismatches.append(
                f"trials.parquet, trial {trial_id}: its configuration is none of those that the selection "
                f"half chooses (top {asked['top']} at D ≤ {asked['limit']:g})"
            )
    for key, trial_id in wanted.items():
        if not any(_alike(key, other) for other in tried.values()):
            done.mismatches.append(
                f"trials.parquet: lacks the finalist of trial {trial_id}, which the selection half chooses"
            )


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["belief"], *(row[name] for name in CONFIG))


def _alike(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two configurations are the same, where both say something: a setting that does nothing may be
    null in the table of one run and have its default in that of the other."""
    return all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))
