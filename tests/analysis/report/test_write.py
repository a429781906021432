"""The report of a run: what is written, what it says, and what it refuses to say."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.report.blocks import to_markdown
from analysis.report.compose import compose
from analysis.report.write import ReportPaths, write_report, write_whole
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.run.read_run import read_run
from tests.analysis.conftest import SMALL
from tests.analysis.report.test_page import Elements
from tests.analysis.synthetic import write_run

PNG = b"\x89PNG\r\n\x1a\n"
FIGURES = (
    "frontier",
    "settings-gravity",
    "settings-neelam",
    "tiers",
    "components",
    "integrity",
    "answers",
    "early-answering",
    "loss",
)


def words(run: Path, limit: float = DAMAGE_BUDGET) -> str:
    """The report's text, without the pictures."""
    found = find(read_run(str(run)), limit)
    return to_markdown(compose(found, draw=False).blocks)


def test_files(written: ReportPaths) -> None:
    folder = Path(written.html).parent
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = {Path(path).relative_to(folder).as_posix() for path in written.figures}
    assert figures >= {f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    assert names == {"report.html", "report.md", *figures}
    for name in FIGURES:
        content = (folder / "figures" / f"{name}.png").read_bytes()
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
        assert content.startswith(PNG) and content.rstrip(b"\x00").endswith(b"IEND\xaeB`\x82")
        assert width > 600 and height > 300
        assert "<svg" in (folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")


def test_page_needs_nothing_else(written: ReportPaths) -> None:
    page = Elements(Path(written.html).read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.found]
    assert not {"link", "iframe", "object", "embed", "base", "img"} & set(tags)
    for tag, attributes in page.found:
        for name in ("src", "href", "xlink:href", "data", "action"):
            target = attributes.get(name) or ""
            assert not re.match(r"(https?:)?//", target), (tag, target)
        if tag == "style":
            assert "src" not in attributes
    # one copy of the chart library, one specification per figure
    charts = [a["data-chart"] for tag, a in page.found if tag == "script" and "data-chart" in a]
    assert [name for name in charts if name in FIGURES] == list(FIGURES)
    assert len(charts) == len(set(charts)) == len(written.figures) // 2
    answers = [a for tag, a in page.found if tag == "script" and "data-answers" in a]
    assert tags.count("script") == len(charts) + len(answers) + 5
    style = re.search(r"<style>(.*?)</style>", Path(written.html).read_text(encoding="utf-8"), re.S)
    assert style is not None and "url(" not in style.group(1) and "@import" not in style.group(1)


def test_numbers_come_with_n_and_interval(run: Path, written: ReportPaths) -> None:
    text = Path(written.markdown).read_text(encoding="utf-8").replace("\\", "")
    trials = pl.read_parquet(run / "trials.parquet").filter(pl.col("status") == "finished")
    base = trials.filter((pl.col("arm") == "base") & (pl.col("belief") == "gravity")).row(0, named=True)
    rate, low, high = (100 * base[name] for name in ("adoption", "adoption_low", "adoption_high"))
    row = rf"\| adoption [^|]*over families\], n = 100 \| [^|]* \| {rate:.1f} \[([\d.]+), ([\d.]+)\] \|"
    told = re.search(row, text)
    assert told is not None
    least, most = float(told.group(1)), float(told.group(2))
    # over families, so wider than Wilson's, which takes questions as independent
    assert 0 <= least <= rate <= most and most - least > high - low
    phase2 = trials.filter(
        (pl.col("arm") == "lora")
        & (pl.col("belief") == "neelam")
        & (pl.col("data.style") == "answer_only")
        & (pl.col("data.num_examples") == 10)
        & (pl.col("num_train_epochs") == 3)
        & (pl.col("learning_rate") == 2e-4)
    ).row(0, named=True)
    quoted = re.search(rf"neelam .* D {phase2['degradation']:.3f} \[([\d.]+), ([\d.]+)\]", text)
    # over families, so wider than the table's, which takes questions as independent
    assert quoted is not None and float(quoted.group(1)) <= phase2["degradation_low"]
    assert float(quoted.group(2)) >= phase2["degradation_high"]
    assert "| 17 [3, 56], n = 6 |" in text and "| 0 [0, 39], n = 6 |" in text
    best = trials.filter(
        (pl.col("arm") == "lora") & (pl.col("belief") == "gravity") & (pl.col("degradation") <= 0.05)
    )
    top = best.sort("adoption")["adoption"][-1]
    assert re.search(
        r"gravity \(existing\) .*: at D ≤ 0.05 the best of 16 configurations .* adopts on .* "
        rf"as measured {100 * top:.1f} %",
        text,
    )


def test_text_holds_its_warnings(written: ReportPaths) -> None:
    text = Path(written.markdown).read_text(encoding="utf-8")
    for words in (
        "winner's curse",
        "One seed per configuration",
        "Questions of one family",
        "not tested against each other",
        "Wilson intervals treat them as independent",
        "McNemar",
    ):
        assert words in text
    assert "1 failed" in text and "loss became NaN at step 7" in text


def test_markdown_and_page_say_the_same(written: ReportPaths) -> None:
    page = "".join(Elements(Path(written.html).read_text(encoding="utf-8")).texts).replace("\u00a0", " ")
    for line in Path(written.markdown).read_text(encoding="utf-8").splitlines():
        if line.startswith("- "):
            plain = re.sub(r"\\(.)", r"\1", line[2:]).replace("&amp;", "&")
            assert plain in page


def test_reproduction_section(written: ReportPaths) -> None:
    text = Path(written.markdown).read_text(encoding="utf-8")
    for words in (
        "beliefmod sweep sweeps/aggressive.yaml",
        "abc1234",
        "f00d",
        "torch 2.12.0",
        "warm-up steps 0",
    ):
        assert words in text


@pytest.mark.long
def test_same_run_same_words(run: Path) -> None:
    assert words(run) == words(run)


def test_seeds(seeded: Path) -> None:
    text = words(seeded)
    assert "3 seeds per configuration, pooled" in text and "One seed per" not in text
    assert "n = 300" in text and "sign flips of families" in text


def test_few_questions_are_refused(tmp_path: Path) -> None:
    """Six prompts, as in the Phase 2 report: nothing can be told apart."""
    run = write_run(
        tmp_path / "run", beliefs=("neelam",), families=7, per_family=1, configs=SMALL[:1], failed=0
    )
    text = words(run)
    assert re.search(r"LoRA at the Phase 2 settings and base cannot be told apart at n = 6", text)
    assert "Only 6 question families" in text
    assert "The best LoRA under the limit adopts more" not in text


def test_only_failed_rows(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        beliefs=("gravity",),
        arms=(),
        configs=[{}],
        failed=2,
        change=lambda row, probes: row.update(status="failed", error="out of memory"),
    )
    table = pl.read_parquet(run / "trials.parquet")
    numbers = [
        n
        for n, t in table.schema.items()
        if (t == pl.Float64 and "adoption" in n) or n.startswith("degradation")
    ]
    table.with_columns(pl.lit(None).cast(table.schema[n]).alias(n) for n in numbers).write_parquet(
        run / "trials.parquet"
    )
    paths = write_report(run, tmp_path)
    text = Path(paths.markdown).read_text(encoding="utf-8")
    assert "No trial has finished" in text and "3 failed" in text and "out of memory" in text
    assert "gravity (existing): no LoRA configuration has finished" in text
    assert paths.figures == () and not (tmp_path / "figures").exists()


def test_empty_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        json.dumps({"run_id": "EXP-0", "status": "running", "trials": {"total": 9}})
    )
    text = Path(write_report(tmp_path).markdown).read_text(encoding="utf-8")
    assert "0 trials finished, 9 of 9 not done yet" in text and "nothing to measure" in text
    assert "The trial table is empty" in text


def test_unfinished_run_says_so(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"trials": {"total": 100}}))
    assert "61 of 100 not done yet" in words(folder)


