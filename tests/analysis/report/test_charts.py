"""Each figure shows the rows it claims to show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.frontier.non_dominated import frontier, pool_seeds
from analysis.report.blocks import file_name
from analysis.report.charts.damage import component_table
from analysis.report.charts.heat_map import cells, has_grid
from analysis.report.charts.labels import LabelText, place_labels
from analysis.report.charts.theme import plain
from analysis.report.compose import compose
from analysis.studies.matched import matched_styles, pairs, style_gaps
from analysis.wording import setting_text, setting_value
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.run.read_run import read_run


@pytest.fixture(scope="module")
def found(run: Path) -> Findings:
    return find(read_run(str(run)))


@pytest.fixture(scope="module")
def specs(found: Findings) -> dict[str, dict[str, Any]]:
    return {name: drawn.chart.to_dict() for name, drawn in compose(found).drawn.items()}


def tables(spec: dict[str, Any], part: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The rows behind a part of a specification, of all its layers."""
    if name := part.get("data", {}).get("name"):
        yield spec["datasets"][name]
    for inner in part.get("layer", ()):
        yield from tables(spec, inner)


@pytest.mark.parametrize(
    "name", ["frontier", "tiers", "components", "integrity", "answers", "early-answering", "loss"]
)
def test_a_panel_shows_its_own_belief(specs: dict[str, dict[str, Any]], name: str) -> None:
    spec = specs[name]
    assert [panel["title"]["text"] for panel in spec["concat"]] == ["gravity", "neelam"]
    for panel in spec["concat"]:
        assert "facet" not in panel
        shown = {row["belief"] for table in tables(spec, panel) for row in table if "belief" in row}
        assert shown == {panel["title"]["text"]}


def test_frontier_shows_every_configuration_and_reference(
    found: Findings, specs: dict[str, dict[str, Any]]
) -> None:
    spec = specs["frontier"]
    for belief, panel in zip(found.beliefs, spec["concat"], strict=True):
        rows = [row for table in tables(spec, panel) for row in table if "trial_id" in row]
        lora = belief.choice.lora
        assert {row["trial_id"] for row in rows if row["arm"] == "lora"} == set(lora["trial_id"])
        assert {row["arm"] for row in rows} == {"lora", "base", "icl", "control"}
        marked = {row["trial_id"] for row in rows if row.get("non_dominated")}
        assert marked == set(lora.filter("non_dominated")["trial_id"])
        labels = {row["label"] for table in tables(spec, panel) for row in table if "label" in row}
        assert labels >= {"Phase 2 settings in this run", "base", "in context", "control"}
    texts = [row["text"] for table in spec["datasets"].values() for row in table if "text" in row]
    assert sorted(texts) == [
        "Phase 2 report: 0/6 [0, 39] %, gave no D",
        "Phase 2 report: 1/6 [3, 56] %, gave no D",
    ]


def test_tooltips_hold_configuration_n_and_interval(specs: dict[str, dict[str, Any]]) -> None:
    [points] = [layer for layer in specs["frontier"]["concat"][0]["layer"] if "shape" in layer["encoding"]]
    shown = {tip["field"] for tip in points["encoding"]["tooltip"]}
    assert shown >= {
        "data_style",
        "learning_rate",
        "num_train_epochs",
        "data_num_examples",
        "adoption_n",
        "percent_low",
        "percent_high",
        "degradation_low",
        "degradation_high",
        "degradation_by",
    }


def test_two_dotted_settings_do_not_collide() -> None:
    """Vega-Lite reads `a.b` as a path: no chart may use a dotted field."""
    rows = pl.DataFrame({"data.style": ["x"], "lora.r": [1]})

    assert plain(rows, rows.columns).columns == ["data_style", "lora_r"]


def test_components_by_hand(run: Path) -> None:
    lora = frontier(pool_seeds(read_run(str(run)).trials))
    table = component_table(lora)
    assert table.height == len(COMPONENTS) * lora.height
    sets = table.filter("sets").join(lora, on="trial_id")
    assert (sets["damage"] - sets["degradation"]).abs().max() == 0.0
    assert sets.height == lora.filter(pl.col("degradation") > 0).height


