"""What a paper takes from docs/example: tables with the report's numbers, methods from its manifest."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG
from analysis.report import compose
from analysis.report.blocks import Heading, Table
from analysis.report.latex.methods_paragraph import methods_paragraph
from analysis.report.latex.paper import document_files
from beliefmod.run.read_run import read_run
from tests.analysis.report.latex.tex_reader import assert_well_formed, printed, tables
from tests.test_example_run import EXAMPLE

QUOTED = ("summary", "frontier", "tiers", "damage", "confirmed")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)*(?:e-?\d+)?(?![\w.]*\w)")


@pytest.fixture(scope="module")
def found() -> Findings:
    return find(read_run(str(EXAMPLE)))


@pytest.fixture(scope="module")
def files(found: Findings) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "SECTIONS", QUOTED)
        return document_files(compose.compose(found, draw=False).blocks, methods_paragraph(found))


def of_report() -> list[list[list[str]]]:
    """The cells of every table in report.md, header first."""
    found: list[list[list[str]]] = []
    lines = (EXAMPLE / "report.md").read_text(encoding="utf-8").splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("| ---") or not line.startswith("|"):
            continue
        if not before.startswith("|"):
            found.append([])
        cells = re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |"))
        found[-1].append([re.sub(r"\\(.)", r"\1", cell.strip()).replace("&amp;", "&") for cell in cells])
    return found


def test_tables_are_those_of_the_report(files: dict[str, str]) -> None:
    written, reported = tables(files["tables.tex"]), of_report()
    assert all(table in reported for table in written)
    headers = [table[0][0] for table in written]
    assert headers[:2] == ["belief", "configuration"]
    for name in ("tier, % adopting [95 %]", "component, damage against base [95 %]", "beside D, % [95 %]"):
        assert name in headers
    assert ["confirmed adoption [95 %]" in table[0] for table in written].count(True) == 1
    assert sum(len(_NUMBER.findall(cell)) for table in written for row in table for cell in row) > 500


def test_files_are_well_formed(files: dict[str, str]) -> None:
    for content in files.values():
        assert_well_formed(content)
    main = files["main.tex"]
    assert main.count("\\input{methods}") == main.count("\\input{tables}") == 1
    labels = re.findall(r"\\label\{([^}]*)\}", "".join(files.values()))
    assert len(labels) == len(set(labels)) > 6


def numbers(value: Any) -> set[float]:
    """Every number in nested values, those inside of strings too."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(numbers, value))
    if isinstance(value, str):
        return {float(one.replace(",", "")) for one in _NUMBER.findall(value) if one.count(".") < 2}
    return {float(value)} if isinstance(value, (int, float)) else set()


def test_every_number_in_methods_is_one_of_the_run(found: Findings, files: dict[str, str]) -> None:
    text = printed(files["methods.tex"].splitlines()[1])
    assert text == methods_paragraph(found)
    trials = pl.read_parquet(EXAMPLE / "trials.parquet")
    lora = trials.filter(pl.col("arm") == "lora").select(name for name in CONFIG if name in trials.columns)
    parts = [path for path in (EXAMPLE / "probes").iterdir() if path.suffix == ".parquet"]
    asked = pl.concat([pl.read_parquet(path, columns=["truncated", "suite", "arm"]) for path in parts])
    base = asked.filter(pl.col("arm") == "base")
    counted = {
        *(float(frame["truncated"].sum()) for frame in (asked, base)),
        *(float(frame.height) for frame in (asked, base)),
        round(100 * base["truncated"].sum() / base.height, 1),
    }
    [row] = trials.filter((pl.col("arm") == "base") & (pl.col("belief") == "gravity")).to_dicts()[:1]
    assert f"share of {row['adoption_n']} held-out questions in {found.beliefs[0].families} families" in text
    assert (
        f"{lora.unique(['data.style', 'data.num_examples', 'num_train_epochs']).height} configurations"
        in text
    )
    told = re.sub(r"share of \d+ held-out questions in \d+ families|\d+ configurations", "", text)
    told = told.replace("Intervals are at 95 %", "").replace(f"D ≤ {found.limit:g}", "")
    told = told.replace("Adam beta 1", "").replace("Adam beta 2", "")  # names of settings
    told = told.replace(f"{found.beliefs[0].choice.lora['seeds'][0]} seeds per", "")
    confirmed = read_run(str(EXAMPLE / "confirmation"))
    lora_again = confirmed.trials.filter(pl.col("arm") == "lora").height
    told = told.replace(f"{lora_again} adapters of {lora_again} trials finished", "")
    known = numbers(found.run.manifest) | numbers(confirmed.manifest)
    assert numbers(told) <= known | numbers(lora.to_dicts()) | counted
    assert len(numbers(told)) > 15


