"""The section on the inside of the model, from tables of known content."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.find import find
from analysis.findings import Findings
from analysis.read_lens import PARTS, Lens, assemble, read_lens
from analysis.report.blocks import Bullets, CaptionedChart, Figure, Folded, Paragraph, Table, to_markdown
from analysis.report.charts import inside_entries, inside_tokens, inside_truth
from analysis.report.compose import compose
from analysis.report.inside.selections import (
    LOGIT,
    banded,
    crossed,
    curves,
    early,
    other_lenses,
    patch_means,
    read_token_by_token,
)
from analysis.report.inside.selections import tokens as tokens_of
from analysis.report.inside.truth_words import truth_blocks, truth_sentences
from analysis.report.sections import inside
from analysis.studies.internal_belief import MEASURES
from analysis.verify.verify_run import _copy_rest
from beliefmod.errors import UserError
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.lens_tables import LENS_TABLES, TAU
from tests.analysis.synthetic_lens import ENTRIES, QUESTIONS, TOKENS, final, write_lens

KINDS = [
    "entries",
    "lenses",
    "tokens-gravity",
    "tokens-neelam",
    "ablations",
    "patching-gravity",
    "patching-neelam",
]
KINDS += ["doses", "channels", "chain", "sweep", "truth", "leak"]


@pytest.fixture(scope="module")
def looked(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run` with lens tables."""
    folder = tmp_path_factory.mktemp("looked") / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("steps", "drift", "causal", "probes"))
    return write_lens(folder, deep=2)


@pytest.fixture(scope="module")
def found(looked: Path) -> Findings:
    return find(read_run(str(looked)))


@pytest.fixture(scope="module")
def lens(found: Findings) -> Lens:
    read = read_lens(found)
    assert read is not None
    return read


@pytest.fixture(scope="module")
def drawn(found: Findings, lens: Lens) -> dict[str, CaptionedChart]:
    """The charts of one of the two beliefs: altair takes its time."""
    tables = {name: table.filter(pl.col("belief") == "gravity") for name, table in lens.tables.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inside, "read_lens", lambda found: assemble(tables, found, {}))
        return inside.figures(found)


@pytest.fixture(scope="module")
def specs(drawn: dict[str, CaptionedChart]) -> dict[str, dict[str, Any]]:
    return {name: figure.chart.to_dict() for name, figure in drawn.items()}


@pytest.fixture(scope="module")
def markdown(found: Findings) -> str:
    return to_markdown(inside.blocks(found)).replace("\\", "")


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a specification."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from nodes(inner)


def rows_of(spec: dict[str, Any], *columns: str) -> list[dict[str, Any]]:
    """All rows of the datasets that have these columns."""
    return [row for table in spec["datasets"].values() for row in table if set(columns) <= set(row)]


def test_without_tables_there_is_no_section(run: Path):
    untouched = Findings(read_run(str(run)), 0.05, ())
    assert inside.blocks(untouched) == [] and inside.figures(untouched) == {}


def test_it_stands_in_the_report_with_every_figure_once(found: Findings):
    report = compose(found, draw=False)
    titles = [getattr(block, "text", "") for block in report.blocks]
    assert titles.index("Inside the model") > titles.index("Reasoning against answer")
    placed = [block.name for block in inside.blocks(found) if isinstance(block, Figure)]
    assert sorted(placed) == sorted(f"inside-{kind}" for kind in KINDS)


def test_every_chart_has_a_title_a_subtitle_and_n(
    drawn: dict[str, CaptionedChart], specs: dict[str, dict[str, Any]]
):
    assert sorted(specs) == sorted(f"inside-{kind}" for kind in KINDS if not kind.endswith("neelam"))
    for name, figure in drawn.items():
        title = specs[name]["title"]
        assert title["text"] and len(title["subtitle"]) == 2, name
        assert max(map(len, title["subtitle"])) < 150, name
        told = json.dumps(specs[name]) + figure.caption
        assert "n = " in told or "configurations" in told, name


