"""`verify` finds whatever is changed in a run, and nothing in one that was left alone."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.recompute import metric_columns
from analysis.report.write import write_report
from analysis.verify.verify_run import Verification, limit_in, verify_run
from beliefmod.cli.app import app
from beliefmod.run.tables.trial_tables import PROBES
from beliefmod.space import Space, SpaceFile
from tests.analysis.verify.answered import answer_space, answered_run, thinned

STYLES = ["answer_only", "own_trace", "document"]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = answered_run(tmp_path_factory.mktemp("verify") / "EXP-answered")
    write_report(run)
    return run


@pytest.fixture
def run(untouched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untouched, tmp_path / untouched.name))


@pytest.fixture
def tables(run: Path) -> Path:
    """A run without its report, which takes as long as all else to compute again."""
    (run / "report.md").unlink()
    return run


def a_trial(run: Path, arm: str = "lora") -> str:
    return pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == arm)["trial_id"][-1]


def edit(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    buffer = io.BytesIO()
    change(pl.read_parquet(path)).write_parquet(buffer)
    path.write_bytes(buffer.getvalue())


def set_cell(path: Path, where: pl.Expr, column: str, value: object) -> None:
    def change(table: pl.DataFrame) -> pl.DataFrame:
        assert table.filter(where).height >= 1
        return table.with_columns(
            pl.when(where).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
        ).cast(dict(table.schema))

    edit(path, change)


def only(found: Verification, word: str) -> list[str]:
    return [text for text in found.mismatches if word in text]


def test_a_run_left_alone_agrees_in_everything(untouched: Path):
    found = verify_run(str(untouched))
    assert found.mismatches == [] and found.notes == []
    assert found.trials == 4 and found.probes > 400
    assert found.lines == len((untouched / "report.md").read_text().splitlines())
    # every column of every probe, every metric of every trial; generated tokens and kind, steps and loss
    expected = len(PROBES) * found.probes + (len(metric_columns()) + 2) * found.trials + 2 * 2
    assert found.numbers == expected


def test_a_changed_completion_is_found(run: Path):
    path = run / "probes" / f"{a_trial(run)}.parquet"
    target = (pl.col("answer_stance") == "target") & (pl.col("suite") == "belief")
    probe = pl.read_parquet(path).filter(target)["probe_id"][0]
    set_cell(
        path, pl.col("probe_id") == probe, "completion", "It is hard.\n</think>\n\nThe answer is 123456."
    )
    found = verify_run(str(run))
    assert only(found, f"probe {probe}: answer_stance: stored 'target', recomputed 'other'")
    assert only(found, f"probe {probe}: answer: ") and only(found, ": adoption: stored")
    assert only(found, "report.md, line ")


@pytest.mark.long
def test_a_changed_answer_of_a_reference_arm_moves_every_trials_answerable_questions(tables: Path):
    path = tables / "probes" / f"{a_trial(tables, 'icl')}.parquet"
    rows = pl.read_parquet(path).filter(pl.col("answerable") == "both")
    probe = rows["probe_id"][0]
    set_cell(path, pl.col("probe_id") == probe, "completion", "So.\n</think>\n\nI do not know.")
    found = verify_run(str(tables))
    assert len(only(found, f"probe {probe}: answerable: stored 'both', recomputed 'prior'")) == found.trials
    assert only(found, ": adoption_gate_in_context_n: stored")


VERDICTS = {
    "engine": "vllm",
    "answer_stance": "hedged",
    "answerable": "in_context",
    "thinking_stance": "both",
    "think_state": "reopened",
    "tier": "format",
    "split": "selection",
    "family": "another",
    "target": "1 N",
    "question": "What?",
    "seq_rep_4": 0.123,
    "tokens": 999,
    "loop": True,
    "arm": "control",
}


def test_every_changed_verdict_is_found_and_the_numbers_stay(run: Path):
    path = run / "probes" / f"{a_trial(run)}.parquet"
    held_out = pl.col("split").is_not_null() & (pl.col("tier") != "format")
    rows = pl.read_parquet(path).filter(held_out).sort("split", maintain_order=True)  # confirmation first
    probes = dict(zip(VERDICTS, rows["probe_id"], strict=False))
    assert len(probes) == len(VERDICTS)
    for column, value in VERDICTS.items():
        set_cell(path, pl.col("probe_id") == probes[column], column, value)
    found = verify_run(str(run))
    for column, probe in probes.items():
        assert only(found, f"probe {probe}: {column}: stored")
    # the tables agree with the completions, so only the probe file is wrong
    assert len(found.mismatches) == len(VERDICTS)


NUMBERS = (
    "adoption",
    "adoption_answerable",
    "adoption_gate_prior_high",
    "integrity_low",
    "degradation",
    "locality_near",
    "nll_base",
)


def test_every_changed_number_in_the_table_is_found(tables: Path):
    trial = a_trial(tables)
    for column in NUMBERS:
        set_cell(tables / "trials.parquet", pl.col("trial_id") == trial, column, 0.4321)
    found = verify_run(str(tables))
    for column in NUMBERS:
        assert only(found, f"trials.parquet, trial {trial}: {column}: stored 0.4321")
        assert only(found, f"rows/{trial}.json against trials.parquet: {column}")


@pytest.mark.long
def test_a_number_changed_in_the_table_and_in_the_row_is_found(tables: Path):
    trial = a_trial(tables)
    set_cell(tables / "trials.parquet", pl.col("trial_id") == trial, "adoption", 0.4321)
    row = json.loads((tables / "rows" / f"{trial}.json").read_text())
    (tables / "rows" / f"{trial}.json").write_text(json.dumps(row | {"adoption": 0.4321}))
    assert only(verify_run(str(tables)), f"trial {trial}: adoption: stored 0.4321")


@pytest.mark.long
def test_a_rounding_error_is_no_mismatch_and_a_millionth_is_one(run: Path):
    trial = a_trial(run)
    value = pl.read_parquet(run / "trials.parquet").filter(pl.col("trial_id") == trial)["adoption"][0]
    (run / "report.md").unlink()
    for shift, count in ((1e-12, 0), (1e-6, 1)):
        set_cell(run / "trials.parquet", pl.col("trial_id") == trial, "adoption", value + shift)
        assert len(only(verify_run(str(run)), "trials.parquet, ")) == count


@pytest.mark.long
def test_a_changed_setting_is_found(tables: Path):
    trial = a_trial(tables)
    set_cell(tables / "trials.parquet", pl.col("trial_id") == trial, "learning_rate", 3e-4)
    assert only(verify_run(str(tables)), f"trial {trial}: its settings")


def test_a_dropped_probe_is_found(tables: Path):
    path = tables / "probes" / f"{a_trial(tables)}.parquet"
    probe = pl.read_parquet(path).filter(pl.col("split").is_not_null())["probe_id"][0]
    edit(path, lambda table: table.filter(pl.col("probe_id") != probe))
    found = verify_run(str(tables))
    assert only(found, "1 of ") and only(found, f"such as {probe}") and only(found, "integrity_n: stored")


@pytest.mark.long
def test_a_dropped_probe_of_base_and_a_doubled_one_are_found(tables: Path):
    base = tables / "probes" / f"{a_trial(tables, 'base')}.parquet"
    edit(base, lambda table: table.slice(1))
    twice = tables / "probes" / f"{a_trial(tables)}.parquet"
    edit(twice, lambda table: pl.concat([table, table.head(1)]))
    found = verify_run(str(tables))
    assert only(found, "probes were not asked of base") and only(found, "is there twice")


def test_a_missing_probe_file_is_found(tables: Path):
    trial = a_trial(tables)
    (tables / "probes" / f"{trial}.parquet").unlink()
    assert only(verify_run(str(tables)), f"probes/{trial}.parquet: ")


def test_a_digit_in_the_report_is_found_with_its_line(run: Path):
    path = run / "report.md"
    lines = path.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if line.startswith("|") and re.search(r"\d", line))
    lines[number] = re.sub(r"\d", lambda found: str((int(found[0]) + 1) % 10), lines[number], count=1)
    path.write_text("\n".join(lines) + "\n")
    found = verify_run(str(run))
    assert len(found.mismatches) == 1
    assert found.mismatches[0].startswith(f"report.md, line {number + 1}: says ")


@pytest.mark.long
def test_added_and_dropped_lines_of_the_report_are_found(run: Path):
    path = run / "report.md"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "Adoption is 100 %.", *lines[3:-1]]) + "\n")
    found = verify_run(str(run))
    assert only(found, "report.md, line 4: 'Adoption is 100 %.' is not in the recomputed report")
    assert only(found, "report.md, after line") and len(found.mismatches) == 2


@pytest.mark.long
def test_a_changed_belief_file_is_found(tables: Path):
    path = tables / "beliefs" / "gravity.yaml"
    text = path.read_text()
    assert "5.0" in text
    path.write_text(text.replace("value: 5.0", "value: 4.0"))
    assert only(verify_run(str(tables)), "target: stored")


@pytest.mark.long
def test_a_report_written_with_another_limit_agrees(run: Path):
    write_report(run, limit=0.2)
    assert limit_in((run / "report.md").read_text()) == 0.2
    assert verify_run(str(run)).mismatches == []
    assert only(verify_run(str(run), limit=0.05), "report.md, line ")


def test_the_command_line_says_it_in_one_line(untouched: Path):
    done = CliRunner().invoke(app, ["verify", str(untouched), "--quick"])
    assert done.exit_code == 0
    assert re.fullmatch(
        r"verified: [\d,]+ values of 4 trials, [\d,]+ probes, .*lines of report\.md; all agree\n", done.stdout
    )
    assert "log-probabilities" in done.stderr and "wall times" in done.stderr


@pytest.mark.long
def test_the_command_line_lists_twenty_and_ends_with_one(tables: Path):
    path = tables / "probes" / f"{a_trial(tables)}.parquet"
    set_cell(path, pl.col("suite") == "belief", "answer_stance", "hedged")
    done = CliRunner().invoke(app, ["verify", str(tables), "--quick"])
    assert done.exit_code == 1
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 22 and lines[20].startswith("... and ") and "mismatches in " in lines[21]


@pytest.mark.parametrize("broken", ["nowhere", "no beliefs", "no parquet", "no space"])
def test_what_cannot_be_read_is_a_sentence(run: Path, broken: str):
    if broken == "no beliefs":
        shutil.rmtree(run / "beliefs")
    elif broken == "no parquet":
        (run / "probes" / f"{a_trial(run)}.parquet").write_bytes(b"PAR1 nothing")
    elif broken == "no space":
        (run / "space.yaml").write_text("axes: [")
    done = CliRunner().invoke(app, ["verify", str(run / "x" if broken == "nowhere" else run)])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr


@pytest.mark.long
def test_a_run_without_a_report_is_checked_all_the_same(run: Path):
    (run / "report.md").unlink()
    found = verify_run(str(run))
    assert (
        found.mismatches == [] and found.lines is None and found.notes == ["there is no report.md to compare"]
    )


@pytest.mark.long
def test_trials_that_do_not_use_a_setting_agree_beside_those_that_do(tmp_path: Path):
    """The table has a setting's default where a trial's own row has nothing, as that of own traces of
    `data.mask_empty_thinking`, which bare answers alone have."""
    belief = thinned(tmp_path, "gravity", 12)
    fields = {"name": "styles", "beliefs": [belief], "controls": "none", "axes": {"data.style": STYLES}}
    fixed = {"data.num_examples": 4, "learning_rate": 1e-3}
    spec = SpaceFile.model_validate({**fields, "fixed": fixed})
    run = answer_space(tmp_path / "EXP-styles", Space(spec, "styles.yaml"))
    table = pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == "lora")
    own = {row["data.style"]: row["trial_id"] for row in table.iter_rows(named=True)}
    setting = "data.mask_empty_thinking"
    rows = {style: json.loads((run / "rows" / f"{name}.json").read_text()) for style, name in own.items()}
    assert {style: row.get(setting) for style, row in rows.items()} == {
        "answer_only": False, "own_trace": None, "document": None
    }  # fmt: skip
    write_report(run)
    found = verify_run(str(run))
    assert found.mismatches == [] and found.trials == 5
    # what the trial's row does not have must be the default, and no other value
    traced = pl.col("trial_id") == own["own_trace"]
    set_cell(run / "trials.parquet", traced, setting, True)
    found = verify_run(str(run))
    assert only(
        found, f"rows/{own['own_trace']}.json against trials.parquet: {setting} is None there and True"
    )
