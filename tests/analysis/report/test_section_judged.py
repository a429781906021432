"""The section on the judge, from a judge.parquet of known content."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from analysis.find import find
from analysis.findings import Findings
from analysis.report.blocks import Sample, Table, to_markdown
from analysis.report.sections import judged
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.trial_tables import JUDGE, frame


def with_judge(run: Path, folder: Path, rows: list[dict]) -> Findings:
    copy = folder / "run"
    shutil.copytree(run, copy)
    frame(rows, JUDGE).write_parquet(copy / "judge.parquet")
    return find(read_run(str(copy)))


def judged_rows(run: Path, count: int, disagree: int, unusable: int = 0) -> list[dict]:
    probes = pl.concat([pl.read_parquet(path) for path in sorted((run / "probes").iterdir())[:3]])
    asked = probes.filter((pl.col("suite") == "belief") & pl.col("answer_stance").is_in(["target", "prior"]))
    rows = []
    for i, row in enumerate(asked.head(count).iter_rows(named=True)):
        stance = row["answer_stance"]
        rows.append(
            {name: row[name] for name in ("trial_id", "suite", "probe_id")}
            | {
                "reason": "doubtful" if i < count // 2 else "sample",
                "parser_stance": stance,
                "judge_stance": "other" if i < disagree else None if i < disagree + unusable else stance,
                "judge_reply": "OTHER",
                "judge_model": "reader",
            }
        )
    assert len(rows) == count
    return rows


def test_without_a_judge_there_is_no_section(run: Path):
    assert judged.blocks(find(read_run(str(run)))) == []


def test_counts_agreement_and_disagreements(run: Path, tmp_path: Path):
    done = judged.blocks(with_judge(run, tmp_path, judged_rows(run, 100, disagree=10, unusable=4)))
    agreement, crossed = (block for block in done if isinstance(block, Table))
    doubtful, drawn, everything = agreement.rows
    assert doubtful[:3] == ("doubtful", "50", "4") and doubtful[3].startswith("78.3 [")  # 36 of 46
    assert drawn[:3] == ("drawn", "50", "0") and drawn[3].startswith("100.0 [")
    assert everything[:3] == ("all", "100", "4")
    # weighted: 36 + 500 of 46 + 500
    assert everything[3] == f"{100 * 536 / 546:.1f} (weighted)"
    assert sum(int(cell) for line in crossed.rows for cell in line[1:]) == 96
    samples = [block for block in done if isinstance(block, Sample)]
    assert 1 <= len(samples) <= judged.SHOWN
    assert "10 disagreements" in to_markdown(done)


def test_few_answers_are_refused_a_kappa(run: Path, tmp_path: Path):
    text = to_markdown(judged.blocks(with_judge(run, tmp_path, judged_rows(run, 12, disagree=3))))
    assert "refused: needs 20 answers, has 6" in text and "refused: needs 20 answers, has 12" in text


def test_only_unusable_replies(run: Path, tmp_path: Path):
    text = to_markdown(judged.blocks(with_judge(run, tmp_path, judged_rows(run, 5, 0, unusable=5))))
    assert "5 replies could not be used" in text and "not measured" in text
