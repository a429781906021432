"""What a run's seal says of the report's numbers, in words: what is missing, and the hash to compare."""

from __future__ import annotations

from analysis import wording
from analysis.findings import Findings
from analysis.report.sections.done_by_hand import counted
from beliefmod.run.folder import MANIFEST
from beliefmod.run.seal.ledger import chain_of, is_sealed
from beliefmod.run.seal.sealed_plan import missing, read_plan
from beliefmod.run.seal.sealed_state import SealedState, state_of

SHOWN, SHORT = 8, 16
CONFIRMATION = "confirmation"
NOT_SEALED = "Not sealed: what was planned is not on record."


def head_words(found: Findings) -> list[str]:
    """Sentences for the head of the report: planned trials that are missing, a limit that was not planned, a
    confirmation that is gone, trials that ran twice, and how the chain ends."""
    folder = found.run.folder
    if not is_sealed(folder):
        return [NOT_SEALED]
    chain = chain_of(folder)
    state, plan = state_of(chain.entries), read_plan(folder)
    text = _missing(found, state)
    if plan is None:
        text.append("The seal's plan is gone.")
    elif found.limit != plan.damage_limit:
        text.append(f"The limit D ≤ {found.limit:g} was not planned; the plan has D ≤ {plan.damage_limit:g}.")
    if state.confirmation is not None and not folder.exists(CONFIRMATION, MANIFEST):
        text.append("The finalists were confirmed, and that confirmation is missing.")
    if state.added or state.stopped:
        text.append(counted(found))
    if again := state.repeated():
        text.append(f"Run again after they had ended: {_named([*again])}.")
    if chain.problems:
        text.append("The seal is broken; beliefmod verify says where.")
    return [*text, f"Sealed: {len(chain.entries):,} entries, the last {chain.last[:SHORT]}."]


def seal_items(found: Findings) -> list[str]:
    """`Seal: HASH, ...` for the list of what one needs to reproduce the run, then what the head of the report
    says is wrong with it."""
    if not is_sealed(found.run.folder):
        return ["Seal: none"]
    chain = chain_of(found.run.folder)
    held = f"the last of {len(chain.entries):,} entries of the chain when this report was written"
    return [f"Seal: {chain.last}, {held}", *head_words(found)[:-1]]


def _missing(found: Findings, state: SealedState) -> list[str]:
    plan = read_plan(found.run.folder)
    if plan is None:
        return []
    gone = missing(plan, state.chosen, found.run.trials["trial_id"].to_list())
    ended = [trial_id for trial_id in gone if trial_id in state.trials]
    if found.run.manifest.get("status") != "finished":
        gone = ended  # the others are not done yet
    text = []
    if gone:
        text.append(f"Missing of what was planned: {wording.plural(len(gone), 'trial')} ({_named(gone)}).")
    if ended:
        text.append(f"Of these, {len(ended)} had ended and been sealed.")
    return text


def _named(trial_ids: list[str]) -> str:
    more = f" and {len(trial_ids) - SHOWN:,} more" if len(trial_ids) > SHOWN else ""
    return ", ".join(trial_ids[:SHOWN]) + more
