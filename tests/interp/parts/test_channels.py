"""Thinking against answer: the classes, and the places at which arms are read."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import load_belief
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.tables.lens_tables import CHANNELS, TAU
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.opened.arms import untrained_arm
from interp.opened.inspection import Inspection, TrainedTrial
from interp.parts.channels import channel_rows, channels, inside_class, text_class
from interp.prompts.stems import lens_questions
from interp.read.arm_answers import answers_of, base_answers, own_prompts, prompt_of
from interp.read.contrast_questions import contrast_questions
from interp.read.lens_prompts import LensPrompt, prompt_differences, read_prompts
from tests.interp.answered import answer
from tests.small import make_session

QUESTIONS = 6
SETTINGS = LensSettings(prompts=QUESTIONS)


def make_inspection(place, names=("gravity", "neelam")) -> Inspection:
    """Base and the arm with the statement in context, which have answered the lens questions."""
    torch.set_num_threads(1)
    folder = RunFolder(str(place / "run"))
    folder.create()
    session, beliefs = make_session(), {name: load_belief(name) for name in names}
    references = {
        (name, arm, None): TrialConfig(belief=name, arm=arm) for name in names for arm in ("base", "icl")
    }
    # never loaded: it stands for the batch that the untrained arms go with
    trained = tuple(TrainedTrial(TrialConfig(belief=name), {"belief": name}) for name in names)
    inspection = Inspection(folder, session, beliefs, references, trained)
    for config in references.values():
        answer(inspection, config, lens_questions(beliefs[config.belief], QUESTIONS))
    return inspection


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return make_inspection(tmp_path_factory.mktemp("channels"))


@pytest.fixture(scope="module")
def found(inspection: Inspection) -> dict[tuple[str, str], list[dict]]:
    settings = replace(SETTINGS, arms=("base", "icl"))
    rows = frame(channels(inspection, inspection.trained, settings, _quiet)["channels"], CHANNELS).to_dicts()
    keys = dict.fromkeys((row["belief"], row["arm"]) for row in rows)
    return {key: [row for row in rows if (row["belief"], row["arm"]) == key] for key in keys}


def _quiet(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize(
    ("state", "thinking", "answer_stance", "expected"),
    [
        ("ok", "prior", "target", "stygian"),
        ("ok", "target->prior", "target", "stygian"),
        ("ok", "target", "prior", "reverse"),
        ("ok", "prior->target", "target", "agree_target"),
        ("ok", "prior", "prior", "agree_prior"),
        ("ok", "both", "target", "other"),
        ("ok", "prior", "hedged", "other"),
        ("ok", "none", "none", "other"),
        ("empty", "prior", "target", "other"),
    ],
)
def test_classes_from_the_text(state: str, thinking: str, answer_stance: str, expected: str) -> None:
    row = {"think_state": state, "thinking_stance": thinking, "answer_stance": answer_stance}
    assert text_class(row) == expected


MIRRORED = {
    "stygian": "reverse",
    "reverse": "stygian",
    "agree_target": "agree_prior",
    "agree_prior": "agree_target",
}
DIFFERENCES = st.floats(-30, 30)


@given(DIFFERENCES, DIFFERENCES)
def test_the_other_way_round_is_the_mirrored_class(thinking: float, said: float) -> None:
    found = inside_class(thinking, said, True)
    assert inside_class(-thinking, -said, True) == MIRRORED.get(found or "", found)
    assert (found == "other") == (min(abs(thinking), abs(said)) < TAU)


@given(DIFFERENCES, DIFFERENCES)
def test_without_a_prior_only_leaning_to_the_target_has_a_side(thinking: float, said: float) -> None:
    found = inside_class(thinking, said, False)
    assert found == ("agree_target" if inside_class(thinking, said, True) == "agree_target" else "other")


def test_one_side_that_is_missing_gives_no_class() -> None:
    for thinking, said in product((None, 3.0), repeat=2):
        assert (inside_class(thinking, said, True) is None) == (thinking is None or said is None)


def test_base_and_the_told_arm_are_each_at_one_with_themselves(found) -> None:
    for arm, agrees, sign in (("base", "agree_prior", -1), ("icl", "agree_target", 1)):
        rows = found["gravity", arm]
        assert len(rows) == QUESTIONS
        for row in rows:
            assert row["inside_class"] == agrees, row
            assert row["text_class"] in (agrees, "other")  # "both" where 2 x 5.0 = 10.0 meets 9.8 within 3 %
            assert sign * row["thinking_diff"] > TAU and sign * row["answer_diff"] > TAU
            assert row["thinking_rival"] == row["answer_rival"] == "prior"
            assert (row["suppressed_prior"] is None) == (arm == "base")


def test_base_after_its_own_thinking_is_base_after_base_s(found) -> None:
    """Two ways to the same tokens: the completion's own, and the begun answer behind its thinking."""
    for row in found["gravity", "base"]:
        assert row["answer_diff"] == pytest.approx(row["answer_diff_shared"], abs=1e-4)


