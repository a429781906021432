"""The section on speed says what the manifest holds, in the numbers of the formulas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table
from analysis.report.sections import speed
from beliefmod.capacity.limit import Machine, Model, limit
from beliefmod.engine.usage import Work
from beliefmod.run.read_run import read_run
from tests.analysis.conftest import SMALL
from tests.analysis.synthetic import write_run

MODEL = Model(1000, 100, 2, 8, 4, False, 64)
MACHINE = Machine(2, 1e6, 1e6, 9, 5000)
# needed: 1 s of training, 0.2 s of reading; each of two hosts: 2, 3 and 1 s in the engine, 5 s questioning
WORK = Work(
    tokens=500, read_tokens=200, trial_steps=30, engine_steps=10, slot_steps=40, real_tokens=9,
    padded_tokens=10, longest_trial_steps=1, train_seconds=4.0, generate_seconds=6.0, read_seconds=2.0,
    question_seconds=10.0, idle_seconds=3.0,
)  # fmt: skip
ENGINE = {"slots": 4, "parking": 3, "pass_tokens": 2048, "cache_tokens": 131072, "why": "as asked"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("speed") / "run"
    return write_run(place, beliefs=("gravity",), configs=SMALL[:2], probes=False)


def found(folder: Path, **changes: object) -> Findings:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    entry = {**limit(WORK, MODEL, MACHINE, 24.0), "shrinks": [], "attempts": 1}
    manifest |= {"limit": entry, "engine": ENGINE, "engines": []}
    manifest |= changes
    path.write_text(json.dumps(manifest))
    return find(read_run(str(folder)))


def of_kind(blocks: list[Block], kind: type) -> list:
    return [block for block in blocks if isinstance(block, kind)]


def test_the_table_by_hand(folder: Path) -> None:
    blocks = speed.blocks(found(folder))
    assert blocks[0] == Heading(2, "Speed")
    [line] = of_kind(blocks, Paragraph)
    assert line.text == (
        "5 % of this machine's limit; matrix products bind (2 MFLOP/s measured); real/padded tokens 0.90; "
        "3.0 of 4 slots occupied on average."
    )
    [table] = of_kind(blocks, Table)
    assert table.rows == (
        ("training", "1 s", "matrix products", "2 s", "50 %"),
        ("generation", "-", "", "3 s", ""),
        ("reading", "0.2 s", "matrix products", "1 s", "20 %"),
        ("judging answers, files", "-", "", "1 s", ""),
        ("idle hosts", "-", "", "1.5 s", ""),
        ("everything else", "-", "", "15.5 s", ""),
        ("the sweep", "1.2 s", "matrix products", "24 s", "5 %"),
    )
    [bullets] = of_kind(blocks, Bullets)
    assert bullets.items == (
        "Measured per host (2 in use): 1 MFLOP/s in matrix products, 1 MB/s in copies as large as the model.",
        "Slots per host: 4 (as asked); places for adapters that wait to be questioned: 3; tokens of a pass: "
        "up to 2,048; tokens of a decoding batch: up to 131,072.",
        "Memory sufficed throughout.",
    )


def test_hosts_that_differed_or_were_refused_are_told(folder: Path) -> None:
    def bullets(*engines: dict[str, object]) -> tuple[str, ...]:
        [one] = of_kind(speed.blocks(found(folder, engines=list(engines))), Bullets)
        return one.items

    small, large = {"host": "h0", "device": "T4", "slots": 4}, {"host": "h1", "device": "L4", "slots": 9}
    assert len(bullets(small, {**small, "host": "h2"})) == 3
    assert bullets(small, large, {**large, "host": "h2"})[2] == (
        "Hosts differed, each counted as often as it was started: 1 with 4 slots on T4; 2 with 9 slots on L4."
    )
    odd = {"host": "h3", "machine": "m2", "refused": "it differs from h0 (torch 2.12 instead of 2.13)"}
    assert bullets(small, odd)[2] == (
        "h3 on m2 was refused and took no trial: it differs from h0 (torch 2.12 instead of 2.13)."
    )


def test_memory_that_ran_out_and_attempts_are_told(folder: Path) -> None:
    entry = {
        **limit(WORK, MODEL, MACHINE, 24.0),
        "shrinks": [f"shrink {i}" for i in range(23)],
        "attempts": 2,
    }
    entry["work"] |= {"generated_tokens": 1000, "decode_steps": 40}
    [bullets] = of_kind(speed.blocks(found(folder, limit=entry, engine={})), Bullets)
    assert bullets.items[1] == "A decode step wrote 25 tokens on average, one per answer under way."
    assert bullets.items[2] == "The run took 2 attempts; times are their sums."
    assert bullets.items[3:5] == ("shrink 0", "shrink 1")
    assert bullets.items[-1] == "and 3 more such lines in manifest.json."


def test_an_older_run_has_no_such_section(folder: Path) -> None:
    assert speed.blocks(found(folder, limit=None)) == []
