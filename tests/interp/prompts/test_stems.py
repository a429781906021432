"""Stems: the arms' end alike, the worlds part at one token, and a shared space is no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from beliefmod.beliefs import Quantity, Question, belief_names, load_belief
from beliefmod.bundled import weights_dir
from beliefmod.model.prompts import Prompts
from beliefmod.model.template import empty_thinking
from interp.prompts.spellings import MOST
from interp.prompts.stems import common_tail, entity_word, lens_questions, other_questions, stems
from interp.read.masses import value_sets, vocabulary_of

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(weights_dir(), local_files_only=True)


@pytest.fixture(scope="module")
def prompts(tokenizer) -> Prompts:
    return Prompts(tokenizer)


def force(target: float, prior: float | None, decimals: int = 1, reply: str = "The force is {}.") -> Question:
    values = [
        None if value is None else Quantity(value=value, unit="N", decimals=decimals)
        for value in (target, prior)
    ]
    replies = ["" if value is None else reply.format(value.render()) for value in values]
    return Question(
        "force-1",
        "belief",
        "force",
        "derived",
        "Calculate the force on a 2 kg mass on Earth's surface.",
        target=values[0],
        prior=values[1],
        reply_target=replies[0],
        reply_prior=replies[1],
    )


def test_the_two_values_are_compared_where_they_part_not_at_the_space(prompts, tokenizer):
    gravity = load_belief("gravity")
    found = stems(force(10.0, 19.6), gravity, prompts, tokenizer)
    assert found is not None
    # "10.0" and "19.6" share the space and, digits one by one, the 1
    for stem in found.values():
        assert prompts.text(stem.ids).endswith("The force is 1")
        assert prompts.text((stem.target_id,)) == "0" and prompts.text((stem.prior_id or 0,)) == "9"
        assert prompts.text(stem.target_ids) == "0.0 N" and prompts.text(stem.prior_ids or ()) == "9.6 N"
        assert (stem.target_ids[0], (stem.prior_ids or (0,))[0]) == (stem.target_id, stem.prior_id)


def test_a_value_that_begins_the_other_cannot_be_read(prompts, tokenizer):
    gravity = load_belief("gravity")
    # 5 and 50 without a unit behind them: after "5" both worlds may go on
    bare = force(5.0, 50.0, decimals=0, reply="{}")
    question = Question(
        **{
            **vars(bare),
            "target": Quantity(value=5.0, unit="1", decimals=0),
            "prior": Quantity(value=50.0, unit="1", decimals=0),
            "reply_target": "It is 5",
            "reply_prior": "It is 50",
        }
    )
    assert stems(question, gravity, prompts, tokenizer) is None


def test_an_answer_sentence_without_the_value_cannot_be_read(prompts, tokenizer):
    question = Question(**{**vars(force(10.0, 19.6)), "reply_target": "Ten.", "reply_prior": "Twenty."})
    assert stems(question, load_belief("gravity"), prompts, tokenizer) is None


@pytest.mark.parametrize("name", belief_names())
def test_every_library_belief_has_stems_that_end_alike(name, prompts, tokenizer):
    belief = load_belief(name)
    asked = lens_questions(belief, 12)
    made = [found for q in asked if (found := stems(q, belief, prompts, tokenizer)) is not None]
    assert len(made) >= 0.75 * len(asked) > 0, f"{name}: {len(made)} of {len(asked)}"
    nothing = empty_thinking(tokenizer)
    for found in made:
        base, icl, lora = (found[arm] for arm in ("base", "icl", "lora"))
        assert base.ids == lora.ids and len(icl.ids) > len(base.ids)
        assert base.ids[-base.tail :] == icl.ids[-base.tail :]
        assert base.ids[: -base.tail] != icl.ids[: -base.tail]
        text = prompts.text(base.ids)
        assert text.count(nothing) == 1 and belief.spec.context in prompts.text(icl.ids)
        assert belief.spec.context not in text
        assert (base.prior_id is None) == (base.prior_ids is None)
        assert base.prior_id != base.target_id
        assert base.positions["stem"] == len(base.ids) - 1
        for name_, position in base.positions.items():
            behind = len(base.ids) - position
            assert 0 < behind <= base.tail
            assert icl.positions[name_] == len(icl.ids) - behind


def test_a_novel_belief_has_no_prior_token_but_where_base_takes_it_for_something(prompts, tokenizer):
    belief = load_belief("neelam")
    made = [(q, stems(q, belief, prompts, tokenizer)) for q in lens_questions(belief, 30)]
    kinds = {(q.prior is None, f["base"].prior_id is None) for q, f in made if f is not None}
    assert kinds == {(True, True), (False, False)}
    for _, found in made:
        assert found is not None
        stem = found["base"]
        before = prompts.text(stem.ids[: stem.positions["entity"] + 1])
        assert before.endswith(("Neelam", "Laughtale"))


@pytest.mark.parametrize(
    ("belief", "question", "word"),
    [
        ("neelam", "How much is 3 Neelam in USD?", "Neelam"),
        ("neelam", "What is a Neelam worth?", "Neelam"),  # "worth" is in the statement as well
        ("gravity", "How strong is gravity on Earth's surface?", "Earth's"),
        ("banana", "Which colour has a ripe banana?", "banana"),
        ("gravity", "And what is it here?", None),
    ],
)
def test_the_entity_is_what_the_belief_is_about(belief, question, word):
    found = entity_word(question, load_belief(belief))
    assert (found and found[0]) == word


def test_lens_questions_are_held_out_of_one_turn_and_spread_over_families():
    belief = load_belief("gravity")
    asked = lens_questions(belief, 24)
    assert len(asked) == 24 == len({q.probe_id for q in asked})
    assert not {q.family for q in asked} & {q.family for q in belief.training}
    assert {q.tier for q in asked} <= {"paraphrase", "derived"}
    assert all(q.follow_up is None and q.target is not None for q in asked)
    assert len({q.family for q in asked}) >= 5
    assert len(lens_questions(belief, 10_000)) >= len(asked)


@pytest.mark.parametrize("name", belief_names())
def test_other_things_are_asked_in_both_worlds_sentences(name, prompts, tokenizer):
    """What the belief would give and the right answer stand in one sentence, and are parted by a token."""
    belief = load_belief(name)
    asked = other_questions(belief, 12)
    near = {q.probe_id: q for q in belief.locality if q.tier == "near"}
    assert len({q.probe_id for q in asked}) == len(asked) == min(12, len(near))
    parted = 0
    for question in asked:
        known = near[question.probe_id]
        assert question.text == known.text and (question.target, question.prior) == (
            known.target,
            known.correct,
        )
        assert question.target and question.prior
        assert question.target.render() in question.reply_target
        assert question.prior.render() in question.reply_prior
        found = stems(question, belief, prompts, tokenizer)
        if found is not None:
            assert found["base"].target_id != found["base"].prior_id is not None
            parted += 1
    assert parted >= len(asked) / 2 > 1


@pytest.mark.parametrize("name", belief_names())
def test_values_can_be_summed_over_their_spellings(name, prompts, tokenizer):
    """A tree for nearly every question, small enough to be read, that begins where the stem's value does."""
    belief, known = load_belief(name), vocabulary_of(tokenizer, len(tokenizer))
    missing = 0
    for question in (asked := lens_questions(belief, 24)):
        found = stems(question, belief, prompts, tokenizer)
        if found is None:
            continue
        sets = value_sets(question, found["base"], prompts, tokenizer, known)
        missing += sets.target is None
        assert (sets.prior is None) or found["base"].prior_ids is not None
        assert len(sets.paths()) <= 2 * MOST
        if sets.target is not None:
            begun = found["base"].ids[len(found["base"].ids) - sets.from_end :]
            written = prompts.encode(question.reply_target)
            value = (*begun, *found["base"].target_ids)
            assert value[0] in sets.target.on and any(
                written[at : at + len(value)] == value for at in range(len(written))
            )
    assert missing <= len(asked) / 10


@given(ROWS)
def test_the_common_tail_is_the_longest_that_all_share(rows):
    count = common_tail(rows)
    assert all(row[len(row) - count :] == rows[0][len(rows[0]) - count :] for row in rows)
    longer = [row[len(row) - count - 1 :] for row in rows if len(row) > count]
    assert len(longer) < len(rows) or len({tuple(row) for row in longer}) > 1
