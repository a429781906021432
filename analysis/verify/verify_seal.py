"""The seal of a run against what stands in its folder: chain, plan, files, what the model gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import yaml

from analysis.verify.verify_entries import out_of_place
from analysis.verify.verify_trials import Verification
from beliefmod.run import by_hand
from beliefmod.run.folder import ADAPTERS, MANIFEST, SPACE, TRIALS_FILE, RunFolder
from beliefmod.run.integrity import adapters_deleted
from beliefmod.run.seal.hash_chain import Chain
from beliefmod.run.seal.ledger import (
    FOLDER,
    NAME,
    PLAN,
    chain_of,
    files_below,
    hashes,
    is_sealed,
    of_adapter,
)
from beliefmod.run.seal.raw import raw_digest
from beliefmod.run.seal.sealed_plan import Plan, missing, read_plan
from beliefmod.run.seal.sealed_state import LOGS, REPORT, RESCORE, SealedState, state_of
from beliefmod.space import Space, SpaceFile

CONFIRMATION = "confirmation"
GUARDED = ("rows", "probes", "causal", "drift", "steps", "lens", "figures", "suites", "beliefs", "traces",
           "search", by_hand.FOLDER, "tex", "tex/figures")  # fmt: skip
"""Folders in which every file must be sealed."""
SINCE = (LOGS, ADAPTERS)
"""Folders in which every file must be sealed where any is: runs sealed by older versions have none of these
in their chains."""
ALONE = (MANIFEST, SPACE, TRIALS_FILE, "judge.parquet", "report.md", "report.html")
SHOWN = 12
"""So many trials are named in one sentence."""


def verify_seal(
    folder: RunFolder, trials: Sequence[str], done: Verification, expect: str | None = None
) -> None:
    """Note everything in which a run is not as its seal says.

    Args:
        trials: ids in `trials.parquet` and rows.
        expect: a hash that the reader has from elsewhere, or how it begins; the chain must have an entry with
            it.
    """
    if not is_sealed(folder):
        if folder.read_json(MANIFEST).get("sealed"):
            done.mismatches.append(f"{NAME}: is gone, though {MANIFEST} says that the run is sealed")
        if expect is not None:
            done.mismatches.append(f"{NAME}: is not there, so no entry has the expected hash {expect}")
        return
    chain = chain_of(folder)
    state, plan = state_of(chain.entries), read_plan(folder)
    done.seal, done.sealed_entries = chain.last, len(chain.entries)
    done.mismatches += [
        *chain.problems,
        *out_of_place(chain.entries),
        *changed_files(folder, state),
        *_raw(folder, state),
    ]
    done.notes += [*_notes(chain, state), *_noted_by_hand(state), *_deleted(folder, state)]
    _under_way_or_cut(folder, chain, state, done)
    done.mismatches += _not_sealed(folder, chain, state)
    if plan is None:
        done.mismatches.append(f"{FOLDER}/{PLAN}: is gone; nothing says what was planned")
    else:
        done.mismatches += [*_trials(plan, state, trials), *_space(folder, plan), *_limit(plan, state)]
        _missing(folder, plan, state, trials, done)
    done.mismatches += _confirmation(folder, state)
    if expect is not None:
        _expected(chain, expect, done)


def changed_files(folder: RunFolder, state: SealedState) -> Iterator[str]:
    """A sentence for every sealed file that is gone or another one now, but for adapters that the manifest
    says were deleted."""
    found = hashes(folder, state.files)
    deleted = adapters_deleted(folder)
    sealed_as: dict[str, str] = {}
    for path, sealed in state.files.items():
        sealed_as.setdefault(sealed.sha256, path)
    for path, sealed in state.files.items():
        now = found.get(path)
        if now == sealed.sha256 or (now is None and deleted and of_adapter(path)):
            continue
        whose = f" (trial {sealed.trial})" if sealed.trial else ""
        what = "is gone; it was sealed" if now is None else "is not the file that was sealed"
        instead = f"; it is the one of {sealed_as[now]}" if now in sealed_as else ""
        if now is None and of_adapter(path):
            instead = "; beliefmod prune says so where adapters are deleted to save space"
        yield f"{path}{whose}: {what} by {sealed.kind}, entry {sealed.n} of {NAME}{instead}"


def _deleted(folder: RunFolder, state: SealedState) -> Iterator[str]:
    sealed = {path.split("/")[1] for path in state.files if of_adapter(path)}
    gone = sealed - {path.split("/")[1] for path in folder.sizes(ADAPTERS)}
    if not sealed and folder.sizes(ADAPTERS):
        yield "its adapters are not sealed: it was made before they were"
    if gone and adapters_deleted(folder):
        yield (
            f"the adapters of {len(gone)} trials were deleted to save space, says {MANIFEST}; their hashes "
            f"are still in {NAME}"
        )


def _raw(folder: RunFolder, state: SealedState) -> Iterator[str]:
    """Files that were written again by a new scorer must hold what the model gave, as it was first sealed."""
    for trial_id, entries in state.trials.items():
        entry = next((e for e in reversed(entries) if e["status"] == "finished"), None)
        if entry is None:
            continue
        for table, digest in (entry.get("raw") or {}).items():
            path = f"{table}/{trial_id}.parquet"
            sealed = state.files.get(path)
            if sealed is None or sealed.kind != RESCORE or not folder.exists(path):
                continue
            try:
                rows = folder.read_frame(path).iter_rows(named=True)
            except pl.exceptions.PolarsError:
                continue  # said where the table is read
            if raw_digest(table, rows) != digest:
                yield (
                    f"{path} (trial {trial_id}): what the model gave is not what was sealed by trial, entry "
                    f"{entry['n']} of {NAME}; rescore changes verdicts, never completions or measurements"
                )


def _not_sealed(folder: RunFolder, chain: Chain, state: SealedState) -> Iterator[str]:
    known = {path.partition("/")[0] for path in state.files}
    there = [*files_below(folder, *GUARDED), *(name for name in ALONE if folder.exists(name))]
    there += [path for name in SINCE if name in known for path in folder.sizes(name)]
    under_way = _under_way(chain)
    for path in there:
        if path in state.files or (under_way and path.partition("/")[0] in _WRITTEN_BY_SWEEPS):
            continue
        yield f"{path}: is in no entry of {NAME}; it was put there or changed without saying so"


_WRITTEN_BY_SWEEPS = {MANIFEST, TRIALS_FILE, "rows", "probes", "causal", "drift", "steps", "suites", "search",
                      by_hand.FOLDER, *SINCE}  # fmt: skip


def _under_way(chain: Chain) -> bool:
    """Whether the last session of the sweep has not come to its end, or has not been able to say so."""
    kinds = [entry.get("kind") for entry in chain.entries]
    return "end" not in kinds[max((i for i, kind in enumerate(kinds) if kind == "session"), default=0) :]


def _notes(chain: Chain, state: SealedState) -> Iterator[str]:
    if chain.torn:
        yield f"{NAME}: ends in {chain.torn} bytes of an entry that was cut off; they are no part of it"
    for trial_id, why in state.repeated().items():
        yield f"trial {trial_id}: ran again after it had been sealed; {why}"


def _under_way_or_cut(folder: RunFolder, chain: Chain, state: SealedState, done: Verification) -> None:
    """A chain without the end of its last session is that of a sweep under way, or was cut off there."""
    if not _under_way(chain):
        return
    if folder.read_json(MANIFEST).get("status") == "finished":
        done.mismatches.append(
            f"{NAME}: has no end of the last session, though {MANIFEST} says that the sweep has finished; "
            f"the chain was cut off, or beliefmod resume {folder.url} has to seal its end"
        )
        return
    done.notes.append(
        f"{NAME}: the last session of the sweep has no end; {MANIFEST} and {TRIALS_FILE} are not sealed"
    )
    ended = [name for name in folder.states() if f"rows/{name}.json" not in state.files]
    if ended:
        done.notes.append(f"{NAME}: does not have the end of {_named(ended)} yet")


def _trials(plan: Plan, state: SealedState, trials: Sequence[str]) -> Iterator[str]:
    known = {*plan.trials, *state.chosen, *state.added}
    for trial_id in trials:
        if trial_id not in known:
            yield f"{TRIALS_FILE}, trial {trial_id}: was neither planned in {FOLDER}/{PLAN} nor chosen later"


def _noted_by_hand(state: SealedState) -> Iterator[str]:
    for trial_ids, what in ((state.added, "added"), (state.stopped, "stopped")):
        if trial_ids:
            yield f"{what} by hand, so not as planned: {_named(list(dict.fromkeys(trial_ids)))}"


def _space(folder: RunFolder, plan: Plan) -> Iterator[str]:
    """The plan's trials, seeds and limit must be those of the space file, which is sealed beside it."""
    try:
        spec = SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE)))
        of_space = [config.trial_id for config in Space(spec, SPACE).trials()]
    except (ValueError, yaml.YAMLError, FileNotFoundError):
        return  # said where the space is read
    for where, here, there in (
        (f"{FOLDER}/{PLAN}", plan.trials, of_space),
        (SPACE, of_space, plan.trials),
    ):
        if more := [trial_id for trial_id in here if trial_id not in set(there)]:
            other = SPACE if where != SPACE else f"{FOLDER}/{PLAN}"
            yield f"{where}: has {_named(more)} that {other} does not have"
    for name, planned, given in (
        ("damage_limit", plan.damage_limit, spec.damage_limit),
        ("seeds", list(plan.seeds), list(spec.seeds)),
    ):
        if planned != given:
            yield f"{FOLDER}/{PLAN}: {name} is {planned}, and {SPACE} has {given}"


