"""Recomputes every number of a run from its raw completions and compares it with what is stored.

Probe and causal verdicts are read again, metrics summarised again, and report.md composed again from the
recomputed rows. What the model and the clock gave cannot be recomputed; `UNCHECKED` names it.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from analysis.report.write import has_tex, report_files, report_markdown
from analysis.verify.verify_by_hand import verify_by_hand
from analysis.verify.verify_finalists import verify_finalists
from analysis.verify.verify_page import verify_page
from analysis.verify.verify_pick import verify_picks
from analysis.verify.verify_seal import CONFIRMATION, chain_at_report, verify_seal
from analysis.verify.verify_seeds import verify_seeds
from analysis.verify.verify_source_adapters import verify_source_adapters
from analysis.verify.verify_texts import verify_texts
from analysis.verify.verify_trials import Trials, Verification
from beliefmod.judge.case_selection import Case
from beliefmod.judge.judge_run import candidate_names, judged_row
from beliefmod.judge.prompt import prompt_for
from beliefmod.metrics.registry import DAMAGE_BUDGET, METRICS
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import Run, read_run
from beliefmod.run.seal.hash_chain import lines
from beliefmod.run.seal.ledger import CHAIN, FOLDER, chain_of, is_sealed
from beliefmod.run.sources import read_sources
from beliefmod.run.tables.trial_tables import TABLES, frame

UNCHECKED = (
    "Taken as they are, or as they were sealed: the completions themselves, loss, learning rate and gradient "
    "norm of each step, wall times, log-probabilities, KL and NLL sums per passage, counts of training "
    "tokens, what lens/ holds, the manifest. --retrain TRIAL measures those of a trial anew."
)
NO_REPORT = "there is no report.md to compare"
# copied neither into the rebuilt run nor compared: large, or written from what is compared
_ASIDE = {"adapters", "tune", "figures", "rows", "report.md", "report.html"}
_REBUILT = {"trials.parquet", "probes", "causal", "judge.parquet", CONFIRMATION}
_LIMIT = re.compile(r"D ≤ (\d+(?:\.\d+)?(?:e-?\d+)?)")


def verify_run(
    location: str,
    limit: float | None = None,
    progress: Callable[[str], None] = lambda message: None,
    *,
    expect: str | None = None,
    quick: bool = True,
) -> Verification:
    """Check a run folder, its seal, its confirmation and its report.

    Args:
        location: a run folder, local or any fsspec URL.
        limit: the limit the report was written with; None: the one that report.md names.
        progress: called with a short sentence now and then.
        expect: a hash that the run's chain must have, known from elsewhere.
        quick: leave out what takes the tokenizer (prompts, token ids) and what draws (report.html, figures).

    Raises:
        UserError: not a run folder, no copies of its questions, or a file that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="beliefmod-verify-") as scratch:
        done = _verify(location, Path(scratch), limit, progress, expect, quick)
    if done.later:
        names = ", ".join(name for name in METRICS if name in done.later)
        done.notes.append(f"not compared in trials that are older than the metric: {names}")
    for belief, components in done.no_room.items():
        done.notes.append(f"{belief}: base is at the floor or ceiling of {components}: no part in D")
    return done


def _verify(
    location: str,
    scratch: Path,
    limit: float | None,
    progress: Callable[[str], None],
    expect: str | None,
    quick: bool,
) -> Verification:
    folder = RunFolder.open(location)
    run, sources = read_run(location), read_sources(folder)
    done = Verification()
    verify_seal(folder, run.trials["trial_id"].to_list(), done, expect)
    done.mismatches += verify_by_hand(folder, run.trials)
    if folder.name != CONFIRMATION:  # that asks the run's own configurations again, and has no copies
        done.mismatches += verify_source_adapters(folder, run.trials)
    rows = Trials(run, folder, sources, done)
    verify_picks(folder, rows.opened_by, done)
    trials = []
    for count, row in enumerate(rows.stored, 1):
        again = rows.again(row)
        for table, found in (("probes", again.probes), ("causal", again.causal)):
            if found:
                (scratch / table).mkdir(exist_ok=True)
                file = scratch / table / f"{row['trial_id']}.parquet"
                frame(found, TABLES[table]).write_parquet(file)
        trials.append(again.row)
        if count % 20 == 0:
            progress(f"{count} of {len(rows.stored)} trials read again")
    verify_seeds(run, done)
    if not quick:
        progress("rendering prompts and reading token ids again")
        verify_texts(rows, done)
    failed = run.trials.filter(pl.col("status") != "finished").to_dicts()
    order = {trial_id: place for place, trial_id in enumerate(run.trials["trial_id"])}
    trials = sorted([*trials, *failed], key=lambda row: order[row["trial_id"]])
    frame(trials, TABLES["trials"]).write_parquet(scratch / "trials.parquet")
    if judged := judged_again(run, done):
        frame(judged, TABLES["judge"]).write_parquet(scratch / "judge.parquet")
    if folder.exists(CONFIRMATION, "manifest.json"):
        progress("reading the confirmation again")
        (scratch / CONFIRMATION).mkdir()
        below = f"{location.rstrip('/')}/{CONFIRMATION}"
        found = _verify(below, scratch / CONFIRMATION, limit, progress, None, quick)
        verify_finalists(run, read_run(below), found)
        found.notes = [note for note in found.notes if note != NO_REPORT]  # the parent's report speaks for it
        done.add(found, CONFIRMATION)
    _copy_rest(run, scratch)
    progress("composing the report again")
    _report(run, scratch, limit, done, quick)
    return done


