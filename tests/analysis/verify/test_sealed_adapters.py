"""Adapters and logs are in the seal: what was changed, swapped, put there or lost is named; a deletion that
was said is a note."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_trials import Verification
from beliefmod.cli.app import app
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.integrity import sound_rows
from beliefmod.run.manifest import update_manifest
from beliefmod.run.read_run import read_run
from beliefmod.run.seal.ledger import append, chain_of
from beliefmod.run.seal.sessions import seal_session
from beliefmod.run.seal.trial_seals import TrialSeals
from tests.sealed_small import WEIGHTS, end_trial, small_sealed_run


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(small_sealed_run(tmp_path_factory.mktemp("adapters")).root)


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "run"))


def sealed(run: Path) -> Verification:
    done = Verification()
    verify_seal(RunFolder(str(run)), read_run(str(run)).trials["trial_id"].to_list(), done)
    return done


def adapters(run: Path) -> list[Path]:
    return sorted(run.glob(f"adapters/*/{WEIGHTS}"))


def name(run: Path, path: Path) -> str:
    return str(path.relative_to(run))


def test_a_trials_entry_holds_its_adapters_hashes(honest: Path):
    assert sealed(honest).mismatches == [] and sealed(honest).notes == []
    entries = {e["trial_id"]: e for e in chain_of(RunFolder(str(honest))).entries if e["kind"] == "trial"}
    assert len(adapters(honest)) >= 2
    for path in adapters(honest):
        entry = entries[path.parent.name]
        assert entry["files"][name(honest, path)] == sha256(path.read_bytes()).hexdigest()
        assert set(entry["raw"]) == set()  # what is hashed of the adapter are its files


def test_an_adapter_changed_in_one_byte(run: Path):
    path = adapters(run)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    [said] = sealed(run).mismatches
    assert f"{name(run, path)} (trial {path.parent.name}): is not the file that was sealed by trial" in said


def test_adapters_of_two_seeds_swapped(run: Path):
    one, two, *_ = adapters(run)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    said = sealed(run).mismatches
    assert len(said) == 2
    assert said[0].startswith(name(run, one)) and said[0].endswith(f"it is the one of {name(run, two)}")
    assert said[1].startswith(name(run, two)) and said[1].endswith(f"it is the one of {name(run, one)}")


def test_an_adapter_put_there(run: Path):
    path = run / "adapters" / "0123456789" / WEIGHTS
    path.parent.mkdir()
    path.write_bytes(b"weights from elsewhere")
    [said] = sealed(run).mismatches
    assert said.startswith(f"adapters/0123456789/{WEIGHTS}: is in no entry of seal/chain.jsonl")


def test_adapters_deleted_and_nothing_said(run: Path):
    shutil.rmtree(run / "adapters")
    said = sealed(run).mismatches
    assert len(said) == 2 * len(adapters_of_chain(run))
    assert all("is gone; it was sealed by trial" in one and "beliefmod prune" in one for one in said)


def adapters_of_chain(run: Path) -> set[str]:
    entries = chain_of(RunFolder(str(run))).entries
    return {p.split("/")[1] for e in entries for p in e.get("files", {}) if p.startswith("adapters/")}


def test_adapters_deleted_to_save_space_are_a_note(run: Path):
    count = len(adapters(run))
    done = CliRunner().invoke(app, ["prune", str(run)])
    assert done.exit_code == 0 and f"{count} adapters deleted" in done.stdout
    assert not (run / "adapters").exists()
    found = sealed(run)
    assert found.mismatches == []
    [note] = found.notes
    assert f"the adapters of {count} trials were deleted to save space, says {MANIFEST}" in note
    last = chain_of(RunFolder(str(run))).entries[-1]
    assert last["kind"] == "prune" and set(last["trials"]) == adapters_of_chain(run)
    # nor does a resumed sweep train again what lacks nothing but its adapter
    rows = {path.stem for path in (run / "rows").iterdir()}
    assert sound_rows(RunFolder(str(run))) == (sorted(rows), [])


def test_a_manifest_that_says_so_without_prune_is_not_the_sealed_one(run: Path):
    shutil.rmtree(run / "adapters")
    update_manifest(RunFolder(str(run)), adapters_deleted="2026-11-30T10:00:00Z")
    [said] = sealed(run).mismatches
    assert said.startswith(f"{MANIFEST}: is not the file that was sealed by end")


def test_prune_seals_no_manifest_that_was_changed(run: Path):
    update_manifest(RunFolder(str(run)), name="another")
    done = CliRunner().invoke(app, ["prune", str(run)])
    assert done.exit_code == 2 and f"{MANIFEST}: is not the file that was sealed" in done.stderr
    assert adapters(run)


def test_prune_of_a_run_that_goes_on_or_has_none_is_a_sentence(run: Path):
    update_manifest(RunFolder(str(run)), status="interrupted")
    done = CliRunner().invoke(app, ["prune", str(run)])
    assert done.exit_code == 2 and "its sweep has not ended (interrupted)" in done.stderr
    shutil.rmtree(run / "adapters")
    done = CliRunner().invoke(app, ["prune", str(run)])
    assert done.exit_code == 2 and "has no adapters to delete" in done.stderr


def test_adapters_of_the_confirmation_go_too(run: Path, honest: Path):
    shutil.copytree(honest, run / "confirmation")
    folder, below = RunFolder(str(run)), RunFolder(str(run / "confirmation"))
    append(folder, [{"kind": "confirmed", "confirmation": chain_of(below).last}])
    assert CliRunner().invoke(app, ["prune", str(run)]).exit_code == 0
    assert not (run / "confirmation" / "adapters").exists()
    assert sealed(run).mismatches == [] and sealed(run / "confirmation").mismatches == []
    assert chain_of(folder).entries[-1]["confirmation"] == chain_of(below).last


@pytest.mark.parametrize("what", ["changed", "gone", "put there"])
def test_logs(run: Path, what: str):
    log = sorted((run / "logs").iterdir())[0]
    if what == "changed":
        log.write_text('{"event": "failed"}\n')
        words = "is not the file that was sealed by end"
    elif what == "gone":
        log.unlink()
        words = "is gone; it was sealed by end"
    else:
        log = run / "logs" / "0123456789.jsonl"
        log.write_text("{}\n")
        words = "is in no entry of"
    [said] = sealed(run).mismatches
    assert said.startswith(f"logs/{log.name}") and words in said


def test_a_run_that_is_gone_on_with_may_write_logs_and_adapters(run: Path):
    folder = RunFolder(str(run))
    seal_session(folder)
    update_manifest(folder, status="running")
    trial = sorted(path.stem for path in (run / "rows").iterdir())[0]
    (run / "logs" / f"{trial}.jsonl").write_text('{"event": "started"}\n')
    (run / "adapters" / "under-way").mkdir()
    (run / "adapters" / "under-way" / WEIGHTS).write_bytes(b"not sealed yet")
    assert sealed(run).mismatches == []


def test_a_run_sealed_before_adapters_and_logs_were_stays_whole(run: Path):
    """Entries of an older version name neither; nothing is asked of them."""
    (run / "seal" / "chain.jsonl").unlink()
    folder = RunFolder(str(run))
    for path in (run / "rows").iterdir():
        row = json.loads(path.read_text())
        for known in row["_files"].values():
            known.pop("sha256", None)
        path.write_text(json.dumps(row))
    append(folder, [{"kind": "plan", "files": {}}], begin=True)
    TrialSeals(folder).catch_up()
    assert not [said for said in sealed(run).mismatches if "adapters/" in said or "logs/" in said]


def test_an_adapter_that_is_trained_again_is_sealed_again(run: Path):
    folder = RunFolder(str(run))
    trial = adapters(run)[0].parent.name
    (run / "rows" / f"{trial}.json").unlink()
    seals = TrialSeals(folder)
    seals.lost([])
    (run / "adapters" / trial / WEIGHTS).unlink()
    end_trial(folder, trial, adapter=True)
    seals.add(trial)
    assert not [said for said in sealed(run).mismatches if "adapters/" in said]
