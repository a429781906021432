"""Whether a chain has the entries that our commands write: who may seal what, and what stays as planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beliefmod.run import by_hand
from beliefmod.run.folder import ADAPTERS, MANIFEST, SPACE, TRIALS_FILE
from beliefmod.run.seal.adapter_removal import PRUNE
from beliefmod.run.seal.hash_chain import Entry
from beliefmod.run.seal.ledger import FOLDER, NAME
from beliefmod.run.seal.sealed_plan import ASKED
from beliefmod.run.seal.sealed_state import BY_HAND, LOGS, REPORT, RESCORE, TRIAL
from beliefmod.run.seal.sessions import WRITTEN_ON_THE_WAY
from beliefmod.run.tables.trial_tables import TABLES

PLAN = "plan"
_TRIALS_OWN = ("rows", *(table for table in TABLES if table not in ("trials", "judge")))
SEALS: dict[str, tuple[str, ...]] = {
    PLAN: (FOLDER, SPACE, *ASKED),
    "asked": WRITTEN_ON_THE_WAY,
    "suggestion": ("search",),
    BY_HAND: (by_hand.FOLDER,),
    TRIAL: (*_TRIALS_OWN, ADAPTERS),
    "end": (MANIFEST, TRIALS_FILE, LOGS, *WRITTEN_ON_THE_WAY),
    REPORT: ("report.md", "report.html", "figures", "tex"),
    "lens": ("lens",),
    "judge": ("judge.parquet",),
    RESCORE: (MANIFEST, TRIALS_FILE, "judge.parquet", *_TRIALS_OWN, *ASKED),
    PRUNE: (MANIFEST,),
}
"""Kind of entry -> files and folders of the run that it may hold hashes of; other kinds hold none."""


def out_of_place(entries: Sequence[Entry]) -> Iterator[str]:
    """A sentence for every entry that seals what its kind does not write, or something else than was planned,
    and for every trial that ended a second time without an entry between that says why."""
    planned: dict[str, str] = {}
    ended: dict[object, object] = {}
    begun = False
    for entry in entries:
        kind, n = str(entry.get("kind")), entry["n"]
        files = entry.get("files")
        files = files if isinstance(files, dict) else {}
        wrong = [path for path in files if path.partition("/")[0] not in SEALS.get(kind, ())]
        if wrong:
            yield f"{NAME}, entry {n}: seals {wrong[0]}, which no command writes as {kind}; it was put there"
        for path, sha256 in files.items():
            # a confirmation takes its run's questions after its plan is written and before it asks any
            if kind == PLAN or (kind == "asked" and not begun and path in planned):
                planned[path] = sha256
            elif path in planned and planned[path] != sha256:
                yield f"{NAME}, entry {n}: seals another {path} than was planned in entry 0"
        begun |= kind == TRIAL
        trial, status = entry.get("trial_id"), entry.get("status")
        if kind == TRIAL and not (isinstance(trial, str) and isinstance(status, str)):
            yield f"{NAME}, entry {n}: does not say which trial ended, or how"
        if kind == "again":
            for name in entry.get("trials") or ():
                ended.pop(name, None)
        elif kind == TRIAL and status == "finished" and ended.setdefault(trial, files) != files:
            yield (
                f"{NAME}, entry {n}: seals other files of trial {trial}, which had finished; no entry "
                "between says why it ran again"
            )
