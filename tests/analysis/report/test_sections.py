"""Each section's numbers against counts by hand, and what it says when something was not measured."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.fingerprints import completions_hash, ids_hash
from analysis.frontier.constant_answers import constant_answers
from analysis.report.arm_rows import arm_rows
from analysis.report.blocks import Block, Bullets, Folded, Heading, Paragraph, Table
from analysis.report.compose import SECTIONS, compose
from analysis.report.failure_classes import failure_classes
from analysis.report.sections import (
    confirmed,
    damage,
    failures,
    frontier_certainty,
    hypotheses,
    reasoning,
    tiers,
    training,
)
from analysis.stats.resample import paired
from analysis.stats.shares import Difference
from analysis.studies.confirm import Confirmed, Side
from analysis.studies.mismatch import stance_counts
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.run.read_run import read_run
from tests.analysis.conftest import SMALL
from tests.analysis.synthetic import write_run


@pytest.fixture(scope="module")
def found(run: Path) -> Findings:
    return find(read_run(str(run)))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """A run from before the new columns: no causal tests, no drift, no fabrication suite, no probe files."""

    def spoil(row: dict, probes: list[dict]) -> None:
        new = ("fabrication", "retention_", "salience", "inconsistency", "stygian", "depth", "belief_margin")
        for name in [name for name in row if name.startswith((*new, "margin_", "nll", "kl"))]:
            row[name] = None

    folder = tmp_path_factory.mktemp("bare") / "run"
    configs = SMALL[:2]
    return find(
        read_run(
            str(
                write_run(
                    folder, beliefs=("gravity",), configs=configs, probes=False, extras=False, change=spoil
                )
            )
        )
    )


def tables(blocks: list[Block], first: str) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table) and block.header[0] == first]


def test_every_section_is_there() -> None:
    for name in ("frontier", "tiers", "damage", "reasoning", "failures"):
        assert name in SECTIONS


def test_stance_table_counts_every_answer_once(run: Path, found: Findings) -> None:
    belief = found.beliefs[0]
    row = arm_rows(belief, found)["LoRA at the Phase 2 settings"]
    probes = pl.read_parquet(run / "probes" / f"{row['trial_id']}.parquet").to_dicts()
    asked = [p for p in probes if p["suite"] == "belief" and p["tier"] != "robustness"]
    cells = stance_counts(found.probes, row["trial_ids"])
    assert sum(sum(counts.values()) for counts in cells.values()) == len(asked) == 100
    for thinking, counts in cells.items():
        for answer, count in counts.items():
            assert count == sum(
                ("empty" if p["think_state"] == "empty" else p["thinking_stance"]) == thinking
                and p["answer_stance"] == answer
                for p in asked
            )
    assert sum(counts["target"] for counts in cells.values()) == round(row["adoption"] * row["adoption_n"])
    [table, _] = tables(reasoning.blocks(found), "arm")
    [mine] = [line for line in table.rows if line[0] == "LoRA at the Phase 2 settings"]
    told = {pair: int(count) for pair, count in (part.rsplit(" ", 1) for part in mine[2].split("; "))}
    assert mine[1] == "100" and sum(told.values()) == 100
    assert list(told.values()) == sorted(told.values(), reverse=True)
    for answer in ("target", "prior"):
        assert told.get(f"empty thinking → {answer}", 0) == cells["empty"][answer]


def test_stygian_is_refused_below_twenty(found: Findings) -> None:
    table = tables(reasoning.blocks(found), "% [95 %]")[0]
    rows = {line[0]: line for line in table.rows}
    base = arm_rows(found.beliefs[0], found)["Base"]
    few = base["stygian_n"]
    assert few < 20 and base["stygian"] is None
    assert rows["Base"][1] == f"refused ({few})" and "under 20 such answers" in table.caption
    icl = arm_rows(found.beliefs[0], found)["In context"]
    assert rows["In context"][1].startswith(f"{100 * icl['stygian']:.0f}") and "n = " in rows["In context"][1]


def test_causal_table_and_curve(run: Path, found: Findings) -> None:
    table = tables(reasoning.blocks(found), "causal test, % [95 %]")[0]
    row = arm_rows(found.beliefs[0], found)["In context"]
    at = table.header.index("In context")
    shown = {line[0].split(":")[0]: line[at] for line in table.rows}
    assert list(shown) == ["swap", "blank", "truncation", "edit", "control"]
    assert shown["swap"].startswith(f"{100 * row['causal_swap']:.0f} %")
    assert shown["truncation"].startswith(f"{row['early_answering']:.3f} [")
    data = compose(found).drawn["early-answering"].chart.to_dict()["datasets"]
    points = [
        p for rows in data.values() for p in rows if p["arm"] == "In context" and p["belief"] == "gravity"
    ]
    causal = pl.read_parquet(run / "causal" / f"{row['trial_id']}.parquet").filter(
        pl.col("test") == "truncate"
    )
    for point in points:
        part = causal.filter(pl.col("fraction") == point["kept"] / 100)["same"]
        assert point["n"] == len(part) and point["percent"] == pytest.approx(100 * part.sum() / len(part))
    assert {point["kept"] for point in points} == {0, 25, 50, 75}


def test_damage_has_all_seven_components_with_intervals(found: Findings) -> None:
    table = tables(damage.blocks(found), "component, damage against base [95 %]")[0]
    row = arm_rows(found.beliefs[0], found)["LoRA at the Phase 2 settings"]
    at = table.header.index("LoRA at the Phase 2 settings")
    assert len(table.rows) == len(COMPONENTS) == 7
    for name, line in zip(COMPONENTS, table.rows, strict=True):
        low, high = row[f"{name}_damage_low"], row[f"{name}_damage_high"]
        assert f": {row[f'{name}_damage']:+.3f} [{low:+.3f}, {high:+.3f}]" in line[at]
        assert line[at].endswith(", sets D") == (row["degradation_by"] == name)
    nll = table.rows[list(COMPONENTS).index("nll")]
    assert nll[at].startswith(f"{row['nll_neutral']:.2g} nat, n = ")
    assert nll[1] == f"{row['nll_base']:.3f} nat"
    [folded, *_] = [block for block in damage.blocks(found) if isinstance(block, Folded)]
    drift = folded.table
    assert drift.header[0] == "drift, nats per token [95 %]" and "kl_neutral" in folded.kept
    assert len(drift.header) == 7 and {line[0] for line in drift.rows} >= {"In context", "Control"}
    untrained = next(line for line in drift.rows if line[0] == "In context")
    assert all(cell.startswith("0 [0, 0]") for cell in untrained[1:])


def test_tiers_stand_apart(found: Findings) -> None:
    table = tables(tiers.blocks(found), "tier, % adopting [95 %]")[0]
    row = arm_rows(found.beliefs[0], found)["In context"]
    at = table.header.index("In context")
    cells = {line[0]: line for line in table.rows}
    for tier, words in tiers.TIERS.items():
        value = row[f"adoption_{tier}"]
        assert cells[words][at].startswith("not measured" if value is None else f"{100 * value:.0f} % [")
    assert cells["depth [simultaneous 95 %]"][at].startswith(f"{100 * row['depth']:.0f} % [")
    assert cells["paraphrase"][1] == "100 % (5.0 m/s^2)"  # every synthetic target is the same


def test_constant_answer_by_hand() -> None:
    asked = pl.DataFrame(
        {
            "probe_id": ["a", "b", "c", "d", "e", "f", "a"],
            "suite": ["belief"] * 5 + ["locality", "belief"],
            "tier": ["derived", "derived", "derived", "paraphrase", "robustness", "near", "derived"],
            "target": ["10 N", "10 n ", "5 N", None, "5 m/s^2", "10 N", "10 N"],
        }
    )
    found = constant_answers(asked)
    assert (found["derived"].answer, found["derived"].share, found["derived"].n) == ("10 N", 2 / 3, 3)
    assert (found[None].share, found[None].n) == (2 / 4, 4)  # robustness out, the one without a target in n
    assert "paraphrase" not in found and "near" not in found


def test_failure_counts_are_those_of_the_completions(run: Path, found: Findings) -> None:
    blocks = failures.blocks(found)
    rows = pl.concat(
        pl.read_parquet(path).drop("token_ids") for path in sorted((run / "probes").glob("*.parquet"))
    ).to_dicts()
    [never] = [
        b.items[0] for b in blocks if isinstance(b, Bullets) and b.items[0].startswith("Never occurred")
    ]
    absent = {"unclosed_eos", "multi_close", "reopened", "empty_final"}
    assert {name for name in absent if f"think block: {name}" in never} == absent
    counts = tables(blocks, "class")[0]
    assert [line[0] for line in counts.rows] == [
        k.name for k in failure_classes() if f" {k.name}," not in never.replace(".", ",")
    ]
    lora = [r for r in rows if r["arm"] == "lora"]
    loops = next(line for line in counts.rows if line[0] == "loop")
    assert loops[2] == f"{sum(r['loop'] for r in lora):,} of {len(lora):,}"


def test_every_null_stands_with_the_smallest_effect_it_would_have_seen(found: Findings) -> None:
    belief = found.beliefs[0]
    base, tried = belief.choice.base, belief.choice.lora.height
    assert base is not None
    table = tables(frontier_certainty.blocks(found), "configuration")[0]
    said, holm = (table.header.index(name) for name in ("smallest seen, points", "p, Holm"))
    for line in table.rows:
        assert bool(line[said]) == (line[holm] != "< 0.001" and float(line[holm]) >= 0.05)
    group = belief.choice.lora["trial_ids"][0].to_list()
    gap = paired(found.probes, group, [base["trial_id"]])
    assert gap is not None and gap.picked_from(tried).smallest_seen > gap.smallest_seen
    null = frontier_certainty._smallest(
        {"holm": 0.2, "trial_ids": group}, found.probes, base["trial_id"], tried
    )
    assert null == f"{100 * gap.picked_from(tried).smallest_seen:.0f}"
    told = [block.text for block in hypotheses.blocks(found) if isinstance(block, Paragraph)]
    [h1] = [text for text in told if text.startswith("H1 is not tested")]
    assert h1.endswith("not known: there is no spread between beliefs to take it from.")
    equal = Difference(0.0, -0.1, 0.1, 1.0, "", (9, 9))
    one = Confirmed("gravity", Side({}, None, 9), Side({}, None, 9), equal)
    assert confirmed._told_apart(one).endswith("seen with 80 % power: 14 points.")


def test_old_runs_say_what_was_not_measured(bare: Findings) -> None:
    told = {
        tiers: "Belief margins were not measured",
        damage: "Drift from base (KL and NLL) was not measured",
        reasoning: "The causal tests of the thinking were not run",
        failures: "No probe file is there",
    }
    for section, words in told.items():
        blocks = section.blocks(bare)
        assert isinstance(blocks[0], Heading) and blocks[0].level == 2
        assert any(isinstance(block, Paragraph) and words in block.text for block in blocks), words
    assert tables(training.blocks(bare), "belief")
    assert "early-answering" not in compose(bare).drawn


def test_hash_of_completions_ignores_how_files_are_written(run: Path, tmp_path: Path) -> None:
    import shutil

    ids = pl.read_parquet(run / "trials.parquet").filter(pl.col("status") == "finished")["trial_id"].to_list()
    before, total = completions_hash(read_run(str(run)), ids)
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    path = copy / "probes" / f"{ids[0]}.parquet"
    table = pl.read_parquet(path)
    table.reverse().write_parquet(path, compression="snappy")
    assert completions_hash(read_run(str(copy)), reversed(ids)) == (before, total) and total == 200 * len(ids)
    table.with_columns(pl.col("completion") + " ").write_parquet(path)
    assert completions_hash(read_run(str(copy)), ids)[0] != before
    assert ids_hash(ids) == ids_hash(ids[::-1]) != ids_hash(ids[1:])