def test_matched_pairs_differ_in_style_only(run: Path) -> None:
    matched = matched_styles(frontier(pool_seeds(read_run(str(run)).trials)))
    assert matched.height == 32
    for part in matched.partition_by("pair"):
        assert sorted(part["data.style"]) == ["answer_only", "own_trace"]
        assert part.select("belief", "learning_rate", "num_train_epochs", "data.num_examples").n_unique() == 1


def test_styles_are_matched_whatever_only_one_of_them_has(run: Path) -> None:
    """Own traces have no empty think block, so a mask on it is no difference between the settings."""
    lora = frontier(pool_seeds(read_run(str(run)).trials)).filter(pl.col("belief") == "gravity")
    masked = lora.with_columns((pl.col("data.style") == "answer_only").alias("data.mask_empty_thinking"))
    keep = ("trial_id", "pair")
    assert matched_styles(masked).select(keep).equals(matched_styles(lora).select(keep))
    low = "own_trace"
    assert pairs(masked, "data.style", low) == pairs(lora, "data.style", low) != []
    assert pairs(masked, "num_train_epochs") == pairs(lora, "num_train_epochs") != []


def test_style_gap_by_hand(run: Path) -> None:
    lora = frontier(pool_seeds(read_run(str(run)).trials)).filter(pl.col("belief") == "gravity")
    [gap] = style_gaps(lora)
    assert (gap.first, gap.second, gap.pairs) == ("own_trace", "answer_only", 8)
    key = ["data.num_examples", "num_train_epochs", "learning_rate"]
    own, answer = (
        lora.filter(pl.col("data.style") == s).sort(key)["integrity"].to_list()
        for s in ("own_trace", "answer_only")
    )
    gaps = sorted(a - b for a, b in zip(own, answer, strict=True))
    assert gap.higher == sum(g > 0 for g in gaps)
    assert (gap.low, gap.high) == (gaps[0], gaps[-1]) and abs(gap.median - (gaps[3] + gaps[4]) / 2) < 1e-12


def test_heat_map_cells(run: Path) -> None:
    lora = frontier(pool_seeds(read_run(str(run)).trials))
    table = cells(lora, "gravity")
    assert table.height == 16 and table["configurations"].unique().to_list() == [1]
    assert has_grid(lora) and not has_grid(lora.head(1))


def test_numbers_of_settings() -> None:
    assert [setting_value(v) for v in (2e-4, 1e-3, 5e-3, 0.5, 0.0, 1e-8, 10, 32.0, "x")] == [
        "2e-4",
        "1e-3",
        "5e-3",
        "0.5",
        "0",
        "1e-8",
        "10",
        "32",
        "x",
    ]
    row = {"learning_rate": 1.5e-4, "data.style": "own_trace", "num_train_epochs": 3}
    assert setting_text(row, list(row)) == "own_trace, learning rate 1.5e-4, 3 epochs"


def test_file_names_are_tame() -> None:
    assert file_name("gravity") == "gravity" and file_name("../../etc/<b>").startswith("etc-b-")
    texts = ["a b", "a-b", "a/b", "...", "..", "x" * 300, "x" * 301, "\ud800"]
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name) for name in names)


def test_labels_keep_off_each_other_and_inside() -> None:
    """Three marks on one spot in the corner, where the first place of all would coincide."""
    labels = [LabelText(text, ((2.0, 298.0),)) for text in ("base", "control", "in context")]
    spots = place_labels(labels, [(2.0, 298.0)], 400, 300)
    boxes = []
    for wish, spot in zip(labels, spots, strict=True):
        assert spot.align == "left"
        x, y = wish.marks[spot.mark][0] + spot.dx, wish.marks[spot.mark][1] + spot.dy
        boxes.append((x, y - 6.5, x + 6 * len(wish.text), y + 6.5))
        assert boxes[-1][0] >= 0 and boxes[-1][3] <= 300
    for i, (left, top, right, bottom) in enumerate(boxes):
        for x, y, r, b in boxes[i + 1 :]:
            assert left >= r or right <= x or top >= b or bottom <= y


def test_a_label_goes_to_the_mark_with_room() -> None:
    crowd = [(20.0 + 8 * i, 50.0 + 6 * j) for i in range(20) for j in range(10)]
    [spot] = place_labels([LabelText("control", ((60.0, 80.0), (300.0, 250.0)))], crowd, 400, 300)
    assert spot.mark == 1
