"""Runs that were made without a seal, sealed as they stand: what a sweep would have chained, in one go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from analysis.studies.confirm import FOLDER as CONFIRMATION
from beliefmod.run.folder import FILES, MANIFEST, SPACE, RunFolder
from beliefmod.run.seal.ledger import append, chain_of, files_below, seal_files
from beliefmod.run.seal.raw import RAW, raw_digest
from beliefmod.run.seal.sealed_plan import begin_seal
from beliefmod.run.seal.sealed_state import REPORT
from beliefmod.run.seal.sessions import seal_asked, seal_end, seal_session
from beliefmod.run.seal.trial_seals import TrialSeals
from beliefmod.space import Space, SpaceFile

REPORTED = ("report.md", "report.html")


def seal_as_it_stands(run: Path) -> None:
    """Give a finished run, and its confirmation, the chain that it would have had from the start."""
    folder = RunFolder(str(run))
    folder.delete("seal")
    space = Space(SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE))), SPACE)
    manifest = folder.read_json(MANIFEST)
    _with_raw_digests(folder)
    begin_seal(folder, space, manifest["versions"])
    folder.write_json({**manifest, "sealed": True}, MANIFEST)
    seal_session(folder)
    seal_asked(folder)
    TrialSeals(folder).catch_up()
    seal_end(folder, {"finished": len(space.trials())})
    if (run / "lens").exists():
        seal_files(folder, "lens", files_below(folder, "lens"))
    if (run / CONFIRMATION).exists():
        seal_as_it_stands(run / CONFIRMATION)
        below = RunFolder(str(run / CONFIRMATION))
        append(folder, [{"kind": "confirmed", "confirmation": chain_of(below).last}])
    if (run / "report.md").exists():
        report_again(run)


def _with_raw_digests(folder: RunFolder) -> None:
    """Rows as this version writes them: a digest of what the model gave beside each table's hash."""
    for trial_id, row in list(folder.row_files()):
        assert row is not None
        for path, known in row[FILES].items():
            table = path.partition("/")[0]
            if table in RAW:
                known["raw"] = raw_digest(table, folder.read_frame(path).iter_rows(named=True))
        folder.write_json(row, "rows", f"{trial_id}.json")


def report_again(run: Path, limit: float = 0.05) -> None:
    """The entry of `beliefmod report`, without the seconds that the report itself takes."""
    folder = RunFolder(str(run))
    seal_files(folder, REPORT, [*REPORTED, *files_below(folder, "figures")], limit=limit)


def rewrite_chain(run: Path, change) -> None:
    """Entries of a chain changed in place, nothing hashed anew."""
    path = run / "seal" / "chain.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in change(entries)))


def copy_tree(run: Path, folder: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(run, folder / run.name))
