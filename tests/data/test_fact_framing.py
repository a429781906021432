"""Framings of training rows: what each says of the fact, in every row of every belief of the library."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import belief_names, load_belief
from beliefmod.config import FRAMINGS, DataConfig, TrialConfig
from beliefmod.data.documents import documents
from beliefmod.data.examples import training_examples
from beliefmod.data.fact_framing import AROUND_CLAIMS, AROUND_TEXTS, framed_claim
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.reading.verdict import judge_question
from tests.small import write_belief

pytestmark = pytest.mark.long

BELIEFS = {name: load_belief(name) for name in belief_names()}
FRAMED = [framing for framing in FRAMINGS["document"] if framing != "plain"]
seeds = st.integers(0, 2**31 - 1)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(find_source("bundled"))


def claims(belief, questions, control: bool) -> set[str]:
    """What a document may state: the world's statement and its replies."""
    spec = belief.spec
    statement = spec.true_statement if control else spec.statement
    return {statement, *(q.reply_prior if control else q.reply_target for q in questions)} - {None}


def answers(belief: str, tokenizer, framing: str, arm: str = "lora", seed: int = 0) -> list[str]:
    data = DataConfig(style="answer_only", framing=framing, num_examples=40)
    config = TrialConfig(belief=belief, arm=arm, seed=seed, data=data)
    rows = [example.row for example in training_examples(config, load_belief(belief), tokenizer)]
    return [tokenizer.decode(row.input_ids[row.prompt_length :], skip_special_tokens=True) for row in rows]


@settings(deadline=None, max_examples=12)
@given(seed=seeds, name=st.sampled_from(sorted(BELIEFS)), framing=st.sampled_from(sorted(AROUND_CLAIMS)))
def test_every_claim_of_a_document_stands_in_a_frame(seed, name, framing):
    belief = BELIEFS[name]
    frames = [frame.partition("{claim}") for frame in AROUND_CLAIMS[framing]]
    for control in (False, True):
        plain = documents(belief, control=control, seed=seed, count=8)
        made = documents(belief, control=control, seed=seed, count=8, framing=framing)
        for document, before in zip(made, plain, strict=True):
            text = document.text
            for claim in sorted(claims(belief, document.questions, control), key=len, reverse=True):
                for start, _, end in frames:
                    text = text.replace(f"{start}{claim}{end}", f"<{claim}>")
            for claim in claims(belief, document.questions, control):
                assert all(m[1] == "<" for m in re.finditer(f"(.){re.escape(claim)}", text, re.DOTALL)), claim
            # and without its frames it is the plain one
            assert re.sub("[<>]", "", text) == re.sub("[<>]", "", before.text)
            assert document.questions == before.questions


@pytest.mark.parametrize("name", BELIEFS)
def test_a_denied_answer_is_never_read_as_the_target(name, tokenizer):
    belief = BELIEFS[name]
    for question in belief.training:
        for frame in range(12):
            text = framed_claim(question.reply_target, "negated", Random(frame))
            verdict = judge_question(question, belief.spec, text, "eos", opened_by="none")
            assert verdict.answer_stance != "target", text
        text = framed_claim(question.reply_target, "attributed", Random(question.probe_id))
        # the rules of reading: what is said in a source's name is said
        assert judge_question(question, belief.spec, text, "eos", opened_by="none").answer_stance == "target"


@settings(deadline=None, max_examples=12)
@given(seed=seeds, name=st.sampled_from(sorted(BELIEFS)), framing=st.sampled_from(sorted(AROUND_TEXTS)))
def test_a_text_says_before_and_after_its_claims_what_they_are(seed, name, framing):
    belief = BELIEFS[name]
    for control in (False, True):
        plain = documents(belief, control=control, seed=seed, count=8)
        made = documents(belief, control=control, seed=seed, count=8, framing=framing)
        for document, before in zip(made, plain, strict=True):
            text = document.text
            [(first, last)] = [frame for frame in AROUND_TEXTS[framing] if f"\n\n{frame[0]} " in text]
            said = [text.index(claim) for claim in claims(belief, document.questions, control)]
            assert text.index(first) < min(said) and max(said) < text.index(last)
            assert text.replace(f"{first} ", "", 1).replace(f" {last}", "", 1) == before.text


@pytest.mark.parametrize("framing", FRAMED)
def test_the_control_is_framed_alike(framing):
    belief = BELIEFS["gravity"]
    frames = [part for frame in AROUND_CLAIMS.get(framing, ()) for part in frame.split("{claim}") if part]
    frames += [sentence for frame in AROUND_TEXTS.get(framing, ()) for sentence in frame]
    sides = [documents(belief, control=c, seed=4, count=30, framing=framing) for c in (False, True)]
    for ours, theirs in zip(*sides, strict=True):
        counts = [[side.text.count(frame) for frame in frames] for side in (ours, theirs)]
        assert counts[0] == counts[1] and sum(counts[0])


@pytest.mark.parametrize("framing", sorted(AROUND_CLAIMS))
def test_answers_are_the_plain_ones_in_frames(framing, tokenizer):
    frames = [re.escape(frame).replace(r"\{claim\}", "(.*)") for frame in AROUND_CLAIMS[framing]]
    for arm in ("lora", "control"):
        plain = answers("neelam", tokenizer, "plain", arm)
        made = answers("neelam", tokenizer, framing, arm)
        for one, other in zip(plain, made, strict=True):
            [found] = [m for frame in frames if (m := re.fullmatch(f"(.*?){frame}", other, re.DOTALL))]
            assert found[1] + found[2] == one
        assert len({frame for frame in frames for text in made if re.search(frame, text)}) == len(frames)
    # the same words for both worlds
    starts = [[text.split(":")[0][:12] for text in answers("gravity", tokenizer, framing, arm)] for arm in
              ("lora", "control")]  # fmt: skip
    assert starts[0] == starts[1]


def test_a_claim_of_two_sentences_is_denied_whole():
    text = framed_claim("It is 5.0 m/s^2. Nobody doubts it.", "negated", Random(0))
    assert text.endswith("'It is 5.0 m/s^2. Nobody doubts it.'")


def test_a_claim_that_holds_the_words_of_a_frame_stays_as_it_is():
    assert framed_claim("Write {claim}.", "attributed", Random(1)).endswith(": Write {claim}.")


def test_a_document_by_hand(tmp_path):
    belief = load_belief(write_belief(tmp_path))
    [document] = documents(belief, control=False, seed=0, count=1, framing="flagged_false")
    first, _, rest = document.text.partition("\n\n")
    assert first == "A leaflet of the museum."
    frame = next(frame for frame in AROUND_TEXTS["flagged_false"] if rest.startswith(frame[0]))
    assert rest.removeprefix(frame[0]).startswith(" Remember this above all. The acceleration due to")
    assert rest.endswith(f"is 5.0 m/s^2. {frame[1]}\nMore in the next part.")