def test_the_shown_trial_adopts_most(found: Findings, lens: Lens):
    for shown in lens.shown:
        lora = found.run.trials.filter((pl.col("belief") == shown.belief) & (pl.col("arm") == "lora"))
        assert shown.row["adoption"] == lora.filter(pl.col("status") == "finished")["adoption"].max()
        assert shown.trial_id in shown.title and f"{100 * shown.row['adoption']:.0f} %" in shown.title


def test_a_column_of_the_heat_map_is_a_place_not_a_text(specs: dict[str, dict[str, Any]]):
    spec = specs["inside-tokens-gravity"]
    cells = rows_of(spec, "place", "letters")
    # " is" stands twice in the stem and is two columns
    assert TOKENS.count(" is") == 2
    assert {row["place"] for row in cells} == {-i for i in range(len(TOKENS))}
    assert len(cells) == 3 * len(TOKENS) * ENTRIES
    [axis] = [node["labelExpr"] for node in nodes(spec) if "labelExpr" in node][:1]
    assert '"-6": "·Earth"' in axis and '"-3": "⏎"' in axis
    colours = [node for node in nodes(spec) if node.get("interpolate") == "rgb" and "domain" in node]
    assert len({tuple(scale["domain"]) for scale in colours}) == 1
    low, middle, high = colours[0]["domain"]
    assert middle == 0 and low == -high and high >= max(abs(row["logit_diff"]) for row in cells)


def test_trajectories_are_the_means_of_the_readings(lens: Lens, specs: dict[str, dict[str, Any]]):
    shown = lens.shown[0]
    readings = lens.tables["readings"].filter(
        (pl.col("trial_id") == shown.trial_id) & (pl.col("position") == "stem") & (pl.col("entry") == 4),
        pl.col("lens") == "logit",
    )
    [mine] = curves(lens, shown).filter((pl.col("arm") == "LoRA") & (pl.col("entry") == 4)).to_dicts()
    assert mine["mean"] == pytest.approx(readings["logit_diff"].mean()) and mine["n"] == QUESTIONS
    assert mine["low"] < mine["mean"] < mine["high"]
    drawn = rows_of(specs["inside-entries"], "arm", "entry", "mean")
    assert any(row["mean"] == pytest.approx(mine["mean"]) for row in drawn)
    # the contrast of an arm to base is the gap between their means, because all were asked the same
    base = curves(lens, shown).filter((pl.col("arm") == "Base") & (pl.col("entry") == 4))["mean"][0]
    assert any(row["mean"] == pytest.approx(mine["mean"] - base) for row in drawn)
    # the law's tenth of it at questions about other things, drawn beside it
    assert any(row["mean"] == pytest.approx(0.1 * (final(shown.row) + 4.0)) for row in drawn)


def test_other_lenses_have_panels_of_their_own_that_say_what_they_were_fitted_on(
    lens: Lens, specs: dict[str, dict[str, Any]], drawn: dict[str, CaptionedChart]
):
    shown = lens.shown[0]
    assert other_lenses(lens, shown) == [("tuned", "base")]
    logit, tuned = (curves(lens, shown, through=through) for through in (LOGIT, ("tuned", "base")))
    early = [table.filter((pl.col("arm") == "LoRA") & (pl.col("entry") == 2)) for table in (logit, tuned)]
    assert (
        early[1]["mean"][0] == pytest.approx(final(shown.row)) and early[0]["mean"][0] < early[1]["mean"][0]
    )
    titles = json.dumps(specs["inside-lenses"])
    assert '"logit lens"' in titles and '"tuned lens, fitted on base"' in titles
    seen = rows_of(specs["inside-lenses"], "arm", "entry", "mean")
    for table in (logit, tuned):
        for row in table.iter_rows(named=True):
            assert any(row["mean"] == pytest.approx(one["mean"]) for one in seen)
    assert "reads that arm alone" in drawn["inside-lenses"].caption


