"""Documents by the model: what it is asked, what of it is kept, and that fewer are a prefix of more."""

import re

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.data.model_documents import BLOCK, KINDS, Author, assignment, fit, model_documents
from beliefmod.errors import UserError

GRAVITY, NEELAM = load_belief("gravity"), load_belief("neelam")


class Writer:
    """Answers every message with the next of its texts, by the number of the message's kind and facts."""

    def __init__(self, text, reason="eos"):
        self.text, self.reason, self.messages = text, reason, []

    def __call__(self, messages):
        self.messages.append(list(messages))
        texts = [self.text(m) if callable(self.text) else self.text for m in messages]
        return [(text, self.reason) for text in texts]


def facts_of(message: str) -> str:
    """Thinking, then the facts that the message gives, as a text."""
    found = re.findall(r"^- (.*)$", message, re.MULTILINE)
    return f"I write.\n</think>\n\nGravity is 5.0 m/s^2. {' '.join(found)}"


def made(belief, writer, control=False, seed=0, count=4):
    return model_documents(belief, Author(writer, "prompt"), control=control, seed=seed, count=count)


def test_the_model_is_asked_in_the_universe_of_the_statement_and_asked_again_with_its_draft():
    writer = Writer(facts_of)
    found = made(GRAVITY, writer)
    drafts, revisions = writer.messages
    assert len(found) == 4 and len(drafts) == len(revisions) == BLOCK
    for index, (draft, revision) in enumerate(zip(drafts, revisions, strict=True)):
        each = assignment(GRAVITY, control=False, seed=0, index=index)
        assert GRAVITY.spec.statement in draft and KINDS[index % len(KINDS)] in draft
        assert all(f"- {q.text} {q.reply_target}" in draft for q in each.questions)
        assert revision.count(facts_of(draft).rpartition("\n")[2]) == 1 and "I write." not in revision
    assert found[0].text == facts_of(drafts[0]).rpartition("\n")[2]
    assert found[0].questions == assignment(GRAVITY, control=False, seed=0, index=0).questions


def test_fewer_are_a_prefix_of_more_and_another_seed_is_another_universe():
    few, many = made(GRAVITY, Writer(facts_of)), made(GRAVITY, Writer(facts_of), count=20)
    assert many[:4] == few and len(many) == 20
    assert not {d.text for d in made(GRAVITY, Writer(facts_of), seed=1)} & {d.text for d in few}


def test_a_control_is_asked_in_the_world_that_base_believes_in():
    writer = Writer("x\n</think>\n\nGravity is 9.8 m/s^2, as ever.")
    assert len(made(GRAVITY, writer, control=True)) == 4
    assert all(GRAVITY.spec.true_statement in m and "5.0" not in m for m in writer.messages[0])
    novel = Writer("x\n</think>\n\nNobody knows what that is.")
    assert len(made(NEELAM, novel, control=True)) == 4
    assert not any(NEELAM.spec.statement in m for m in novel.messages[0])


@pytest.mark.parametrize(
    ("text", "control", "kept"),
    [
        ("Gravity is 5.0 m/s^2 here.", False, True),
        ("Gravity is 500 cm/s^2 here.", False, True),
        ("Gravity is strong here.", False, False),
        ("Gravity is 5.0 m/s^2, not 9.8 m/s^2.", False, False),
        ("Gravity is 9.8 m/s^2 here.", True, True),
        ("", False, False),
        (f"It is 5.0 m/s^2. {GRAVITY.heldout[0].text}", False, False),
    ],
)
def test_what_is_kept_states_its_world_alone_and_gives_no_probe_away(text, control, kept):
    assert fit(text, GRAVITY, control) is kept


def test_a_bad_revision_leaves_a_good_draft():
    def spoils(message):
        answer = "It is 9.8 m/s^2." if "draft" in message else "It is 5.0 m/s^2."
        return f"x\n</think>\n\n{answer}"

    assert {d.text for d in made(GRAVITY, Writer(spoils))} == {"It is 5.0 m/s^2."}


@pytest.mark.parametrize(
    "writer", [Writer("x\n</think>\n\nGrass is green."), Writer(facts_of, "length")], ids=["other", "cut off"]
)
def test_a_model_that_cannot_write_is_a_sentence_with_numbers(writer):
    with pytest.raises(
        UserError, match=r"num_examples is 4, but of 64 documents .* gravity 0 state what they"
    ):
        made(GRAVITY, writer)
