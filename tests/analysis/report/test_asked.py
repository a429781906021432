"""The sentence on how a run was asked."""

import json
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.report.sections.methods import asked_of, how_asked
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.probing.token_budget import TokenBudget
from beliefmod.run.read_run import read_run
from tests.analysis.synthetic import grid, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    configs = list(grid(styles=("answer_only",), examples=(100,), epochs=(20,), rates=(5e-3,)))
    return write_run(folder, beliefs=("gravity",), families=6, per_family=4, configs=configs, failed=0)


def said(run: Path, **manifest: object) -> str:
    """The sentence under another manifest."""
    path = run / "manifest.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(before), **manifest}))
        found = find(read_run(str(run)), DAMAGE_BUDGET)
        sentence = how_asked(found)
        assert sentence in asked_of(found)
        return sentence
    finally:
        path.write_text(before)


def test_decoding_limit_and_what_was_cut_off_are_said(run):
    probes = pl.concat([pl.read_parquet(path) for path in (run / "probes").iterdir()])
    base = probes.filter(pl.col("arm") == "base")["truncated"]
    own = f"of base's own {base.sum()} of {base.len()} ({100 * base.sum() / base.len():.1f} %)"
    own += ", so truncation has little room to rise" if base.sum() > 0.05 * base.len() else ""
    cut = f"{probes['truncated'].sum():,} of {probes.height:,} were cut off at the limit, {own}."
    assert probes["truncated"].sum() > 0
    model = {
        "max_new_tokens": 2048,
        "decoding": {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "not_applied": []},
    }
    how = "Answers: sampled at temperature 0.6 with top_k 20, top_p 0.95, at most 2,048 tokens each; "
    assert said(run, model=model) == how + cut
    greedy = {"max_new_tokens": 160, "decoding": {"temperature": 0.0}}
    assert said(run, model=greedy) == f"Answers: greedy, at most 160 tokens each; {cut}"


def test_where_a_limit_came_from_is_said(run):
    found = TokenBudget(limit=576, needed=381, asked=24, cut=1, looped=0, most=8000, written=9000)
    model = {"max_new_tokens": 576, "decoding": {"temperature": 0.0}}
    assert said(run, model=model, token_budget=found.facts()).startswith(
        "Answers: greedy, at most 576 tokens each (1.5 times the 381 that 95 % of 24 answers of base need; "
        "it cuts 1 of them); "
    )
    # a run that was gone on with under another limit does not take its words
    assert "381" not in said(run, model={**model, "max_new_tokens": 600}, token_budget=found.facts())


def test_what_is_not_applied_and_how_weights_are_stored_is_said(run):
    facts = {"temperature": 0.0, "not_applied": ["repetition_penalty 1.05"]}
    told = said(run, model={"decoding": facts})
    assert told.endswith(
        " Of the model's generation config this is not applied: repetition_penalty 1.05; all arms, base too, "
        "may loop more than with it."
    )
    stored = "stored by bitsandbytes in 4 bits (nf4), used as they are"
    path = run / "manifest.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(before), "model": {"stored": stored}}))
        assert f"Its weights are {stored}." in asked_of(find(read_run(str(run)), DAMAGE_BUDGET))
    finally:
        path.write_text(before)


def test_of_an_older_run_the_space_tells(run):
    space = {"evaluation": {"max_new_tokens": "auto", "temperature": 0.0}}
    assert said(run, model={"max_new_tokens": 160}, space=space).startswith("Answers: greedy, at most 160 ")
    space = {"evaluation": {"temperature": 0.5}}
    assert said(run, model={}, space=space).startswith("Answers: sampled at temperature 0.5; ")


@pytest.mark.parametrize("manifest", [{"model": None, "space": None}, {"model": "x", "space": {}}])
def test_nothing_is_said_that_is_not_known(run, manifest):
    assert said(run, **manifest) == ""