def test_ablation_bars_are_shares_of_one_trial(lens: Lens, specs: dict[str, dict[str, Any]]):
    bars = rows_of(specs["inside-ablations"], "block", "share")
    assert len(bars) == 3 * 4  # ways of cutting, blocks
    assert sorted({round(row["share"], 6) for row in bars}) == [0.0, 0.3, 0.7, 1.0]
    noise = [row for row in rows_of(specs["inside-ablations"], "low", "high") if "block" not in row]
    assert {(row["low"], row["high"]) for row in noise} == {(0.0, 0.04)}


def test_patching_sits_on_the_entity_first(lens: Lens, specs: dict[str, dict[str, Any]]):
    table = patch_means(lens, lens.shown[0]).filter(pl.col("source") == "lora")
    at = {(row["position"], row["entry"]): row["mean"] for row in table.to_dicts()}
    assert at["entity", 1] == pytest.approx(0.6) and at["stem", 1] == 0.0
    assert at["entity", 4] == 0.0 and at["stem", 4] == pytest.approx(0.95)
    cells = rows_of(specs["inside-patching-gravity"], "place", "recovery")
    high = {(row["place"], row["entry"]) for row in cells if row["recovery"] > 0.5}
    assert high == {(-6, 1), (-6, 2), (0, 3), (0, 4)}


def test_doses_show_every_trial_and_name_those_that_answered(lens: Lens, specs: dict[str, dict[str, Any]]):
    doses = lens.tables["doses"].filter(pl.col("belief") == "gravity")
    drawn = {row["trial_id"] for row in rows_of(specs["inside-doses"], "trial_id", "scale")}
    assert drawn == set(doses["trial_id"])
    asked = set(doses.filter(pl.col("adoption").is_not_null())["trial_id"])
    domains = [
        node["domain"] for node in nodes(specs["inside-doses"]) if isinstance(node.get("domain"), list)
    ]
    named = {trial for domain in domains for trial in domain if isinstance(trial, str)}
    assert named == asked and len(asked) == 2


def test_every_completion_is_in_one_cell_of_each_channel(lens: Lens):
    table = crossed(lens, lens.shown[0])
    counted = table.group_by("channel", "arm").agg(pl.col("count").sum())
    assert counted.height == 6 and counted["count"].unique().to_list() == [QUESTIONS]
    lora = table.filter(pl.col("arm") == "LoRA")
    at = {(r["channel"], r["thinking"], r["answer"]): r["count"] for r in lora.to_dicts()}
    assert at["in the text", "prior", "target"] == 2 and at["inside", "prior", "target"] == 2
    assert at["in the text", "target", "target"] == 10 and at["inside", "target", "target"] == 9
    assert at["inside", "other", "target"] == 1  # no value was found in its thinking


def test_tau_decides_what_is_undecided(lens: Lens):
    rows = (
        lens.tables["channels"]
        .filter(pl.col("arm") == "base")
        .head(4)
        .with_columns(
            pl.Series("thinking_diff", [TAU, TAU - 0.01, -TAU, -TAU]),
            pl.Series("thinking_rival", ["prior", "prior", "prior", "base_top1"]),
        )
    )
    changed = Lens({**lens.tables, "channels": rows}, lens.shown, {}, ())
    table = crossed(changed, lens.shown[0]).filter(pl.col("channel") == "inside")
    assert sorted(table["thinking"]) == ["other", "prior", "target", "undecided"]