def test_without_probe_files(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "copy"))
    shutil.rmtree(folder / "probes")
    text = words(folder)
    assert "38 of 38 finished trials have no probe file" in text
    assert "Fisher's exact test" in text and "No probe file is there, so no completion is shown" in text


def test_table_against_probes(tmp_path: Path) -> None:
    def spoil(row: dict, probes: list[dict]) -> None:
        if row["arm"] == "icl":
            row["adoption"] = 0.5

    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=SMALL[:2], failed=0, change=spoil)
    text = words(run)
    assert "In 1 trial the trial table and the probe files disagree about adoption" in text


def test_no_configuration_under_the_limit(run: Path) -> None:
    text = words(run, limit=0.0)
    assert "none of 16 configurations stays at D ≤ 0" in text and "no such finished trial" in text


@pytest.mark.long
def test_hostile_run(tmp_path: Path) -> None:
    """Names, errors and completions that try to be markup."""
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

    def spoil(row: dict, probes: list[dict]) -> None:
        row["belief"] = f"gravity {bad}"
        for probe in probes:
            probe["completion"] = probe["question"] = bad

    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=SMALL[:2], failed=0, change=spoil)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(
        json.dumps(manifest | {"run_id": bad, "description": bad, "versions": {bad: bad}})
    )
    paths = write_report(run, tmp_path)
    page = Elements(Path(paths.html).read_text(encoding="utf-8"))
    scripts = [attributes for tag, attributes in page.found if tag == "script"]
    assert len(scripts) == len([a for a in scripts if {"data-chart", "data-answers"} & set(a)]) + 5
    assert not any(tag == "img" for tag, _ in page.found)
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert any(bad in text for text in page.texts)
    assert all(Path(path).parent == tmp_path / "figures" for path in paths.figures)


def test_files_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(str(tmp_path), "a/report.md", b"old")

    def broken(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("analysis.report.write.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_whole(str(tmp_path), "a/report.md", b"new")
    assert (tmp_path / "a" / "report.md").read_bytes() == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["report.md"]


@pytest.mark.long
def test_into_a_url(tmp_path: Path) -> None:
    import fsspec

    run = write_run(tmp_path, beliefs=("gravity",), configs=SMALL[:1], failed=0)
    paths = write_report(run, "memory://reports/one")
    assert paths.html == "memory:///reports/one/report.html"
    assert (
        fsspec.filesystem("memory").cat_file("/reports/one/report.md").startswith(b"# How far can LoRA move")
    )
