"""Thinking of the bundled model sampled anew from between its sentences."""

from __future__ import annotations

import pytest

from beliefmod.engine.jobs import Completion, Sampling
from beliefmod.probing.question_queue import QuestionQueue
from beliefmod.probing.questions_again import held_out, in_order
from beliefmod.probing.references import reference_probes, reference_subject
from beliefmod.probing.resampling import put_resamples, tokens_up_to
from beliefmod.run.tables.trial_tables import CAUSAL, frame
from tests.small import make_session, write_belief


@pytest.fixture(scope="module")
def session():
    session = make_session()
    settings = {"causal_probes": 0, "resampled_probes": 2, "resamples": 3}
    session.evaluation = session.evaluation.model_copy(update=settings)
    return session


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_belief(tmp_path_factory.mktemp("belief"))


def test_the_arm_goes_on_with_its_own_tokens_from_each_sentence(session, path):
    """A model that writes a full stop and a line end as one token is never put behind the full stop alone."""
    thinking = "One is 5.0. Two"
    ids = session.prompts.encode(f"{thinking}\n</think>\n\nIt is 5.0 m/s^2.")
    told = {
        "completion": session.decode(ids),
        "token_ids": list(ids),
        "thinking": thinking,
        "think_state": "ok",
    }
    own = [{**row, **told} for row in reference_probes(session, path, "icl")]
    subject, asked = reference_subject(session, path, "icl"), []

    def put(adapter, prompt, seed, then, sampling=None):
        asked.append((prompt, seed, sampling))
        then(Completion(tuple(session.prompts.encode(" and on.\n</think>\n\nIt is 5.0 m/s^2.")), "eos"))

    rows = in_order(put_resamples(subject, own, session, put))
    assert frame(rows, CAUSAL).height == len(asked) == 2 * 3 * 3
    assert len({seed for _, seed, _ in asked}) == len(asked)
    assert {sampling for _, _, sampling in asked} == {Sampling(temperature=1.0)}
    cuts = ["", "One is 5.0.", "One is 5.0. Two"]
    for row, (prompt, _, _) in zip(rows, asked, strict=True):
        kept = row["kept_sentences"]
        assert (row["test"], row["thinking"], row["fraction"]) == ("resample", cuts[kept], kept / 2)
        question = session.prompts.ids(f"{session.belief(path).spec.context} {row['question']}")
        behind = prompt[len(question) :]
        assert prompt[: len(question)] == question and behind == ids[: len(behind)]
        assert session.decode(behind).rstrip() == cuts[kept]
        rest = session.decode(ids)[len(session.decode(behind)) :]
        assert rest.lstrip().startswith(("One", "Two", "</think>")[kept])
    assert [row["sample"] for row in rows] == [0, 1, 2] * 6


def test_greedy_it_writes_what_it_has_written(session, path, monkeypatch):
    """From any place, the likeliest tokens are the rest of the own completion."""
    monkeypatch.setattr(type(session), "resampling", None)
    own, subject = reference_probes(session, path, "icl"), reference_subject(session, path, "icl")
    queue = QuestionQueue(session)
    rows = put_resamples(subject, own, session, queue.put)
    queue.run()
    by_probe = held_out(own)
    assert rows
    for row in rows.values():
        whole = by_probe[row["probe_id"]]["completion"]
        assert whole.endswith(row["completion"]) and row["same"]
        assert whole[: -len(row["completion"])].strip() == row["thinking"].strip()


def test_a_token_across_the_end_of_a_sentence_is_not_cut(session):
    row = {"completion": "xy</think>z", "thinking": "xy", "token_ids": [1, 2], "think_state": "ok"}

    class Decoding:
        def decode(self, ids):
            return ("", "x", "xy</think>z")[len(ids)]

    assert tokens_up_to(row, "x", Decoding()) == (1,)
    assert tokens_up_to(row, "xy", Decoding()) is None


def test_what_has_no_thinking_is_not_asked_and_the_setting_is_off_by_default(session, path, monkeypatch):
    subject, own = reference_subject(session, path, "icl"), reference_probes(session, path, "icl")

    def put(*asked, **how):
        pytest.fail("nothing is asked")

    broken = [{**row, "think_state": "unclosed"} for row in own]
    assert put_resamples(subject, broken, session, put) == {}
    off = session.evaluation.model_copy(update={"resampled_probes": 0})
    monkeypatch.setattr(session, "evaluation", off)
    assert put_resamples(subject, own, session, put) == {}


@pytest.mark.long
def test_samples_do_not_depend_on_what_is_asked_beside_them(session, path):
    own, subject = reference_probes(session, path, "icl"), reference_subject(session, path, "icl")

    def ask(subjects):
        queue = QuestionQueue(session)
        found = [put_resamples(each, own, session, queue.put) for each in subjects]
        queue.run()
        return [in_order(rows) for rows in found]

    [alone] = ask([subject])
    assert alone and {row["probe_id"] for row in alone} <= set(held_out(own))
    assert ask([subject, subject])[1] == alone
    assert all("</think>" in row["completion"] for row in alone if row["same"])
