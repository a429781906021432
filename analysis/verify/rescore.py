"""Gives a finished run the verdicts, metrics and report of this version's scorer; completions stay."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from analysis.report.write import write_report
from analysis.verify.verify_run import judged_again, limit_in
from analysis.verify.verify_seal import CONFIRMATION, changed_files
from analysis.verify.verify_trials import Trials, Verification
from beliefmod import __version__
from beliefmod.errors import UserError
from beliefmod.probing.capability import judged, record
from beliefmod.run.folder import MANIFEST, TRIALS_FILE, RunFolder
from beliefmod.run.lock import sole_driver
from beliefmod.run.read_run import read_run
from beliefmod.run.seal.ledger import append, chain_of, files_below, seal_files
from beliefmod.run.seal.sealed_state import RESCORE, state_of
from beliefmod.run.sources import (
    SUITES,
    capability_suite,
    pick_file,
    picked,
    picks,
    read_pick,
    read_sources,
    write_pick,
)
from beliefmod.run.tables.trial_tables import TABLES
from beliefmod.space.chat_format import ThinkingKind

OLD_LENS = (
    "lens/ keeps the verdicts that it was made with; beliefmod lens {location} makes it again, where the "
    "model and the adapters are there"
)


@dataclass(frozen=True)
class Rescored:
    """What was read again. `changed`: values that are others now. `notes`: what stays old, and why."""

    trials: int
    probes: int
    changed: int
    notes: tuple[str, ...]


def rescore_run(location: str, progress: Callable[[str], None] = lambda message: None) -> Rescored:
    """Write a run's verdicts, metrics and report again, its confirmation included.

    Args:
        location: a run folder, local or any fsspec URL, whose sweep has ended.
        progress: called with a short sentence now and then.

    Raises:
        UserError: not a run folder, a sweep at work on it, no copies of its questions, or damaged files.
    """
    folder = RunFolder.open(location)
    with sole_driver(folder):
        if folder.read_json(MANIFEST).get("status") == "running":
            raise UserError(
                f"{location}: the sweep has not ended; go on with beliefmod resume {location}, then rescore"
            )
        _check_whole(folder)
        found = _rescore(location, progress)
        below = f"{location.rstrip('/')}/{CONFIRMATION}"
        if folder.exists(CONFIRMATION, MANIFEST):
            progress("reading the confirmation again")
            confirmation = RunFolder.open(below)
            _check_whole(confirmation)
            more = _rescore(below, progress)
            append(folder, [{"kind": RESCORE, "confirmation": chain_of(confirmation).last}])
            found = Rescored(
                found.trials + more.trials,
                found.probes + more.probes,
                found.changed + more.changed,
                (*found.notes, *more.notes),
            )
        if folder.exists("report.md"):
            progress("writing the report again")
            text = folder.read_bytes("report.md").decode("utf-8", "replace")
            write_report(location, limit=limit_in(text), progress=progress)
    return found


def _rescore(location: str, progress: Callable[[str], None]) -> Rescored:
    folder = RunFolder.open(location)
    run, done = read_run(location), Verification()
    trials = Trials(run, folder, read_sources(folder), done, newer_too=True)
    again = []
    for count, row in enumerate(trials.stored, 1):
        again.append(trials.again(row))
        if count % 20 == 0:
            progress(f"{count} of {len(trials.stored)} trials read again")
    if len(done.mismatches) > done.differing:
        raise UserError(
            f"{location}: something is missing or belongs to another run, so nothing was changed; beliefmod "
            f"verify {location} lists it"
        )
    notes = list(done.notes)
    for trial in again:
        trial_id = trial.row["trial_id"]
        steps, drift = (table.to_dicts() for table in (run.steps([trial_id]), run.drift([trial_id])))
        folder.write_trial(trial.row, trial.probes, steps, trial.causal, drift)
    folder.assemble(run.trials["trial_id"].to_list())
    replies = judged_again(read_run(location), done)
    if replies:
        folder.write_frame(replies, TABLES["judge"], "judge.parquet")
    for template in picks(folder):
        notes += _pick(folder, template, trials.opened_by(template))
    if folder.exists("lens"):
        notes.append(OLD_LENS.format(location=location))
    manifest = folder.read_json(MANIFEST)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    folder.write_json({**manifest, "rescored": {"at": at, "beliefmod": __version__}}, MANIFEST)
    written = files_below(folder, "rows", "probes", "steps", "causal", "drift", SUITES)
    alone = (MANIFEST, TRIALS_FILE, *(["judge.parquet"] if replies else []))
    seal_files(folder, RESCORE, [*written, *alone], changed=done.differing, beliefmod=__version__)
    return Rescored(len(again), done.probes, done.differing, tuple(notes))


def _check_whole(folder: RunFolder) -> None:
    """What was changed behind the seal's back must not be sealed anew as if a scorer had changed it."""
    chain = chain_of(folder)
    problems = [*chain.problems, *changed_files(folder, state_of(chain.entries))]
    if problems:
        more = f" and {len(problems) - 1:,} more" if len(problems) > 1 else ""
        raise UserError(
            f"{folder.url}: is not as it was sealed, so nothing was changed; {problems[0]}{more}; restore it"
        )


def _pick(folder: RunFolder, template: str | None, opened_by: ThinkingKind) -> list[str]:
    """Mark base's answers to the general questions again; a note where other questions suit base now."""
    stored = read_pick(folder, template)
    if stored is None:
        return []
    suite = capability_suite(folder)
    again = record(suite, judged(suite, stored["answers"], opened_by))
    if picked(suite, again) != picked(suite, stored):
        place = f"{SUITES}/{pick_file(template)}"
        return [f"{place}: as read now, other general questions suit base; the sweep asked these"]
    write_pick(folder, {**stored, **again}, template)
    return []