def _limit(plan: Plan, state: SealedState) -> Iterator[str]:
    if state.limit is not None and state.limit != plan.damage_limit:
        yield (
            f"report.md: is written with D ≤ {state.limit:g}, and {FOLDER}/{PLAN} planned D ≤ "
            f"{plan.damage_limit:g}; write another limit's report elsewhere, with --out"
        )


def _missing(
    folder: RunFolder, plan: Plan, state: SealedState, trials: Sequence[str], done: Verification
) -> None:
    gone = missing(plan, state.chosen, trials)
    sealed = [trial_id for trial_id in gone if trial_id in state.trials]
    never = [trial_id for trial_id in gone if trial_id not in state.trials]
    if sealed:
        done.mismatches.append(f"{TRIALS_FILE}: lacks {_named(sealed)}, sealed in {NAME} when they ended")
    if never and folder.read_json(MANIFEST).get("status") == "finished":
        done.mismatches.append(f"{TRIALS_FILE}: lacks {_named(never)}, planned in {FOLDER}/{PLAN}")
    elif never:
        done.notes.append(f"planned and not run yet: {_named(never)}")


def _confirmation(folder: RunFolder, state: SealedState) -> Iterator[str]:
    there = folder.exists(CONFIRMATION, MANIFEST)
    if state.confirmation is None:
        if there:
            yield f"{CONFIRMATION}: is in no entry of {NAME}; it was put there without beliefmod confirm"
        return
    last, kind = state.confirmation
    if not there:
        yield f"{CONFIRMATION}: is gone; {NAME} says that it was made (its last entry of it: {kind})"
        return
    chain = chain_of(RunFolder(f"{folder.url}/{CONFIRMATION}"))
    if last not in {entry["hash"] for entry in chain.entries}:
        yield (
            f"{CONFIRMATION}/{NAME}: is not the chain that {NAME} knows, for it lacks the entry {last} that "
            f"{kind} noted"
        )


def _expected(chain: Chain, expect: str, done: Verification) -> None:
    place = next(
        (i for i, entry in enumerate(chain.entries) if entry["hash"].startswith(expect.lower())), None
    )
    if place is None:
        done.mismatches.append(f"{NAME}: has no entry with the expected hash {expect}; this is another run, "
                               "or its chain was made anew")  # fmt: skip
        return
    later = [str(entry.get("kind")) for entry in chain.entries[place + 1 :]]
    since = f"; since then: {', '.join(dict.fromkeys(later))}" if later else ", the last"
    done.notes.append(f"the expected hash is entry {place} of {len(chain.entries)}{since}")


def _named(trial_ids: Sequence[str]) -> str:
    more = f" and {len(trial_ids) - SHOWN:,} more" if len(trial_ids) > SHOWN else ""
    return f"trial{'s' * (len(trial_ids) > 1)} {', '.join(trial_ids[:SHOWN])}{more}"


def chain_at_report(chain: Chain) -> list[dict[str, Any]]:
    """The entries that were there when report.md was last written: those before its own."""
    entries = list(chain.entries)
    place = max((i for i, entry in enumerate(entries) if entry.get("kind") == REPORT), default=len(entries))
    return entries[:place]
