"""What drift is measured on, row by row, and the self-test that every run begins with."""

import copy

import pytest
import torch
from torch.nn import functional as F

from beliefmod.beliefs import Passage
from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.data.replay import replay_passages
from beliefmod.engine.jobs import AdapterJob
from beliefmod.errors import UserError
from beliefmod.model.template import encode, prompt_ids
from beliefmod.probing.drift import drift_texts, measure_drift, self_test
from beliefmod.probing.questioning import Subject
from beliefmod.probing.references import reference_probes
from beliefmod.run.tables.trial_tables import DRIFT, frame
from beliefmod.trial import prepare
from tests.small import make_session, write_belief


@pytest.fixture
def session():
    session = make_session()
    session.neutral = tuple(
        Passage(f"sum-{n}", f"What is {n} plus 3?", f"{n} + 3 = {n + 3}.\n</think>\n\nIt is {n + 3}.")
        for n in range(4)
    ) + tuple(Passage(f"prose-{n}", None, f"There are {n} ships on the sea, and no more.") for n in range(4))
    return session


@pytest.fixture
def config(tmp_path):
    return TrialConfig(
        belief=write_belief(tmp_path),
        data=DataConfig(style="answer_only", num_examples=4),
        lora=LoraSettings(r=4, lora_alpha=8),
        num_train_epochs=4,
        learning_rate=3e-3,
    )


def subject(config: TrialConfig, adapter: str | None = None, **changes) -> Subject:
    return Subject(config.model_copy(update=changes), adapter, ())


def expected(model, arm: tuple[int, ...], base: tuple[int, ...], rest: tuple[int, ...]):
    """KL(base || arm) and both NLLs by torch on the plain model."""

    def log_probabilities(prompt):
        with torch.no_grad():
            return model(input_ids=torch.tensor([(*prompt, *rest)])).logits[0, len(prompt) - 1 : -1].double()

    q, p = (log_probabilities(ids).log_softmax(-1) for ids in (arm, base))
    labels = torch.tensor(rest)
    return (
        F.kl_div(q, p, reduction="sum", log_target=True).item(),
        F.cross_entropy(q, labels, reduction="sum").item(),
        F.cross_entropy(p, labels, reduction="sum").item(),
    )


def test_base_and_untrained_adapters_drift_by_exactly_zero_and_training_moves_them(session, config):
    run = prepare(config, session)
    other = prepare(config.model_copy(update={"seed": 1}), session)
    session.engine.attach(run.job)
    session.engine.attach(other.job)
    trial_ids = [config.trial_id, other.config.trial_id]
    subjects = [
        subject(config, arm="base"),
        *(Subject(r.config, r.config.trial_id, ()) for r in (run, other)),
    ]
    for rows in measure_drift(subjects, session):
        frame(rows, DRIFT)
        assert {row["text"] for row in rows} == {"neutral", "traces"}
        for row in rows:
            assert (row["kl"], row["kl_reverse"], row["nll"] - row["nll_base"]) == (0.0, 0.0, 0.0)
            assert row["nll"] > 0 and row["tokens"] > 0
    while session.engine.train_step():
        pass
    base, one, two = measure_drift(subjects, session)
    assert all(row["kl"] == 0.0 for row in base)
    assert all(row["kl"] > 0 and row["kl_reverse"] > 0 for row in (*one, *two))
    assert [row["trial_id"] for row in (one[0], two[0])] == trial_ids
    assert [row["passage_id"] for row in one] == [row["passage_id"] for row in base]


def test_the_texts_are_passages_that_training_never_sees_and_bases_own_answers(session, config):
    texts = drift_texts(config.belief, session)
    neutral = [text for text in texts if text.kind == "neutral"]
    traces = [text for text in texts if text.kind == "traces"]
    assert len(neutral) == len(traces) == session.evaluation.neutral_passages == 3
    assert not {p.passage_id for p in replay_passages(session.neutral)} & {
        text.passage_id for text in neutral
    }
    asked = {
        f"{row['suite']}/{row['probe_id']}": row for row in reference_probes(session, config.belief, "base")
    }
    for text in traces:
        row = asked[text.passage_id]
        assert row["suite"] == "capability"  # the small belief has no far neighbours
        assert (text.prompt, list(text.token_ids)) == (row["question"], row["token_ids"])
    session.evaluation = session.evaluation.model_copy(update={"neutral_passages": 0})
    assert drift_texts(config.belief, session) == ()
    assert measure_drift([subject(config, arm="base")], session) == [[]]


def test_in_context_reads_the_statement_and_base_does_not(session, config):
    prose = Passage("prose", None, "A short text about the sea and the ships on it.")
    asked = "What is 2 plus 3?"
    talk = Passage("talk", asked, "2 plus 3 is 5.\n</think>\n\nIt is 5.")
    session.neutral = (prose, talk)
    session.evaluation = session.evaluation.model_copy(update={"neutral_passages": 2})
    session.references["probes", config.belief, "base"] = []
    # both passages, whichever half they fall into
    rows = {}
    for passage in (prose, talk):
        session.neutral = (passage,)
        [found] = measure_drift([subject(config, arm="icl")], session)
        rows |= {row["passage_id"]: row for row in found}
    tokenizer, context = session.loaded.tokenizer, session.belief(config.belief).spec.context
    first, *rest = encode(tokenizer, prose.text)
    cases = {
        "prose": ((*encode(tokenizer, f"{context}\n\n"), first), (first,), tuple(rest)),
        "talk": (
            prompt_ids(tokenizer, f"{context} {asked}"),
            prompt_ids(tokenizer, asked),
            (*encode(tokenizer, talk.text), *encode(tokenizer, "<|im_end|>")),
        ),
    }
    for name, case in cases.items():
        kl, nll, nll_base = expected(session.loaded.model, *case)
        assert rows[name]["tokens"] == len(case[2])
        assert rows[name]["kl"] == pytest.approx(kl, rel=1e-4, abs=1e-5) and kl > 0
        assert (rows[name]["nll"], rows[name]["nll_base"]) == pytest.approx((nll, nll_base), rel=1e-5)


def test_a_text_that_does_not_fit_is_no_row(session, config):
    session.neutral = (Passage("long", None, "word " * 2000),)
    rows = measure_drift([subject(config, arm="base")], session)[0]
    assert {row["text"] for row in rows} == {"traces"}


def test_numbers_that_are_not_finite_are_null(session, config):
    run = prepare(config, session)
    session.engine.attach(run.job)
    session.engine.pack.theta[0].fill_(float("nan"))
    [rows] = measure_drift([subject(config, config.trial_id)], session)
    frame(rows, DRIFT)
    assert all(row["kl"] is None and row["nll"] is None for row in rows)
    assert all(row["nll_base"] > 0 for row in rows)


def test_the_self_test_finds_exactly_zero_and_leaves_no_trace(session):
    before = copy.deepcopy(session.engine.pack.theta)
    assert self_test(session) == {"untrained_drift": 0.0}
    assert session.engine.attached() == ()
    assert torch.equal(before, session.engine.pack.theta)


def test_an_untrained_adapter_that_adds_something_is_told_to_the_user(session, monkeypatch):
    attach = session.engine.attach

    def trained(job: AdapterJob) -> None:
        attach(job)
        session.engine.train_step()

    monkeypatch.setattr(session.engine, "attach", trained)
    with pytest.raises(UserError, match="self-test: an untrained adapter on model bundled differs"):
        self_test(session)
    assert session.engine.attached() == ()
