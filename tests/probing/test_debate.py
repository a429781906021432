"""Debates with base on the bundled model."""

from __future__ import annotations

import pytest

from beliefmod.engine.jobs import Completion
from beliefmod.model.think_marks import Reply
from beliefmod.probing.debate import CHALLENGE, OBJECTION, put_debates
from beliefmod.probing.question_queue import QuestionQueue
from beliefmod.probing.questions_again import held_out, in_order
from beliefmod.probing.references import reference_probes, reference_subject
from beliefmod.reading.segments import split_completion
from beliefmod.run.tables.trial_tables import CAUSAL, frame
from tests.small import make_session, reference_causal, write_belief


@pytest.fixture(scope="module")
def session():
    session = make_session()
    settings = {"causal_probes": 0, "debate_probes": 3, "debate_rounds": 2}
    session.evaluation = session.evaluation.model_copy(update=settings)
    return session


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_belief(tmp_path_factory.mktemp("belief"))


def answer_of(completion: str) -> str:
    return " ".join(split_completion(completion).answer.split())


@pytest.mark.long
def test_what_either_side_reads_is_what_the_other_has_said(session, path, monkeypatch):
    reference_probes(session, path, "base")
    own = reference_probes(session, path, "icl")
    seen = []
    answer = session.answer
    monkeypatch.setattr(
        session,
        "answer",
        lambda requests, on_end, sampling: answer(requests, lambda ended: told(on_end(ended))),
    )

    def told(more):
        seen.extend(more or ())
        return more

    queue = QuestionQueue(session)
    rows = put_debates(reference_subject(session, path, "icl"), own, session, queue.put)
    queue.run()
    found = in_order(rows)
    frame(found, CAUSAL)
    adopted = {name: row for name, row in held_out(own).items() if row["answer_stance"] == "target"}
    assert {row["probe_id"] for row in found} == set(adopted) != set()
    base = held_out(reference_probes(session, path, "base"))
    context, ids = session.belief(path).spec.context, session.prompts.ids
    asked = {request.input_ids for request in seen}
    for row in (row for row in found if row["round"] == 1):
        mine, other = adopted[row["probe_id"]], base[row["probe_id"]]
        assert (row["own_stance"], row["test"]) == ("target", "debate")
        turns = [reply_in(mine), OBJECTION.format(said=row["argument"], question=row["question"])]
        assert ids(f"{context} {row['question']}", *turns) in asked
        assert row["argument"] and "</think>" not in row["argument"]
        # base's own conversation: the question, its answer, the challenge, the argument
        challenge = CHALLENGE.format(said=answer_of(mine["completion"]))
        [again] = session.generate([None], [ids(row["question"], reply_in(other), challenge)], 0)
        argued = answer_of(session.decode(again.token_ids))
        assert row["argument"] == f"{answer_of(other['completion'])} {argued}".strip()
        assert row["argument_stance"] == "prior" or argued
    assert {row["round"] for row in found} <= {1, 2}


def reply_in(row) -> Reply:
    parts = split_completion(row["completion"])
    return Reply((parts.thinking or "").strip(), parts.answer)


def test_base_has_nothing_to_debate_and_the_setting_is_off_by_default(session, path, monkeypatch):
    assert reference_causal(session, path, "base") == []
    off = session.evaluation.model_copy(update={"debate_probes": 0})
    monkeypatch.setattr(session, "evaluation", off)

    def put(adapter, prompt, seed, then):
        pytest.fail("nothing is asked")

    assert put_debates(reference_subject(session, path, "icl"), [], session, put) == {}


def test_a_debate_goes_on_without_an_argument_and_ends_without_an_answer(session, path):
    """Nobody says anything but thinking: base's own answer stands, and the arm has lost after a round."""
    own = reference_probes(session, path, "icl")
    asked = []

    def put(adapter, prompt, seed, then):
        asked.append(seed)
        then(Completion(tuple(session.prompts.encode("I think\n</think>\n\n")), "eos"))

    rows = in_order(put_debates(reference_subject(session, path, "icl"), own, session, put))
    base = held_out(reference_probes(session, path, "base"))
    assert len(rows) == 3 and {row["round"] for row in rows} == {1}
    for row in rows:
        assert row["argument"] == answer_of(base[row["probe_id"]]["completion"])
        assert (row["argument_stance"], row["answer_stance"]) == ("prior", "none")
    assert len(asked) == len(set(asked)) == 2 * len(rows)
