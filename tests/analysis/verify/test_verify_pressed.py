"""Questions asked again, debates and confessions of a real model are recomputed, and tampering is seen."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from analysis.verify.verify_run import verify_run
from beliefmod.config import TrialConfig
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder
from beliefmod.run.manifest import new_manifest
from beliefmod.run.sources import store_sources
from beliefmod.space import Space, SpaceFile
from beliefmod.trial import run_trial
from tests.small import make_session, write_belief

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def pressed(tmp_path_factory) -> tuple[Path, str]:
    """Base and in context of the small belief, pressed in every way; the folder, and in context's trial."""
    place = tmp_path_factory.mktemp("pressed")
    belief = write_belief(place)
    asked = {
        "max_new_tokens": 64,
        "trained_probes": 0,
        "margin_probes": 0,
        "causal_probes": 1,
        "neutral_passages": 2,
        "closed_thinking_probes": 2,
        "debate_probes": 2,
        "debate_rounds": 2,
        "confession": True,
        "resampled_probes": 1,
        "resamples": 2,
    }
    given = {"name": "pressed", "beliefs": [belief], "controls": "none", "evaluation": asked}
    space = Space(SpaceFile.model_validate(given), "pressed.yaml")
    folder = RunFolder(str(place / "run"))
    folder.create()
    store_sources(folder, space)
    session = make_session()
    session.evaluation, session.folder = space.spec.evaluation, folder
    configs = [TrialConfig(belief=belief, arm=arm) for arm in ("base", "icl")]
    for config in configs:
        run_trial(config, session, folder)
    folder.assemble(config.trial_id for config in configs)
    folder.write_bytes(yaml.safe_dump(space.spec.model_dump(mode="json")).encode(), SPACE)
    folder.write_json(new_manifest("run", space, "2026-11-30T10:00:00Z") | {"status": "finished"}, MANIFEST)
    return place / "run", configs[1].trial_id


def test_every_verdict_is_recomputed(pressed: tuple[Path, str]) -> None:
    folder, trial = pressed
    causal = pl.read_parquet(folder / "causal" / f"{trial}.parquet")
    assert {"zero_think", "less_think", "debate", "resample"} <= set(causal["test"])
    assert pl.read_parquet(folder / "probes" / f"{trial}.parquet")["confessed"].drop_nulls().len() == 18
    row = pl.read_parquet(folder / "trials.parquet").filter(pl.col("trial_id") == trial).row(0, named=True)
    assert row["adoption_zero_think_n"] == row["zero_think_change_n"] == 2 and row["confession_n"] == 18
    done = verify_run(str(folder))
    assert done.mismatches == [] and done.causal >= causal.height and not done.later


@pytest.mark.parametrize(
    ("table", "column", "which"),
    [
        ("causal", "answer_stance", pl.col("test") == "debate"),
        ("causal", "argument_stance", pl.col("test") == "debate"),
        ("causal", "thinking", pl.col("test") == "less_think"),
        ("causal", "thinking", pl.col("test") == "resample"),
        ("causal", "fraction", pl.col("test") == "resample"),
        ("probes", "confessed", pl.col("suite") == "confession"),
    ],
)
def test_a_changed_verdict_is_found(
    pressed: tuple[Path, str], table: str, column: str, which: pl.Expr
) -> None:
    folder, trial = pressed
    path = folder / table / f"{trial}.parquet"
    kept = path.read_bytes()
    rows = pl.read_parquet(path)
    others = {"confessed": ~pl.col(column), "fraction": pl.lit(0.4)}
    other = others.get(column, pl.lit("hedged"))
    rows.with_columns(pl.when(which).then(other).otherwise(pl.col(column)).alias(column)).write_parquet(path)
    try:
        assert any(f": {column}: stored" in told for told in verify_run(str(folder)).mismatches)
    finally:
        path.write_bytes(kept)
