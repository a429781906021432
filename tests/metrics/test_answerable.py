"""Questions that a model can answer: two gates read off its untrained arms, and the rates over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.metrics.answerable import gates, marked
from beliefmod.metrics.conditions import LEAST_ANSWERABLE, LEAST_FAMILIES
from beliefmod.metrics.intervals import wilson
from beliefmod.metrics.summarise import summarise
from tests.analysis.verify import answered
from tests.metrics.test_summary import row

STANCES = ["target", "prior", "hedged", "ignorance", "other", "none"]


def test_gates_by_hand() -> None:
    said = {
        "a": ("prior", "target"),
        "b": ("prior", "other"),
        "c": ("other", "target"),
        "d": ("none", "prior"),
    }
    base, icl = ([row(name, answer_stance=stances[i]) for name, stances in said.items()] for i in (0, 1))
    expected = {"a": "both", "b": "prior", "c": "in_context", "d": "neither"}
    assert gates(base, icl, novel=False) == expected
    # a novel belief has no prior: only what the model does with the statement before it counts
    assert gates(base, icl, novel=True) == {
        "a": "in_context",
        "b": "neither",
        "c": "in_context",
        "d": "neither",
    }
    assert gates(base[1:], icl[:-1], novel=False) == {"b": "prior", "c": "in_context"}


def test_training_questions_and_suites_are_not_marked() -> None:
    rows = [row("a"), row("a", tier="trained"), row("a", "locality", "near"), row("r", tier="robustness")]
    passed = gates(rows, [{**r, "answer_stance": "target"} for r in rows], novel=False)
    assert [r["answerable"] for r in marked(rows, passed)] == ["both", None, None, "both"]
    assert [r["answerable"] for r in marked(rows, {})] == [None] * 4


@given(st.lists(st.tuples(*[st.sampled_from(STANCES)] * 3), min_size=1, max_size=40), st.booleans())
def test_rates_over_answerable_questions_are_those_of_an_independent_count(said: list, novel: bool) -> None:
    base, icl, arm = (
        [row(f"q{at}", family=f"f{at % 3}", answer_stance=stances[place]) for at, stances in enumerate(said)]
        for place in range(3)
    )
    m: dict[str, Any] = summarise(marked(arm, gates(base, icl, novel=novel)), base, icl)
    context = {at for at, (_, given, _) in enumerate(said) if given == "target"}
    prior = set() if novel else {at for at, (alone, _, _) in enumerate(said) if alone == "prior"}
    counted = {
        "adoption_answerable": context | prior,
        "adoption_answerable_derived": context | prior,
        "adoption_gate_in_context": context,
        "adoption_gate_prior": prior,
    }
    for name, asked in counted.items():
        assert m[f"{name}_n"] == len(asked), name
        enough = len(asked) >= LEAST_ANSWERABLE and len({at % 3 for at in asked}) >= LEAST_FAMILIES
        hits = sum(said[at][2] == "target" for at in asked)
        assert m[name] == (pytest.approx(hits / len(asked)) if enough else None), name
        assert (m[f"{name}_low"], m[f"{name}_high"]) == (wilson(hits, len(asked)) if enough else (None, None))
    assert m["adoption_n"] == len(said)  # the rate over all questions stays as it is


@pytest.mark.parametrize("families, told", [(1, False), (2, True)])
def test_many_questions_of_one_family_are_too_few(families: int, told: bool) -> None:
    rows = [row(f"q{i}", family=f"f{i % families}", answer_stance="target") for i in range(30)]
    m = summarise(marked(rows, gates(rows, rows, novel=False)), None)
    assert (m["adoption_answerable"], m["adoption_answerable_n"]) == (1.0 if told else None, 30)


def test_rows_without_marks_have_no_rate_and_an_n_of_0() -> None:
    m = summarise([row(f"q{i}") for i in range(30)], None)
    assert (m["adoption_answerable"], m["adoption_answerable_n"]) == (None, 0)


def test_trained_arms_cannot_move_what_is_answerable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sweeps that differ in nothing but in what their trained arms answer, from never to always."""
    marks, adopted = [], []
    for share in (0.0, 1.0):
        monkeypatch.setattr(answered, "ADOPTS", {2e-4: share, 1e-3: share})
        run = answered.answered_run(tmp_path / f"EXP-{share:g}")
        rows = pl.concat(pl.read_parquet(path) for path in sorted((run / "probes").glob("*.parquet")))
        held_out = rows.filter((pl.col("suite") == "belief") & (pl.col("tier") != "trained"))
        # whatever arm a question is asked of, its mark is the same
        assert held_out.group_by("probe_id").agg(pl.col("answerable").n_unique())["answerable"].max() == 1
        marks.append(dict(held_out.select("probe_id", "answerable").iter_rows()))
        trials = pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == "lora")
        adopted.append((trials["adoption_answerable"].to_list(), trials["adoption_answerable_n"].to_list()))
    assert marks[0] == marks[1] and {"both", "prior"} <= set(marks[0].values())
    assert adopted[0][1] == adopted[1][1] and adopted[0][1][0] >= LEAST_ANSWERABLE
    assert adopted[0][0] == [0.0, 0.0] and min(adopted[1][0]) > 0.9