def judged_again(run: Run, done: Verification) -> list[dict[str, Any]]:
    """The judge's stances read again from its replies, every disagreement noted; none without a judge."""
    stored = run.judge()
    if stored.is_empty():
        return []
    columns = ("trial_id", "suite", "probe_id", "question", "answer", "target", "prior", "answer_stance")
    asked = run.probes(stored["trial_id"].unique().sort(), columns)
    probes = {(r["trial_id"], r["suite"], r["probe_id"]): r for r in asked.iter_rows(named=True)}
    names = candidate_names(probes.values())
    rows = []
    for row in stored.iter_rows(named=True):
        key = (row["trial_id"], row["suite"], row["probe_id"])
        place = f"judge.parquet, probe {key[2]} of trial {key[0]}"
        if key not in probes:
            done.mismatches.append(f"{place}: the run has no such answer")
            continue
        case = Case(probes[key], row["reason"])
        again = judged_row(case, prompt_for(probes[key], names), row["judge_reply"] or "", row["judge_model"])
        done.judged += 1
        done.compare(place, row, again, row)
        rows.append(again)
    return rows


def _report(run: Run, scratch: Path, limit: float | None, done: Verification, quick: bool) -> None:
    if not run.folder.exists("report.md"):
        done.notes.append(NO_REPORT)
        return
    text = run.folder.read_bytes("report.md").decode("utf-8", "replace")
    rebuilt = replace(read_run(str(scratch)), location=run.location, manifest=run.manifest, notes=run.notes)
    limit = limit if limit is not None else limit_in(text)
    if quick:
        again = report_markdown(rebuilt, limit)
    else:
        files = report_files(rebuilt, limit, tex=has_tex(run.folder))
        again = files["report.md"].decode()
        verify_page(run.folder, files, run.manifest, done)
    stored, fresh = text.splitlines(), again.splitlines()
    done.lines = len(stored)
    for kind, a, b, c, d in difflib.SequenceMatcher(None, stored, fresh, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        done.mismatches += list(_lines(stored[a:b], fresh[c:d], a + 1))


def limit_in(text: str) -> float:
    """The damage limit that a report names, the default if it names none."""
    found = _LIMIT.search(text)
    return float(found[1]) if found else DAMAGE_BUDGET


def _lines(stored: list[str], fresh: list[str], first: int) -> Iterator[str]:
    for offset in range(max(len(stored), len(fresh))):
        old = stored[offset] if offset < len(stored) else None
        new = fresh[offset] if offset < len(fresh) else None
        if old is None:
            yield f"report.md, after line {first + len(stored) - 1}: lacks {_clip(new or '', 0)}"
        elif new is None:
            yield f"report.md, line {first + offset}: {_clip(old, 0)} is not in the recomputed report"
        else:
            at = next((i for i, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), len(new))
            yield f"report.md, line {first + offset}: says {_clip(old, at)}, recomputed {_clip(new, at)}"


def _clip(line: str, at: int) -> str:
    start = max(0, at - 40)
    piece = line[start : at + 40]
    return repr(("..." if start else "") + piece + ("..." if at + 40 < len(line) else ""))


def _copy_rest(run: Run, scratch: Path) -> None:
    folder = run.folder
    for name, entry in folder.entries().items():
        if name not in _ASIDE | _REBUILT and not name.startswith("."):
            folder.fs.get(folder.path(name), str(scratch / name), recursive=entry.is_folder)
    if is_sealed(folder):
        # the report says how the chain ended before its own entry
        RunFolder(str(scratch)).write_bytes(lines(chain_at_report(chain_of(folder))), FOLDER, CHAIN)
