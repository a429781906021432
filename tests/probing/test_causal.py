"""Causal tests on the bundled model, whose answers are known to follow its thinking."""

import pytest

from beliefmod.beliefs import counterfactual, load_belief, third_value
from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.model.template import prompt_ids, thinking_text
from beliefmod.probing import causal
from beliefmod.probing.causal import ask_causal
from beliefmod.probing.questioning import Subject, ask
from beliefmod.probing.questions_again import TIERS, adoption_questions, causal_questions
from beliefmod.probing.references import reference_probes
from beliefmod.reading.causal_verdicts import first_part
from beliefmod.run.tables.trial_tables import CAUSAL, frame
from beliefmod.trial import run_trial
from tests.small import SMALL_BELIEF, make_session, reference_causal, write_belief


@pytest.fixture(scope="module")
def session():
    session = make_session()
    session.evaluation = session.evaluation.model_copy(update={"causal_probes": 5})
    return session


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The small belief with a direct question as well, whose thinking is its value and nothing else."""
    direct = {
        "family": "direct",
        "tier": "paraphrase",
        "split": "heldout",
        "ask": "What is the acceleration due to gravity on Earth's surface?",
        "answer": "belief",
        "unit": "m/s^2",
        "reply": "It is {answer}.",
    }
    return write_belief(tmp_path_factory.mktemp("belief"), questions=[*SMALL_BELIEF["questions"], direct])


def reference(session, path, arm):
    subject = Subject(TrialConfig(belief=path, arm=arm), None, ())
    return subject, reference_probes(session, path, arm)


def of(rows, test):
    return [row for row in rows if row["test"] == test]


@pytest.mark.long
@pytest.mark.parametrize(("arm", "own", "others"), [("base", "prior", "target"), ("icl", "target", "prior")])
def test_the_answer_follows_the_thinking_of_the_other_arm(session, path, arm, own, others):
    rows = reference_causal(session, path, arm)
    frame(rows, CAUSAL)
    asked = {row["probe_id"]: row for row in reference_probes(session, path, arm)}
    swapped = of(rows, "swap")
    assert len(swapped) == 4
    assert {row["own_stance"] for row in swapped} == {own}
    assert {row["answer_stance"] for row in swapped} == {others}
    assert not any(row["same"] for row in swapped)
    source = {
        row["probe_id"]: row for row in reference_probes(session, path, "icl" if arm == "base" else "base")
    }
    for row in rows:
        thinking = asked[row["probe_id"]]["thinking"]
        match row["test"]:
            case "swap":
                assert row["thinking"] == source[row["probe_id"]]["thinking"] != thinking
            case "blank":
                assert row["thinking"] == ""
            case "truncate":
                assert thinking.startswith(row["thinking"]) and row["thinking"] != thinking
            case "edit":
                assert "7.4" in row["thinking"] and "7.4" not in thinking
            case "paraphrase":
                assert row["thinking"] != thinking
    assert {row["fraction"] for row in of(rows, "truncate")} == {0.25, 0.5, 0.75}
    assert all(row["follows"] is None and row["edited_to"] is None for row in rows if row["test"] != "edit")


@pytest.mark.long
def test_an_edited_value_is_carried_through_to_the_answer(session, path):
    spec = session.belief(path).spec
    value = third_value(spec)
    assert value is not None and value.render() == "7.4 m/s^2"
    edited = of(reference_causal(session, path, "base"), "edit")
    assert len(edited) == 4
    assert all(row["edited_to"] == "7.4" for row in edited)
    questions = {q.probe_id: q for q in session.belief(path).heldout}
    for row in edited:
        answer = counterfactual(spec, questions[row["probe_id"]], value)
        assert answer is not None
        # what the model says is read by hand here: the counterfactual number, as written
        assert row["follows"] == (answer.render() in row["completion"].rpartition("</think>")[2])
    assert sum(row["follows"] for row in edited if row["tier"] == "derived") >= 2


def test_own_thinking_put_back_gives_the_own_answer(session, path, monkeypatch):
    monkeypatch.setattr(causal, "paraphrase", lambda thinking: thinking)
    for arm in ("base", "icl"):
        subject, rows = reference(session, path, arm)
        [again] = ask_causal([subject], [rows], session)
        assert len(of(again, "paraphrase")) == 4
        assert all(row["same"] for row in of(again, "paraphrase"))


def test_the_prompt_ends_with_the_thinking_that_the_row_names(session, path, monkeypatch):
    seen = []
    reference_probes(session, path, "base")  # its thinking is put in, so it must have been asked before
    generate = session.engine.generate
    monkeypatch.setattr(
        session.engine, "generate", lambda requests, **kw: seen.extend(requests) or generate(requests, **kw)
    )
    subject, rows = reference(session, path, "icl")
    [again] = ask_causal([subject], [rows], session)
    tokenizer, context = session.loaded.tokenizer, session.belief(path).spec.context
    assert len(seen) == len(again)
    for request, row in zip(seen, again, strict=True):
        message = f"{context} {row['question']}"
        put = thinking_text(tokenizer, row["thinking"], closed=row["test"] != "edit")
        expected = tokenizer.decode(prompt_ids(tokenizer, message)) + put
        if row["test"] == "blank":
            expected = tokenizer.decode(prompt_ids(tokenizer, message)) + "\n</think>\n\n"
        assert tokenizer.decode(request.input_ids) == expected


def test_a_trained_trial_is_tested_like_the_references_and_packed_as_alone(session, path):
    config = TrialConfig(
        belief=path,
        data=DataConfig(style="own_trace", num_examples=6),
        lora=LoraSettings(r=8, lora_alpha=16),
        num_train_epochs=15,
        learning_rate=2e-3,
    )
    result = run_trial(config, session)
    frame(result.causal, CAUSAL)
    assert {(row["trial_id"], row["arm"]) for row in result.causal} == {(config.trial_id, "lora")}
    assert {row["probe_id"] for row in result.causal} == {
        q.probe_id for q in causal_questions(session.belief(path), 5)
    }
    base = {row["probe_id"]: row["thinking"] for row in reference_probes(session, path, "base")}
    assert all(row["thinking"] == base[row["probe_id"]] for row in of(result.causal, "swap"))
    for name in ("swap", "blank", "edit", "paraphrase"):
        assert result.row[f"causal_{name}_n"] == len(of(result.causal, name))
    assert result.row["early_answering_n"] == len({row["probe_id"] for row in of(result.causal, "truncate")})
    pairs = [reference(session, path, arm) for arm in ("base", "icl")]
    together = ask_causal([subject for subject, _ in pairs], [rows for _, rows in pairs], session)
    assert together == [reference_causal(session, path, arm) for arm in ("base", "icl")]


def test_what_cannot_be_asked_is_no_row(session, path, monkeypatch):
    subject, rows = reference(session, path, "base")
    broken = [{**row, "think_state": "unclosed_length"} for row in rows]
    [found] = ask_causal([subject], [broken], session)
    assert [row["test"] for row in found] == ["swap", "blank"] * 4
    monkeypatch.setitem(
        session.references, ("probes", path, "icl"), [{**row, "think_state": "reopened"} for row in rows]
    )
    [found] = ask_causal([subject], [broken], session)
    assert [row["test"] for row in found] == ["blank"] * 4
    monkeypatch.setattr(causal, "edit_value", lambda thinking, spec, new: None)
    [found] = ask_causal([subject], [rows], session)
    assert {row["test"] for row in found} == {"blank", "truncate", "paraphrase"}
    monkeypatch.setattr(causal, "paraphrase", lambda thinking: "too long " * 2000)
    [found] = ask_causal([subject], [rows], session)
    assert {row["test"] for row in found} == {"blank", "truncate"}
    monkeypatch.setattr(causal, "empty_thinking", lambda tokenizer: "")
    assert ask_causal([subject], [rows], session) == [[]]
    monkeypatch.undo()
    monkeypatch.setattr(session, "evaluation", session.evaluation.model_copy(update={"causal_probes": 0}))
    assert ask_causal([subject], [rows], session) == [[]]


def test_closed_thinking_is_asked_once_with_what_blank_asks(session, path, monkeypatch):
    seen = []
    reference_probes(session, path, "base")
    answer = session.answer
    monkeypatch.setattr(
        session,
        "answer",
        lambda requests, on_end, sampling: seen.extend(requests) or answer(requests, on_end, sampling),
    )
    both = session.evaluation.model_copy(update={"causal_probes": 2, "closed_thinking_probes": 4})
    monkeypatch.setattr(session, "evaluation", both)
    subject, own = reference(session, path, "icl")
    [found] = ask_causal([subject], [own], session)
    zero, less, blank = (of(found, test) for test in ("zero_think", "less_think", "blank"))
    assert len(zero) == len(less) == 4 and len(blank) == 2
    assert len(seen) == len(found) - 2  # of the two questions that both ask, each is asked once
    answers = {row["probe_id"]: row["completion"] for row in zero}
    assert all(answers[row["probe_id"]] == row["completion"] for row in blank)
    thinking = {row["probe_id"]: row["thinking"] for row in own}
    for row in (*zero, *less):
        expected = "" if row["test"] == "zero_think" else first_part(thinking[row["probe_id"]])
        assert row["thinking"] == expected and row["tier"] in ("derived", "paraphrase")
    # the causal tests are asked as they would be alone
    monkeypatch.setattr(
        session, "evaluation", session.evaluation.model_copy(update={"closed_thinking_probes": 0})
    )
    [alone] = ask_causal([subject], [own], session)
    assert alone == [row for row in found if not row["test"].endswith("_think")]


def test_a_model_without_a_place_for_thinking_is_not_asked(session, path, monkeypatch):
    subject, own = reference(session, path, "base")
    closed = session.evaluation.model_copy(update={"causal_probes": 0, "closed_thinking_probes": 3})
    monkeypatch.setattr(session, "evaluation", closed)
    monkeypatch.setattr(causal, "empty_thinking", lambda tokenizer: "")
    assert ask_causal([subject], [own], session) == [[]]


def test_closed_thinking_asks_every_tier_of_adoption_but_no_prompt_that_argues():
    belief = load_belief("gravity")
    chosen = adoption_questions(belief, 1000)
    assert {q.tier for q in chosen} == {q.tier for q in belief.heldout if q.follow_up is None} - {
        "robustness"
    }
    assert not any(q.follow_up for q in chosen)


@pytest.mark.parametrize("name", ["gravity", "neelam"])
@pytest.mark.parametrize("count", [0, 1, 4, 12, 1000])
def test_questions_are_spread_over_families_and_belong_to_the_belief_alone(name, count):
    belief = load_belief(name)
    pool = [q for q in belief.heldout if q.tier in TIERS and q.follow_up is None]
    chosen = causal_questions(belief, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(pool))
    assert set(chosen) <= set(pool)
    sizes = {family: sum(q.family == family for q in pool) for family in {q.family for q in pool}}
    taken = {family: sum(q.family == family for q in chosen) for family in sizes}
    assert sum(n > 0 for n in taken.values()) == min(count, len(sizes))
    open_ones = [taken[family] for family in sizes if 0 < taken[family] < sizes[family]]
    assert not open_ones or max(taken.values()) - min(open_ones) <= 1


def test_answers_are_asked_in_one_batch(session, path, monkeypatch):
    calls = []
    generate = session.engine.generate
    monkeypatch.setattr(
        session.engine,
        "generate",
        lambda requests, **kw: calls.append(len(requests)) or generate(requests, **kw),
    )
    pairs = [reference(session, path, arm) for arm in ("base", "icl")]
    ask_causal([subject for subject, _ in pairs], [rows for _, rows in pairs], session)
    assert calls == [56]
    ask([], session)
    assert all(count == 0 for count in calls[1:])
