"""Whether the configurations that were confirmed are those that the selection half chooses."""

from __future__ import annotations

from typing import Any

from analysis.frontier.non_dominated import same_settings
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
    wanted = [row for rows in finalists.values() for row in rows]
    tried = again.trials.filter(again.trials["arm"] == "lora").to_dicts()
    for row in tried:
        if not any(_alike(row, one) for one in wanted):
            done.mismatches.append(
                f"trials.parquet, trial {row['trial_id']}: its configuration is none of those that the "
                f"selection half chooses (top {asked['top']} at D ≤ {asked['limit']:g})"
            )
    for row in wanted:
        if not any(_alike(row, one) for one in tried):
            done.mismatches.append(
                f"trials.parquet: lacks the finalist of trial {row['trial_id']}, which the selection half "
                "chooses"
            )


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["belief"] == other["belief"] and same_settings(one, other)