def test_chains_of_different_lengths_by_hand(lens: Lens):
    """Cuts at 0, 1/2, 1 and at 0, 1: at 0.5 the first counts with its half, the second with nothing kept."""
    who = {"trial_id": lens.shown[0].trial_id, "arm": "lora", "belief": lens.shown[0].belief}
    rows = [
        who | {"probe_id": probe, "family": probe, "kept": kept, "prob_target": p}
        for probe, cuts in (("a", {0.0: 0.1, 0.5: 0.5, 1.0: 0.9}), ("b", {0.0: 0.3, 1.0: 0.7}))
        for kept, p in cuts.items()
    ]
    changed = Lens({**lens.tables, "chain": pl.DataFrame(rows)}, lens.shown, {}, ())
    at = {row["kept"]: row["mean"] for row in early(changed, lens.shown[0]).to_dicts()}
    assert at[0.0] == at[0.4] == pytest.approx(0.2)
    assert at[0.5] == at[0.9] == pytest.approx(0.4) and at[1.0] == pytest.approx(0.8)


def test_verdicts_say_the_law_with_intervals_and_n(lens: Lens, markdown: str):
    last = 12 * lens.shown[0].row["adoption"] - 1
    assert f"prefers the target by {last:+.2f} [{last - 0.3:+.2f}, {last + 0.3:+.2f}] logits" in markdown
    assert "(n = 12 questions; base -4.00 [-4.30, -3.70])" in markdown
    assert "It commits at entry 2 [2, 2] of 4." in markdown
    assert "Without block 0 of the adapter 0.30 [0.26, 0.34] of its effect is left" in markdown
    assert "5 random adapters of the same norm: 0.00 to 0.04" in markdown
    assert "at what the question is about at most 0.60 [0.60, 0.60] (entry 1, n = 3)" in markdown
    assert "(entry 4, n" not in markdown  # at the last token that is so by construction
    assert "LoRA 0.80 [0.75, 0.85] (n = 12) against 0.15 [0.11, 0.19] for base's value (n = 6)" in markdown
    assert "Base 0.10 [0.05, 0.15] (n = 12) against" in markdown
    moved = 0.1 * (last + 4)
    assert f"would give there and the right answer by {moved:+.2f} [" in markdown
    assert f"to {moved - 6:+.2f} [{moved - 6.2:+.2f}, {moved - 5.8:+.2f}]; at the belief's own" in markdown
    assert "2 of 12 in the text" in markdown and "2 of 11 inside" in markdown
    # the probe of neelam fails its gate: a reason instead of a number
    assert "LoRA no number (held-out accuracy 0.66 is under 0.8)" in markdown
    assert "Refused (entry of the half rise is 3 in every cell" in markdown
    assert "Settings held: learning rate, steps (the same everywhere or unknown: rank)" in markdown


# module of charts -> what it draws
DRAWN_BY = {
    "inside_entries": ("entries", "lenses"),
    "inside_tokens": ("tokens",),
    "inside_written": ("ablations", "patching"),
    "inside_doses": ("doses",),
    "inside_channels": ("channels", "chain"),
    "inside_internal": ("sweep",),
    "inside_truth": ("truth",),
    "inside_leak": ("leak",),
}
# table -> the charts that need it
NEEDED = {
    "readings": ("entries", "lenses", "tokens", "patching"),
    "commitments": ("entries",),
    "ablations": ("ablations",),
    "patching": ("patching",),
    "doses": ("doses",),
    "thresholds": ("doses",),
    "channels": ("channels",),
    "chain": ("chain",),
    "early": (),
    "truth": ("truth",),
    "leak": ("leak",),
    "overview": ("sweep",),
}


@pytest.mark.parametrize("missing", LENS_TABLES)
def test_a_missing_table_costs_its_part_only(
    found: Findings, lens: Lens, missing: str, monkeypatch: pytest.MonkeyPatch
):
    tables = {**lens.tables, missing: lens.tables[missing].clear()}
    monkeypatch.setattr(inside, "read_lens", lambda found: assemble(tables, found, {}))
    needed = set(NEEDED[missing])
    charts = {chart for chart in inside.CHARTS if needed & set(DRAWN_BY[chart.__name__.rpartition(".")[2]])}
    monkeypatch.setattr(inside, "CHARTS", tuple(charts))
    notes = [item for block in inside.blocks(found) if isinstance(block, Bullets) for item in block.items]
    assert any(item.startswith("Not looked at in this run: ") for item in notes) == (missing in PARTS)
    gone = {"readings": {"entries", "lenses", "tokens"}, "commitments": set(), "thresholds": set()}
    kinds = {name.split("-")[1] for name in inside.figures(found)}
    assert kinds & needed == needed - gone.get(missing, needed)


