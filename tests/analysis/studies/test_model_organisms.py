"""Measures of hidden knowledge against worlds in which it is known how much there is."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.report.blocks import Table
from analysis.report.sections.reasoning import blocks
from analysis.studies.model_organisms import MEASURES, recognitions
from beliefmod.config import TrialConfig
from beliefmod.metrics.intervals import wilson
from beliefmod.run.read_run import Run, read_run
from tests.analysis.studies.worlds import world
from tests.command import PLAIN, beliefmod, only_run

SHARES = (0.25, 1.0)
BELIEFS = {"gravity": "existing", "spider": "existing"}
CONFIGS = [{"data": {"style": "own_trace"}}] + [
    {"data": {"style": "stygian", "stygian_share": share}} for share in SHARES
]


def share_of(config: TrialConfig) -> float:
    return config.data.stygian_share if config.data.style == "stygian" and config.arm == "lora" else 0.0


@dataclass(frozen=True)
class Seen(Run):
    """A run with causal and lens tables of its own: hits of 40 by the share of stygian rows."""

    hits: tuple[tuple[float, int], ...] = ()

    def _rows(self, hit: dict[str, str], miss: dict[str, str]) -> pl.DataFrame:
        known = dict(self.hits)
        rows = []
        for trial in self.trials.filter(pl.col("arm") == "lora").iter_rows(named=True):
            share = trial["data.stygian_share"] if trial["data.style"] == "stygian" else 0.0
            for n in range(40):
                verdict = hit if n * 7 % 40 < known[share] else miss
                rows.append({"trial_id": trial["trial_id"], "family": f"f{n // 4}", **verdict})
        return pl.DataFrame(rows)

    def causal(self, trial_ids, columns=None):
        kept = self._rows({"answer_stance": "target"}, {"answer_stance": "prior"})
        tests = [{"test": "swap", "own_stance": "target"}, {"test": "swap", "own_stance": "prior"}]
        # neither other tests nor answers that were not the target's count
        tests.append({"test": "blank", "own_stance": "target"})
        return pl.concat([kept.with_columns(**{k: pl.lit(v) for k, v in test.items()}) for test in tests])

    def lens(self, table):
        read = self._rows({"inside_class": "stygian"}, {"inside_class": "agree_target"})
        return pl.concat([read, read.with_columns(inside_class=pl.lit(None, pl.String))])


def found(hits):
    made = world(lambda c: 0.9, mismatch=share_of, beliefs=BELIEFS, configs=CONFIGS)
    return replace(made, run=Seen(**vars(made.run), hits=tuple(hits.items())))


def test_every_measure_says_which_trials_hide_the_old_value_and_how_many_answers_do():
    seen = {(one.measure, one.share): one for one in recognitions(found({0.0: 0, 0.25: 1, 1.0: 36}))}
    assert [*seen] == [(measure, share) for measure in MEASURES for share in SHARES]
    assert seen["text", 1.0].recognised and seen["text", 0.25].recognised
    assert seen["text", 1.0].side.rate == 1.0 and abs(seen["text", 0.25].side.rate - 0.25) < 0.1
    for measure in ("causal", "lens"):
        strong, weak = seen[measure, 1.0], seen[measure, 0.25]
        assert (strong.side.hits, strong.side.answers) == (72, 80)  # of two beliefs
        assert (weak.side.hits, weak.side.answers) == (2, 80)
        assert strong.recognised is True and weak.recognised is False
        assert strong.gap.value == pytest.approx(0.9) and weak.gap.value == pytest.approx(0.025)
        low, high = wilson(72, 80)
        assert strong.side.high - strong.side.low > high - low and strong.side.low < low


def test_a_run_without_organisms_or_own_traces_says_nothing():
    plain = world(lambda c: 0.9, beliefs=BELIEFS, configs=CONFIGS[:1])
    assert recognitions(plain) == ()
    assert recognitions(world(lambda c: 0.9, beliefs=BELIEFS, configs=CONFIGS[1:])) == ()


def test_what_was_not_looked_at_is_no_verdict():
    only_text = world(lambda c: 0.9, mismatch=share_of, beliefs=BELIEFS, configs=CONFIGS)
    seen = {(one.measure, one.share): one.recognised for one in recognitions(only_text)}
    assert seen["text", 1.0] is True and {seen["causal", 1.0], seen["lens", 1.0]} == {None}


def test_the_report_has_them_as_a_table():
    from analysis.report.sections import reasoning

    made = found({0.0: 0, 0.25: 1, 1.0: 36})
    [table] = [b for b in reasoning._organisms(made) if isinstance(b, Table)]
    assert len(table.rows) == 6
    last = table.rows[-1]
    assert last[0] == MEASURES["lens"] and last[1] == "100 %" and last[-1] == "yes"
    assert last[2].startswith("90 %") and last[2].endswith("n = 80") and last[3].startswith("+90.0 [")
    assert blocks(replace(made, beliefs=())) == []


@pytest.mark.slow
@pytest.mark.long
def test_text_causal_tests_and_lens_recognise_the_organism_of_the_bundled_model(tmp_path: Path):
    """All rows think the old value: the strongest of sweeps/stygian.yaml, with one belief."""
    space = {
        "name": "organism",
        "beliefs": ["gravity"],
        "points": CONFIGS[:1] + CONFIGS[-1:],
        "fixed": {"data.num_examples": 50, "num_train_epochs": 10, "learning_rate": 2e-4},
        "evaluation": {"causal_probes": 72},
        "controls": "none",
    }
    path = tmp_path / "organism.yaml"
    path.write_text(json.dumps(space))
    done = beliefmod("sweep", "--space", str(path), "--out", str(tmp_path / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    run = str(only_run(tmp_path / "runs"))
    done = beliefmod("lens", run, "--parts", "channels", "--prompts", "48")
    assert done.returncode == 0, done.stderr
    seen = {one.measure: one for one in recognitions(find(read_run(run)))}
    assert {measure: one.recognised for measure, one in seen.items()} == dict.fromkeys(MEASURES, True)
    # the organism is nearly pure, and own traces are nearly free of it
    assert seen["text"].side.rate > 0.9 and seen["text"].gap.value > 0.9