def test_a_novel_belief_is_compared_with_base_s_likeliest_token(found) -> None:
    for row in found["neelam", "base"]:  # knows no value, so it names none
        assert row["thinking_diff"] is row["answer_diff"] is row["inside_class"] is None
        assert row["stem_diff"] is not None and row["answer_diff_shared"] is not None
    for row in found["neelam", "icl"]:
        assert row["inside_class"] == "agree_target"
        assert row["thinking_rival"] == row["answer_rival"] == "base_top1"
        assert row["suppressed_prior"] is None


def test_values_are_read_where_transformers_predicts_them(inspection: Inspection, found) -> None:
    """The judge is one plain forward pass over prompt and stored ids: the logits in front of the first token
    in which "5.0" and "9.8" differ."""
    session, belief = inspection.session, inspection.beliefs["gravity"]
    for arm in ("base", "icl"):
        answers = answers_of(inspection, untrained_arm(inspection, "gravity", arm))
        for row in found["gravity", arm][:2]:
            question = next(q for q in belief.heldout if q.probe_id == row["probe_id"])
            prompt = prompt_of(arm, question, belief, session)
            ids = torch.tensor([[*prompt, *answers[row["probe_id"]]["token_ids"]]])
            with torch.no_grad():
                logits = session.loaded.model(ids).logits[0].float()
            five, nine = (session.prompts.encode(digit)[0] for digit in "59")
            value = five if arm == "icl" else nine
            places = [p for p in range(len(prompt), ids.shape[1]) if ids[0, p] == value]
            expected = logits[places[0] - 1, five] - logits[places[0] - 1, nine]
            assert row["thinking_diff"] == pytest.approx(float(expected), abs=2e-3)


def test_a_value_that_the_arm_would_not_write_is_told(inspection: Inspection) -> None:
    """The told arm's completions under base's name: what base would write there is something else."""
    said: list[str] = []
    icl, base = (untrained_arm(inspection, "gravity", name) for name in ("icl", "base"))
    of_base = answers_of(inspection, base)
    mixed = {
        probe: {**row, "prompt": of_base[probe]["prompt"]}
        for probe, row in answers_of(inspection, icl).items()
    }
    asked = {one.question.probe_id: one for one in contrast_questions(inspection, "gravity", QUESTIONS)}
    channel_rows(inspection, base, mixed, asked, SETTINGS, said.append)
    assert len(said) == 1 and "values that it wrote are less likely now" in said[0]


def test_a_stored_prompt_that_is_not_today_s_is_refused(inspection: Inspection) -> None:
    belief, base = inspection.beliefs["gravity"], untrained_arm(inspection, "gravity", "base")
    question = lens_questions(belief, QUESTIONS)[0]
    row = {
        **base_answers(inspection, "gravity")[question.probe_id],
        "prompt": "<|im_start|>system\nBe brief.",
    }
    with pytest.raises(UserError, match="the prompt in the run is not the one"):
        own_prompts(base, row, question, belief, inspection.session)


def test_a_batch_without_the_first_trial_of_a_belief_leaves_the_untrained_arms_out(inspection) -> None:
    other = TrainedTrial(TrialConfig(belief="gravity", seed=5), {"belief": "gravity"})
    later = replace(inspection, trained=(*inspection.trained, other))
    settings = replace(SETTINGS, arms=("base", "icl"))
    assert channels(later, [other], settings, _quiet) == {"channels": []}


def test_prompts_in_one_pass_are_prompts_one_at_a_time(inspection: Inspection) -> None:
    belief, session = inspection.beliefs["gravity"], inspection.session
    arm = untrained_arm(inspection, "gravity", "icl")
    answers = answers_of(inspection, arm)
    prompts: list[LensPrompt] = []
    for question in lens_questions(belief, QUESTIONS):
        prompts += own_prompts(arm, answers[question.probe_id], question, belief, session).values()
    prompts.append(replace(prompts[0], prior_id=None))
    together = read_prompts(session.engine, inspection.head, prompts)
    for prompt, one in zip(prompts, together, strict=True):
        [alone] = read_prompts(session.engine, inspection.head, [prompt])
        assert one.tokens == alone.tokens
        assert one.reading["logit_diff"] == pytest.approx(alone.reading["logit_diff"], abs=1e-3)
    assert together[-1].tokens.rival_id != prompts[-1].target_id
    last = [one.reading["logit_diff"][-1] for one in together]
    assert prompt_differences(session.engine, inspection.head, prompts) == pytest.approx(last, abs=1e-3)