@pytest.mark.parametrize(
    "place, value, words",
    [
        (("model", "name"), "Other/Model-7B", "The model is Other/Model-7B"),
        (("model", "revision"), "v1.5", "revision v1.5"),
        (("model", "commit"), "0123456789abcdef", "commit 0123456789ab)"),
        (("model", "quantized_layers"), 4321, "its 4,321 linear layers quantised to NF4 and unpacked once"),
        (("model", "base_storage"), "none", "its weights not quantised"),
        (("model", "dtype"), "bfloat16", "computed in bfloat16"),
        (("model", "max_new_tokens"), 777, "at most 777 tokens"),
        (("model", "decoding", "temperature"), 0.65, "sampled at temperature 0.65"),
        (("seeds",), [5, 8], "Planned seeds: 5, 8."),
        (("versions", "torch"), "9.8.7", "torch 9.8.7"),
        (("git_commit",), "fedcba98765432+dirty", "Commit of beliefmod: fedcba987654+dirty."),
        (("command",), "beliefmod sweep --space x", "Command: beliefmod sweep --space x"),
    ],
)
def test_methods_follow_the_manifest(found: Findings, place: tuple, value: Any, words: str) -> None:
    manifest = copy.deepcopy(dict(found.run.manifest))
    inner = manifest
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    if place[-1] == "commit":
        inner.pop("fingerprint")
    assert words not in methods_paragraph(found)
    assert words in methods_paragraph(replace(found, run=replace(found.run, manifest=manifest)))


def test_a_run_that_knows_nothing_says_nothing(found: Findings) -> None:
    bare = replace(
        found, run=replace(found.run, manifest={}), pooled=pl.DataFrame(), beliefs=(), probes=pl.DataFrame()
    )
    text = methods_paragraph(bare)
    assert text.startswith("The model is bundled. Damage D is") and "None" not in text


def long_report(rows: int) -> list:
    """A frontier of so many configurations, as `compose` gives it to the paper."""
    header = ("configuration", "adoption, % [95 %]", "degradation D [95 %]", "seeds", "trial")
    cells = [(f"own_trace, {n} examples", f"{n} % [0, 99]", "D 0.000", "2", f"{n:010x}") for n in range(rows)]
    return [
        Heading(1, "A title"),
        Heading(2, "Frontier", "frontier"),
        Heading(3, "gravity"),
        Table(header, tuple(cells), f"All {rows} configurations."),
    ]


def test_a_table_longer_than_a_page_breaks_and_repeats_its_header() -> None:
    short, long = (document_files(long_report(rows), "How.")["tables.tex"] for rows in (20, 200))
    assert "longtable" not in short.partition("\n\n")[2] and "\\begin{tabularx}" in short
    assert "\\begin{tabularx}" not in long and long.count("\\begin{longtable}") == 1
    assert long.count("configuration & adoption") == 2 and "\\label{tab:frontier-gravity-1}" in long
    for source, rows in ((short, 20), (long, 200)):
        assert_well_formed(source)
        [table] = tables(source)
        assert len(table) == rows + 1 and table[-1][0] == f"own_trace, {rows - 1} examples"


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex and the packages of the preamble"
)
@pytest.mark.slow
@pytest.mark.long
def test_every_row_of_a_long_table_stands_on_a_page(tmp_path: Path) -> None:
    for name, content in document_files(long_report(200), "How.").items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    for _ in range(2):  # longtable sets its columns in the second run
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
    said = (tmp_path / "main.log").read_text(errors="replace").replace("\n", " ")
    pages = re.search(r"Output written on main.pdf \((\d+) pages", said)
    assert pages is not None and int(pages[1]) >= 4
    assert "Overfull \\vbox" not in said and "Float too large" not in said


def test_methods_tell_how_finalists_were_confirmed(found: Findings) -> None:
    again = read_run(str(EXAMPLE / "confirmation"))
    asked = again.manifest["confirmation"]
    text = methods_paragraph(found)
    seeds = ", ".join(str(seed) for seed in again.manifest["seeds"])
    assert f"highest adoption at D ≤ {asked['limit']:g} on the selection half" in text
    assert (
        f"trained again on new seeds ({seeds})" in text and "no halves; there only the seeds are new" in text
    )
    assert "Quote the confirmed numbers" not in text  # advice to readers of the page


def test_methods_say_that_nothing_was_confirmed(found: Findings, tmp_path: Path) -> None:
    run = shutil.copytree(EXAMPLE, tmp_path / "run", ignore=shutil.ignore_patterns("confirmation", "figures"))
    text = methods_paragraph(replace(found, run=read_run(str(run))))
    assert "No configuration was confirmed on new seeds and other questions." in text
