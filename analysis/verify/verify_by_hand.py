"""What the trial table says was done by hand, against the run's chain."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from beliefmod.run.by_hand import ADDED, STOPPED
from beliefmod.run.folder import TRIALS_FILE, RunFolder
from beliefmod.run.seal.ledger import NAME, chain_of, is_sealed
from beliefmod.run.seal.sealed_plan import read_plan
from beliefmod.run.seal.sealed_state import SealedState, state_of


def verify_by_hand(folder: RunFolder, trials: pl.DataFrame) -> Iterator[str]:
    """A sentence for every row that does not say what was done to its trial by hand, or says what was not.

    Args:
        trials: the run's trial table.
    """
    if not is_sealed(folder):
        return
    state, plan = state_of(chain_of(folder).entries), read_plan(folder)
    planned = {*(plan.trials if plan else ()), *state.chosen}
    for row in trials.select("trial_id", "by_hand").iter_rows(named=True):
        if why := _differs(row["trial_id"], row["by_hand"] or "", state, planned):
            yield f"{TRIALS_FILE}, trial {row['trial_id']}: {NAME} says that it {why}"


def _differs(trial_id: str, said: str, state: SealedState, planned: set[str]) -> str | None:
    added = trial_id in state.added and trial_id not in planned
    if added != said.startswith(ADDED):
        return f"was {'' if added else 'not '}added by hand; its row says {said or 'nothing of it'}"
    if STOPPED in said and trial_id not in state.stopped:
        return f"was not stopped by hand; its row says {said}"
    return None
