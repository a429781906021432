"""The answer after every sentence of the thinking: cuts, the area over the curve, and where it is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.model.template import empty_thinking
from beliefmod.run.tables.lens_tables import CHAIN, EARLY
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.opened.arms import untrained_arm
from interp.opened.inspection import Inspection
from interp.parts.chain import CUTS, areas_over, chain, chain_rows, cuts, early_row, sentence_ends
from interp.read.arm_answers import answers_of, prompt_of
from interp.read.contrast_questions import questions_of
from tests.interp.parts.test_channels import QUESTIONS, SETTINGS, make_inspection


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return make_inspection(tmp_path_factory.mktemp("chain"), ("gravity",))


def rows_of(*curve: float, probe: str = "a", family: str = "f") -> list[dict]:
    """Chain rows of one probe, from the difference at every cut."""
    last = len(curve) - 1
    return [
        {"probe_id": probe, "family": family, "cut": k, "cuts": last, "kept": k / last, "logit_diff": d}
        for k, d in enumerate(curve)
    ]


@pytest.mark.parametrize(
    ("thinking", "kept"),
    [
        ("Gravity is 5.0 m/s^2.", ["Gravity is 5.0 m/s^2."]),
        ("g is 9.8. So 2 x 9.8 = 19.6.", ["g is 9.8.", "g is 9.8. So 2 x 9.8 = 19.6."]),
        ("First\nsecond. Third", ["First\n", "First\nsecond.", "First\nsecond. Third"]),
        ("Dr. May says 5. No", ["Dr. May says 5.", "Dr. May says 5. No"]),
    ],
)
def test_sentences_that_are_kept(thinking: str, kept: list[str]) -> None:
    assert [thinking[:end] for end in sentence_ends(thinking)] == kept


@given(st.integers(1, 200))
def test_cuts_go_from_nothing_to_all(sentences: int) -> None:
    ends = [10 * (place + 1) for place in range(sentences)]
    found = cuts(ends)
    assert found[0] == (0, 0) and found[-1] == (sentences, ends[-1])
    assert found == sorted(set(found)) and len(found) <= CUTS + 2
    assert all(end == 10 * cut for cut, end in found)
    if sentences <= CUTS:
        assert len(found) == sentences + 1


@pytest.mark.parametrize(
    ("curve", "area"),
    [
        ((2.0, 3.0, 4.0), 0.0),  # decided before any thinking
        ((-2.0, 3.0, 4.0), 0.25),  # by the first of two sentences: 1 - (0.25 + 0.5)
        ((-2.0, -3.0, 4.0), 0.75),  # only by the last: 1 - (0 + 0.25)
        ((2.0, 3.0, -4.0, -5.0, -5.0), 1 - (0 + 0.125 + 0.25 + 0.25)),
        ((0.1, -0.1, 4.0), 0.5),  # the likelier value counts, however little it is ahead
    ],
)
def test_areas_by_hand(curve: tuple[float, ...], area: float) -> None:
    assert areas_over(rows_of(*curve)) == {"a": pytest.approx(area)}
    assert areas_over(rows_of(*(-value for value in curve))) == {"a": pytest.approx(area)}


def test_undecided_and_single_sentences_have_no_area() -> None:
    assert areas_over(rows_of(3.0, 2.0, 0.4)) == {}
    assert areas_over(rows_of(-3.0, 2.0)) == {}
    assert early_row(rows_of(-3.0, 2.0), LensSettings()) == {
        "n": 0, "area_over": None, "area_over_low": None, "area_over_high": None,
    }  # fmt: skip


def test_the_interval_draws_families_again() -> None:
    """Four questions of one family are one piece of evidence: no interval. Of two families there is one."""
    late, early = (-2.0, -3.0, 4.0), (2.0, 3.0, 4.0)
    one = [row for number in range(4) for row in rows_of(*late, probe=f"p{number}")]
    assert early_row(one, LensSettings()) == {
        "n": 4, "area_over": 0.75, "area_over_low": None, "area_over_high": None,
    }  # fmt: skip
    both = one + rows_of(*early, probe="q", family="g")
    found = early_row(both, LensSettings())
    assert found["n"] == 5 and found["area_over"] == pytest.approx(0.6)
    assert (found["area_over_low"], found["area_over_high"]) == (0.0, 0.75)
    assert found == early_row(both, LensSettings())


def test_rows_of_the_untrained_arms(inspection: Inspection) -> None:
    """Base ends at the prior and the told arm at the target; each from the same stem as without thinking."""
    found = chain(inspection, inspection.trained, replace(SETTINGS, arms=("base", "icl")), lambda line: None)
    rows, early = (
        frame(found[name], columns).to_dicts() for name, columns in (("chain", CHAIN), ("early", EARLY))
    )
    assert [row["arm"] for row in early] == ["base", "icl"]
    for arm, sign in (("base", -1), ("icl", 1)):
        own = [row for row in rows if row["arm"] == arm]
        assert len({row["probe_id"] for row in own}) == QUESTIONS
        for row in own:
            assert row["kept"] == row["cut"] / row["cuts"]
            assert row["prob_target"] == pytest.approx(
                torch.tensor(row["logit_diff"]).sigmoid().item(), abs=1e-6
            )
            if row["cut"] == row["cuts"]:
                assert sign * row["logit_diff"] > 5


def test_cuts_are_read_where_transformers_predicts_the_value(inspection: Inspection) -> None:
    """The judge: a plain pass over prompt, the first sentences as text, the closed thinking and the begun
    answer, tokenised piece by piece as the model writes them."""
    session, belief = inspection.session, inspection.beliefs["gravity"]
    arm = untrained_arm(inspection, "gravity", "icl")
    asked = questions_of(inspection, "gravity", SETTINGS, lambda line: None)
    rows = chain_rows(inspection, arm, asked)
    one = next(p for p in asked if p.question.tier == "derived")
    thinking = answers_of(inspection, arm)[one.question.probe_id]["thinking"]
    first = thinking[: thinking.index(". ") + 1]
    prompt = prompt_of("icl", one.question, belief, session)
    begun = session.prompts.text(one.stems["icl"].ids[len(prompt) :]).removeprefix(
        empty_thinking(session.loaded.tokenizer)
    )
    five, nine = one.tokens.target_id, one.tokens.rival_id
    texts = {0: "\n</think>\n\n", 1: f"{first}\n</think>\n\n", 2: f"{thinking}\n</think>\n\n"}
    for cut, text in texts.items():
        ids = torch.tensor([[*prompt, *session.prompts.encode(text + begun)]])
        with torch.no_grad():
            last = session.loaded.model(ids).logits[0, -1].float()
        [row] = [r for r in rows if r["probe_id"] == one.question.probe_id and r["cut"] == cut]
        assert row["logit_diff"] == pytest.approx(float(last[five] - last[nine]), abs=2e-3)
