"""Lens rows of a real run: against transformers' own pass, the engine's scores, and one another."""

from __future__ import annotations

from typing import Any

import polars as pl
import polars.testing
import pytest
import torch

from beliefmod.beliefs import Quantity
from beliefmod.engine.jobs import ScoreRequest
from beliefmod.model.load import load_model
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.opened.arms import first_of_belief
from interp.opened.inspection import Inspection, opened
from interp.opened.listing import list_run
from interp.parts.logit_lens import lens
from interp.read.contrast_questions import questions_of
from tests.interp.example_run import ADOPTED, BASE, CONTROL, HALF, ICL, example_run

SETTINGS = LensSettings(prompts=8, draws=200, deep=1)
POSITIONS = ["stem", "entity", "thinking", "answer", "answer_shared"]


@pytest.fixture(scope="module")
def inspection(tmp_path_factory) -> Inspection:
    return opened(list_run(str(example_run(tmp_path_factory.mktemp("lens"), ADOPTED, HALF, CONTROL))))


@pytest.fixture(scope="module")
def tables(inspection: Inspection) -> dict[str, pl.DataFrame]:
    said: list[str] = []
    rows = lens(inspection, inspection.trained, SETTINGS, said.append)
    assert not inspection.session.engine.attached()
    assert set(rows) == {"readings", "commitments"} and not said
    return {name: frame(found, LENS_TABLES[name]) for name, found in rows.items()}


def only(table: pl.DataFrame, **where: Any) -> pl.DataFrame:
    return table.filter(*(pl.col(name) == value for name, value in where.items()))


@pytest.mark.parametrize("arm", ["base", "icl", "lora"])
def test_stems_read_as_transformers_and_peft_have_them(inspection, tables, arm):
    """hidden_states but the last, which is normed already, through norm and head: an oracle of five lines."""
    model: Any = load_model("bundled", base_storage="dequantized", device="cpu").model
    if arm == "lora":
        from peft import PeftModel

        path = f"{inspection.folder.root}/adapters/{HALF}"
        model = PeftModel.from_pretrained(model, path).eval().get_base_model()
    trial = {"base": BASE, "icl": ICL, "lora": HALF}[arm]
    for one in questions_of(inspection, "gravity", SETTINGS, print)[:3]:
        stem = one.stems[arm]
        with torch.no_grad():
            out = model(torch.tensor([stem.ids]), output_hidden_states=True)
            normed = [model.model.norm(h[0, -1]) for h in out.hidden_states[:-1]] + [
                out.hidden_states[-1][0, -1]
            ]
            logits = model.lm_head(torch.stack(normed)).double()
        found = only(tables["readings"], trial_id=trial, probe_id=one.question.probe_id, position="stem")
        pair = [one.tokens.target_id, one.tokens.rival_id]
        expected = logits[:, pair]
        assert found["entry"].to_list() == list(range(5))
        for at, name in enumerate(("target", "rival")):
            close(found[f"logit_{name}"], expected[:, at])
            close(found[f"prob_{name}"], logits.softmax(-1)[:, pair[at]])
            ranks = (logits > expected[:, at, None]).sum(1)
            assert found[f"rank_{name}"].to_list() == ranks.tolist()
        close(found["entropy"], torch.distributions.Categorical(logits=logits).entropy())
        close(found["logit_target"][-1:], out.logits[0, -1, pair[:1]])


def close(found: pl.Series, expected: torch.Tensor) -> None:
    assert found.to_list() == pytest.approx(expected.double().tolist(), abs=2e-4, rel=1e-4)


@pytest.mark.parametrize(("trial", "stem"), [(BASE, "base"), (ICL, "icl"), (HALF, "lora")])
def test_whole_values_are_scored_as_the_engine_scores_them(inspection, tables, trial, stem):
    asked = questions_of(inspection, "gravity", SETTINGS, print)
    trials = [t for t in inspection.trained if t.trial_id == HALF]
    with inspection.loaded(trials):
        requests = [
            ScoreRequest(HALF if stem == "lora" else None, one.stems[stem].ids, ids)
            for one in asked
            for ids in (one.stems[stem].target_ids, one.stems[stem].prior_ids or ())
        ]
        scores = inspection.session.engine.score(requests)
    found = only(tables["readings"], trial_id=trial, position="stem", entry=4).sort("probe_id")
    expected = {one.question.probe_id: scores[2 * n] - scores[2 * n + 1] for n, one in enumerate(asked)}
    assert found["sequence_diff"].to_list() == pytest.approx(
        [expected[p] for p in sorted(expected)], abs=1e-4
    )
    elsewhere = tables["readings"].filter(pl.col("position") != "stem")["sequence_diff"]
    assert elsewhere.null_count() == len(elsewhere) > 0