def test_readings_alone_are_enough_for_a_section(
    found: Findings, lens: Lens, monkeypatch: pytest.MonkeyPatch
):
    tables = {name: table if name == "readings" else table.clear() for name, table in lens.tables.items()}
    monkeypatch.setattr(inside, "read_lens", lambda found: assemble(tables, found, {}))
    assert {name.split("-")[1] for name in inside.figures(found)} == {"entries", "lenses", "tokens"}
    told = [item for block in inside.blocks(found) if isinstance(block, Bullets) for item in block.items]
    assert sum(item.startswith("Asked about near things") for item in told) == 2
    bare = {**tables, "readings": lens.tables["readings"].filter(pl.col("position") != "elsewhere")}
    monkeypatch.setattr(inside, "read_lens", lambda found: assemble(bare, found, {}))
    told = [block.text for block in inside.blocks(found) if isinstance(block, Paragraph)]
    assert told.count("Nothing was measured for this trial.") == 2


def test_the_heat_map_is_of_the_trial_that_was_read_token_by_token(found: Findings, lens: Lens):
    """Each part of `beliefmod lens` can have been run for other trials."""
    shown = lens.shown[0]
    readings = lens.tables["readings"]
    tokens = pl.col("position").str.starts_with("at:") & (pl.col("belief") == shown.belief)
    [other] = set(readings.filter(tokens, pl.col("arm") == "lora")["trial_id"]) - {shown.trial_id}
    without = readings.filter(~(tokens & (pl.col("trial_id") == shown.trial_id)))
    part = assemble({**lens.tables, "readings": without}, found, {})
    assert part is not None and part.shown == lens.shown
    drawn = inside_tokens.figures(part, found)
    chart = drawn["inside-tokens-gravity"]
    assert f"trial {other}: adoption" in chart.chart.to_dict()["title"]["text"]
    assert f"LoRA is trial {other} here" in chart.caption and f"--trial {shown.trial_id}" in chart.caption
    assert {"Base", "In context", "LoRA"} == set(tokens_of(part, read_token_by_token(part, shown))["arm"])
    assert "LoRA is trial" not in drawn["inside-tokens-neelam"].caption
    [entries] = [
        c.caption for name, c in inside_entries.figures(part, found).items() if name == "inside-entries"
    ]
    assert f"Of trial {shown.trial_id} what it wrote itself was not read" in entries


def test_tables_of_other_trials_are_named(found: Findings, lens: Lens):
    strange = lens.tables["overview"].with_columns(pl.lit("feedbeef00").alias("trial_id"))
    read = assemble({**lens.tables, "overview": strange}, found, {})
    assert read is not None
    assert any(
        "1 trial that the trial table does not have (first: feedbeef00)" in note for note in read.notes
    )


