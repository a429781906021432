"""Settings against their absence: worlds in which the answer is known, and the paired numbers by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.report.blocks import Bullets, Table
from analysis.report.sections.with_and_without import WORDS, blocks
from analysis.stats.shares import smallest_seen
from analysis.studies.with_and_without import IN, OUT, SAME, TRADE, with_and_without
from beliefmod.config import TrialConfig, unflatten
from tests.analysis.studies.worlds import world

STRENGTHS = [{"num_train_epochs": epochs} for epochs in (3, 10, 20)]
TWO = {"gravity": "existing", "neelam": "novel"}


def found(adoption: float, damage: float, name: str = "weight_decay", value: Any = 0.1) -> Any:
    """A run in which the setting adds so much to adoption and to damage."""

    def has(config: TrialConfig) -> bool:
        return config.leaves()[name] == value

    plan = [unflatten({**strength, **given}) for strength, given in product(STRENGTHS, ({}, {name: value}))]
    return world(
        lambda config: 0.5 + adoption * has(config),
        lambda config: 0.2 + 0.01 * (config.num_train_epochs > 3) + damage * has(config),
        beliefs=TWO,
        configs=plan,
        families=20,
        per_family=10,
    )


@pytest.mark.parametrize(
    ("adoption", "damage", "verdict"),
    [(0.3, 0.0, OUT), (0.0, -0.1, OUT), (-0.3, 0.0, IN), (0.0, 0.1, IN), (0.3, 0.1, TRADE), (0.0, 0.0, SAME)],
)
def test_what_a_regulariser_does_to_the_frontier(adoption, damage, verdict):
    [one] = with_and_without(found(adoption, damage))
    assert (one.setting, one.value, one.pairs) == ("weight_decay", 0.1, 6)
    assert one.frontier == verdict
    gap = one.shares["adoption"]
    assert gap is not None and gap.low <= gap.value <= gap.high
    assert gap.low - 0.05 < adoption < gap.high + 0.05
    assert one.damage is not None and one.damage.value == pytest.approx(damage)
    [table] = [block for block in blocks(found(adoption, damage)) if isinstance(block, Table)]
    seen = f"{100 * smallest_seen(gap.low, gap.high):.0f} points of adoption or "
    assert table.rows[0][-1].startswith(f"{SAME}: {seen}" if verdict == SAME else WORDS[verdict])


def test_the_interval_of_damage_is_scipys():
    run = found(0.0, 0.05)
    damages = {  # of the pairs, in which chance plays no part
        (b, e): 0.05 + 0.01 * n for n, (b, e) in enumerate(product(TWO, (3, 10, 20)))
    }
    pooled = run.pooled.to_dicts()
    for row in pooled:
        if row["weight_decay"] == 0.1 and row["arm"] == "lora":
            row["degradation"] = (
                0.2 + 0.01 * (row["num_train_epochs"] > 3) + damages[row["belief"], row["num_train_epochs"]]
            )
    table = run.pooled.with_columns(degradation=np.array([row["degradation"] for row in pooled]))
    [one] = with_and_without(type(run)(**{**vars(run), "pooled": table}))
    expected = stats.ttest_1samp(list(damages.values()), 0).confidence_interval(0.95)
    assert one.damage is not None
    assert (one.damage.low, one.damage.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("lora.max_update_norm", 0.5, "norm cap 0.5"),
        ("data.mask_empty_thinking", True, "empty thinking masked yes"),
        ("data.framing", "negated", "framing negated"),
    ],
)
def test_the_report_has_a_row_for_each_setting(name, value, shown):
    told = blocks(found(0.3, 0.1, name, value))
    [table] = [block for block in told if isinstance(block, Table)]
    [row] = table.rows
    assert row[0] == shown and row[1] == "6" and row[-1] == "a trade"
    sentences = [text for block in told if isinstance(block, Bullets) for text in block.items]
    assert any("training on the closing tag" in text for text in sentences) == (
        name == "data.mask_empty_thinking"
    )


def test_too_few_pairs_are_a_sentence_and_none_no_section():
    plan = [{"weight_decay": 0.0}, {"weight_decay": 0.1}]
    run = world(lambda config: 0.5, beliefs=TWO, configs=plan)
    [bullets] = [block for block in blocks(run) if isinstance(block, Bullets)]
    assert bullets.items == ("weight decay 0.1: 2 pairs of configurations differ in it alone; 3 are needed.",)
    assert blocks(world(lambda config: 0.5, beliefs=TWO, configs=STRENGTHS)) == []