@pytest.mark.parametrize(("trial", "arm"), [(BASE, "base"), (ICL, "icl"), (HALF, "lora")])
def test_a_value_in_any_spelling_is_the_sum_over_all_spellings(inspection, tables, trial, arm):
    """Every number of the judge's range written out, each in a row of its own through transformers."""
    asked = questions_of(inspection, "gravity", SETTINGS, print)
    one = next(p for p in asked if p.question.tier == "paraphrase")
    answers = {"mass_target": one.question.target, "mass_prior": one.question.prior}
    model: Any = load_model("bundled", base_storage="dequantized", device="cpu").model
    if arm == "lora":
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, f"{inspection.folder.root}/adapters/{HALF}").eval()
    prompts = inspection.session.prompts
    digits = [prompts.encode(str(digit))[0] for digit in range(10)]
    [point] = prompts.encode(".")
    stem = one.stems[arm]
    found = only(tables["readings"], trial_id=trial, probe_id=one.question.probe_id, position="stem", entry=4)
    for name, answer in answers.items():
        assert isinstance(answer, Quantity) and one.sets.from_end == 0
        decimals = answer.decimals + 2
        low, high = 0.99 * answer.value, 1.01 * answer.value
        written = []
        for places in range(decimals + 1):
            numbers = range(int(low * 10**places) - 1, int(high * 10**places) + 2)
            written += [f"{n / 10**places:.{places}f}" for n in numbers if low <= n / 10**places <= high]
        total = 0.0
        for text in [*written, *(f"{text}." for text in written if "." not in text)]:
            ids = prompts.encode(text)
            with torch.no_grad():
                p = model(torch.tensor([(*stem.ids, *ids)])).logits[0].double().softmax(-1)
            chance = 1.0
            for place, token in enumerate(ids):
                chance *= float(p[len(stem.ids) - 1 + place, token])
            if len(text.partition(".")[2]) < decimals:  # it must end here to be this number
                chance *= 1 - float(p[-1, digits].sum()) - (0 if "." in text else float(p[-1, point]))
            total += chance
        assert found[name].to_list() == pytest.approx([total], rel=1e-4, abs=1e-9)
        assert 0 < total < 1


def test_other_things_are_asked_with_their_own_right_answers(inspection, tables):
    rows = only(tables["readings"], position="elsewhere", entry=4)
    assert rows["rival"].unique().to_list() == ["correct"] and rows["mass_target"].null_count() == len(rows)
    near = {question.probe_id: question for question in inspection.beliefs["gravity"].locality}
    asked = set(rows["probe_id"])
    assert len(asked) == 12 and {near[probe].tier for probe in asked} == {"near"}
    assert {row["trial_id"] for row in rows.iter_rows(named=True)} == {BASE, ICL, ADOPTED, HALF, CONTROL}
    for row in only(rows, trial_id=BASE).iter_rows(named=True):
        question = near[row["probe_id"]]
        for token, answer in (("target_token", question.target), ("rival_token", question.correct)):
            assert answer is not None and row[token].strip() in answer.render()


def test_every_arm_is_there_and_only_deep_ones_in_their_own_words(tables):
    readings = tables["readings"]
    arms = dict(readings.select("trial_id", "arm").unique().iter_rows())
    assert arms == {BASE: "base", ICL: "icl", ADOPTED: "lora", HALF: "lora", CONTROL: "control"}
    for trial in (BASE, ICL, ADOPTED):
        positions = only(readings, trial_id=trial)["position"].unique().to_list()
        assert set(POSITIONS) < set(positions), trial
        assert any(name.startswith("at:") for name in positions)
    for trial in (HALF, CONTROL):
        assert set(only(readings, trial_id=trial)["position"].unique()) == {"stem", "entity", "elsewhere"}


def test_base_is_its_own_measure_and_adapters_are_not_null(tables):
    readings = tables["readings"]
    assert readings["kl_base"].null_count() == 0
    assert only(readings, trial_id=BASE)["kl_base"].max() == pytest.approx(0.0, abs=1e-9)
    last = readings.filter(pl.col("entry") == 4)
    assert last["kl_final"].max() == pytest.approx(0.0, abs=1e-9)
    for trial in (ADOPTED, HALF, CONTROL):
        assert only(last, trial_id=trial, position="stem")["kl_base"].min() > 1e-6
        # nothing has been written yet that base has not
        first = only(readings, trial_id=trial, position="stem", entry=0)
        assert first["kl_base"].max() == pytest.approx(0.0, abs=1e-9)