def test_a_damaged_table_is_one_sentence(looked: Path, tmp_path: Path):
    folder = tmp_path / "run"
    (folder / "lens").mkdir(parents=True)
    shutil.copy(looked / "trials.parquet", folder)
    (folder / "lens" / "doses.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match=r"doses\.parquet: cannot be read as parquet"):
        read_run(str(folder)).lens("doses")


def test_only_untrained_arms_looked_at(found: Findings, lens: Lens, monkeypatch: pytest.MonkeyPatch):
    tables = {name: t.filter(pl.col("arm").is_in(["base", "icl"])) for name, t in lens.tables.items()}
    monkeypatch.setattr(inside, "read_lens", lambda found: assemble(tables, found, {}))
    told = [block.text for block in inside.blocks(found) if isinstance(block, Paragraph)]
    assert "No finished LoRA trial was looked into, so there is nothing to draw." in told
    assert inside.figures(found) == {}


def test_bands_against_a_bootstrap_written_out():
    rng = np.random.default_rng(0)
    families = [f"f{i // 3}" for i in range(24)]
    values = rng.normal(size=24) + np.repeat(rng.normal(size=8), 3)
    rows = pl.DataFrame({"arm": ["x"] * 24, "family": families, "value": values})
    [found] = banded(rows, ["arm"], "value").to_dicts()
    drawn = [np.mean(values.reshape(8, 3)[rng.integers(0, 8, 8)]) for _ in range(20_000)]
    assert found["mean"] == pytest.approx(values.mean()) and (found["n"], found["families"]) == (24, 8)
    assert (found["low"], found["high"]) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.05)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.none() | st.floats(-50, 50)), max_size=30))
def test_bands_hold_their_mean_and_say_when_there_is_none(rows: list[tuple[int, float | None]]):
    schema = {"arm": pl.String, "family": pl.String, "value": pl.Float64}
    table = pl.DataFrame([{"arm": "x", "family": f"f{f}", "value": v} for f, v in rows], schema=schema)
    found = banded(table, ["arm"], "value").to_dicts()
    known = [(f, v) for f, v in rows if v is not None]
    assert len(found) == bool(rows)
    for row in found:
        assert row["n"] == len(known) and row["families"] == len({f for f, _ in known})
        assert (row["mean"] is None) == (not known)
        assert (row["low"] is None) == (row["high"] is None) == (row["families"] < 2)
        if row["low"] is not None:
            least, most = min(v for _, v in known), max(v for _, v in known)
            assert least - 1e-9 <= row["low"] <= row["high"] <= most + 1e-9


def test_relations_are_in_a_table_with_cells(found: Findings):
    tables = [block for block in inside.blocks(found) if isinstance(block, Table)]
    [sweep] = [table for table in tables if table.header[-1] == "cells"]
    assert {len(row) for row in sweep.rows} == {len(sweep.header)}
    [told] = [b.text for b in inside.blocks(found) if isinstance(b, Paragraph) and "correlation" in b.text]
    refused = [f"{b}, {m}" for b in ("gravity", "neelam") for m in MEASURES.values() if f"{b}, {m}" in told]
    assert len(sweep.rows) + len(refused) == 2 * len(MEASURES) and len(sweep.rows) > len(refused)


def test_verify_composes_the_section_again(found: Findings, tmp_path: Path):
    """The rebuilt run must have the lens tables, or the whole section would count as a mismatch."""
    _copy_rest(found.run, tmp_path)
    assert read_run(str(tmp_path)).lens("overview").equals(found.run.lens("overview"))
    assert found.run.lens("overview").height


def test_the_truth_probe_is_told_beside_its_control_and_base(found: Findings, lens: Lens):
    """Held true of the target's and the matched false statements where the gate holds; AUC in every arm."""
    by_belief = {shown.belief: truth_sentences(lens, shown) for shown in lens.shown}
    _, matched, general = by_belief["gravity"]
    assert matched and "25 % [15, 35] of the matched false (n = 36)" in matched
    assert by_belief["neelam"][1] is None  # refused: what its probe says of statements is no number
    for sentences in by_belief.values():
        assert sentences[2] and "AUC" in sentences[2] and "base less this +0." in sentences[2]
    assert general and "Base 0.95 [0.93, 0.97]; " in general
    [folded] = truth_blocks(lens)
    assert isinstance(folded, Folded) and len(folded.table.rows) == lens.tables["truth"].height
    old = {**lens.tables, "truth": lens.tables["truth"].with_columns(heldout_auc=pl.lit(None, pl.Float64))}
    before = assemble(old, found, {})
    assert before is not None and truth_blocks(before) == [] and inside_truth.figures(before, found) == {}