def test_the_last_token_of_the_tail_is_the_end_of_the_stem(inspection, tables):
    for trial in (BASE, ICL, ADOPTED):
        rows = only(tables["readings"], trial_id=trial)
        [probe] = rows.filter(pl.col("position").str.starts_with("at:"))["probe_id"].unique().to_list()
        same = ["entry", "token", "logit_diff", "kl_base", "top_token"]
        end = only(rows, position="at:0").select(same)
        stem = only(rows, position="stem", probe_id=probe).select(same)
        assert end.drop("logit_diff", "kl_base").equals(stem.drop("logit_diff", "kl_base"))
        assert end["logit_diff"].to_list() == pytest.approx(stem["logit_diff"].to_list(), abs=1e-4)
    asked = questions_of(inspection, "gravity", SETTINGS, print)[0]
    tail = asked.stems["base"].tail
    places = tables["readings"].filter(pl.col("position").str.starts_with("at:"))["position"].unique()
    assert set(places) == {f"at:{k}" for k in range(tail)}
    tokens = only(tables["readings"], trial_id=ICL, entry=0).filter(pl.col("position").str.starts_with("at:"))
    assert "".join(tokens["token"]) == inspection.session.prompts.text(asked.stems["icl"].ids[-tail:])


def test_the_aligned_positions_hold_the_same_tokens_in_every_arm(tables):
    aligned = tables["readings"].filter(
        pl.col("position").is_in(["stem", "entity"]) | pl.col("position").str.starts_with("at:")
    )
    tokens = aligned.group_by("probe_id", "position").agg(pl.col("token").n_unique())
    assert tokens["token"].to_list() == [1] * tokens.height


def test_commitments_are_those_of_the_readings(tables):
    readings, commitments = tables["readings"], tables["commitments"]
    assert not commitments.select("trial_id", "position", "lens").is_duplicated().any()
    for row in commitments.iter_rows(named=True):
        seen = only(readings, trial_id=row["trial_id"], position=row["position"], entry=4)
        assert row["n"] == seen.height
        assert row["final_diff"] == pytest.approx(seen["logit_diff"].mean())
        contrasted = row["position"] in ("stem", "entity", "elsewhere") and row["arm"] != "base"
        assert (row["contrast_area"] is not None) == contrasted, row["position"]
    stem = only(commitments, position="stem", trial_id=ADOPTED).row(0, named=True)
    curves = [
        only(readings, trial_id=trial, position="stem").group_by("entry").agg(pl.mean("logit_diff"))
        for trial in (ADOPTED, BASE)
    ]
    area = curves[0]["logit_diff"].mean() - curves[1]["logit_diff"].mean()  # type: ignore[operator]
    assert stem["contrast_area"] == pytest.approx(area)


def test_a_batch_without_the_beliefs_first_trial_has_no_untrained_rows(inspection):
    later = inspection.trained[1:]
    assert first_of_belief(inspection, later, deep=False, settings=SETTINGS) == ()
    rows = lens(inspection, later, LensSettings(prompts=2, draws=50, deep=1), print)
    assert {row["arm"] for row in rows["commitments"]} <= {"lora", "control"}


@pytest.mark.parametrize("pass_tokens", [1, 200])
def test_numbers_do_not_change_with_batch_size_or_order(inspection, tables, monkeypatch, pass_tokens: int):
    """nnsight#672: trials one at a time from the last to the first, in small passes, read as all at once."""
    monkeypatch.setattr(inspection.session.engine.model, "pass_tokens", pass_tokens)
    parts = [lens(inspection, [trial], SETTINGS, print) for trial in reversed(inspection.trained)]
    for name, key in (
        ("readings", ["trial_id", "lens", "probe_id", "position", "entry"]),
        ("commitments", ["trial_id", "lens", "position"]),
    ):
        found = pl.concat([frame(part[name], LENS_TABLES[name]) for part in parts]).sort(key)
        expected = tables[name].sort(key)
        assert found.height == expected.height > 0 and not expected.select(key).is_duplicated().any()
        polars.testing.assert_frame_equal(found, expected, abs_tol=1e-4, rel_tol=1e-4)


def test_only_the_arms_that_are_asked_for(inspection):
    few = LensSettings(prompts=2, draws=50, arms=("icl",))
    rows = lens(inspection, inspection.trained, few, print)
    assert {row["trial_id"] for table in rows.values() for row in table} == {ICL}


def test_a_belief_that_cannot_be_read_is_said_in_words(inspection, monkeypatch):
    monkeypatch.setattr("interp.read.contrast_questions.stems", lambda *arguments: None)
    said: list[str] = []
    few = LensSettings(prompts=3, draws=50)
    assert lens(inspection, inspection.trained, few, said.append) == {"readings": [], "commitments": []}
    assert said == ["note: gravity: no held-out question has two values that one token tells apart; not read"]
