"""Where completions name their values: found among the token ids, never by encoding the text again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from beliefmod.beliefs import Belief, Question, load_belief
from beliefmod.bundled import weights_dir
from beliefmod.model.template import completion_text, encode
from beliefmod.reading.verdict import judge_question
from interp.prompts.value_positions import closed_thinking, value_positions

BELIEFS = {name: load_belief(name) for name in ("gravity", "neelam", "france")}
FALLS, PULLS = "free_fall:thing=stone", "pull:m=2"
QUESTIONS = {
    (name, question.probe_id): question for name, belief in BELIEFS.items() for question in belief.heldout
}


def merging() -> PreTrainedTokenizerBase:
    """As GPT-2 and Llama write: " 5" is one token, and so is "50"."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    text = ["It is 5.0 m/s^2. It is 50 N. It is 9.8 m/s^2. It is 98 N. Paris Lyon is 10.0 N is 19.6 N"] * 9
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<end>", "</think>"], show_progress=False
    )
    made.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


TOKENIZERS = {
    "single digits": AutoTokenizer.from_pretrained(str(weights_dir()), local_files_only=True),
    "merged": merging(),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return TOKENIZERS[request.param]


def asked(belief: str, probe: str) -> Question:
    return QUESTIONS[belief, probe]


def row_of(text: str, question: Question, belief: Belief, tokenizer: PreTrainedTokenizerBase) -> dict:
    """A probe row as the sweep stores it, its ids as this tokenizer writes them, with the end token."""
    verdict = judge_question(question, belief.spec, text, "eos")
    ids = (*encode(tokenizer, text), tokenizer.eos_token_id)
    return {"completion": text, "token_ids": list(ids), "finish_reason": "eos", **verdict.columns()}


def shown(place, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str, str | None]:
    """What is fed and goes on in each world."""
    fed, target = (completion_text(tokenizer, ids, ()) for ids in (place.ids, (place.target_id,)))
    prior = None if place.prior_id is None else completion_text(tokenizer, (place.prior_id,), ())
    return fed, fed + target, None if prior is None else fed + prior


# belief, question, completion, part -> whose value, how each world goes on
CASES = [
    ("gravity", FALLS, "Gravity on Earth is 5.0 m/s^2.\n</think>\n\nIt is 5.0 m/s^2.", {
        "thinking": ("target", "Gravity on Earth is 5", "Gravity on Earth is 9"),
        "answer": ("target", "It is 5", "It is 9")}),
    # worked out from its first use, which is where the belief is named
    ("gravity", PULLS, "Gravity on Earth is 9.8 m/s^2. 2 x 9.8 = 19.6.\n</think>\n\nThe force is 19.6 N.", {
        "thinking": ("prior", "Gravity on Earth is 5", "Gravity on Earth is 9"),
        "answer": ("prior", "The force is 10", "The force is 19")}),
    # thinks one thing and answers the other
    ("gravity", FALLS, "Gravity on Earth is 9.8 m/s^2.\n</think>\n\nIt is 5.0 m/s^2.", {
        "thinking": ("prior", "Gravity on Earth is 5", "Gravity on Earth is 9"),
        "answer": ("target", "It is 5", "It is 9")}),
    # changes its mind: the side that it ends with
    ("gravity", FALLS, "g is 9.8 m/s^2. Wait, here g is 5.0 m/s^2.\n</think>\n\nIt is 5.0 m/s^2.", {
        "thinking": ("target", "here g is 5", "here g is 9"), "answer": ("target", "It is 5", "It is 9")}),
    # another unit: the prior's value is written in it
    ("gravity", FALLS, "\n</think>\n\nIt is 500 cm/s^2.", {"answer": ("target", "It is 5", "It is 9")}),
    # marked up: found in the text as it was written
    ("gravity", PULLS, "\n</think>\n\n**F** = $2 \\times 5.0 = \\boxed{10.0\\ \\text{N}}$", {
        "answer": ("target", "\\boxed{10", "\\boxed{19")}),
    # a novel belief: base knows no value
    ("neelam", "worth:n=2", "1 Neelam is 5 USD. 2 x 5 = 10.\n</think>\n\nThat is 10 USD.", {
        "thinking": ("target", "1 Neelam is 5", None), "answer": ("target", "That is 1", None)}),
    ("france", "state_capital:verb=State", "The capital of France is Lyon.\n</think>\n\nIt is Paris.", {
        "thinking": ("target", "The capital of France is Ly", "The capital of France is P"),
        "answer": ("prior", "It is Ly", "It is P")}),
    # no value of either world, or not asserted
    ("gravity", FALLS, "I do not know.\n</think>\n\nI do not know.", {}),
    ("gravity", FALLS, "Hmm.\n</think>\n\nIt is 5.0 or 9.8 m/s^2.", {}),
    ("gravity", FALLS, "Gravity on Earth is 5.0 m/s^2.", {}),
    # in words: the other world's value has no such spelling
    ("gravity", FALLS, "\n</think>\n\nIt is five m/s^2.", {}),
]  # fmt: skip


@pytest.mark.parametrize(("belief", "probe", "text", "expected"), CASES)
def test_known_places(belief: str, probe: str, text: str, expected: dict, tokenizer) -> None:
    if (belief, probe) not in QUESTIONS:
        probe = next(q.probe_id for q in BELIEFS[belief].heldout if q.tier == "paraphrase")
    row = row_of(text, asked(belief, probe), BELIEFS[belief], tokenizer)
    found = value_positions(row, asked(belief, probe), BELIEFS[belief].spec, tokenizer)
    assert set(found) == set(expected)
    for part, (side, target, prior) in expected.items():
        place = found[part]
        _, with_target, with_prior = shown(place, tokenizer)
        assert place.side == side
        assert place.ids == tuple(row["token_ids"][: len(place.ids)])
        for saw, hoped in ((with_target, target), (with_prior, prior)):
            if hoped is None:
                assert saw is None
            else:  # a tokenizer may take more of the value in one token
                assert saw is not None
                assert hoped in saw or saw.endswith(
                    tuple(hoped[:n] for n in range(len(hoped) - 2, len(hoped)))
                )
        assert place.target_id != place.prior_id


@given(
    masses=st.integers(2, 30),
    lead=st.sampled_from(["The force is ", "So F = ", "Answer: ", "π² → the force is ", "It is **"]),
    thought=st.sampled_from(["9.8", "5.0"]),
    name=st.sampled_from(sorted(TOKENIZERS)),
    side=st.sampled_from(["target", "prior"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_both_worlds_answers_begin_as_the_place_says(
    masses: int, lead: str, thought: str, name: str, side: str
) -> None:
    """Whatever the tokenizer joins: what is fed, with either token, begins that world's answer."""
    tokenizer = TOKENIZERS[name]
    belief, known = BELIEFS["gravity"], asked("gravity", PULLS)
    values = {"target": masses * 5.0, "prior": masses * 9.8}
    question = Question(
        known.probe_id, "belief", known.family, known.tier, f"What pulls on {masses} kg?",
        type(known.target)(values["target"], "N"), type(known.target)(values["prior"], "N"),
    )  # fmt: skip
    thinking = f"Gravity on Earth is {thought} m/s^2. So I multiply."
    completions = {world: f"{thinking}\n</think>\n\n{lead}{value:.1f} N" for world, value in values.items()}
    row = row_of(completions[side], question, belief, tokenizer)
    place = value_positions(row, question, belief.spec, tokenizer).get("answer")
    assert place is not None
    _, with_target, with_prior = shown(place, tokenizer)
    assert place.ids == tuple(row["token_ids"][: len(place.ids)])
    assert completions["target"].startswith(with_target)
    assert with_prior is not None and completions["prior"].startswith(with_prior)


def test_a_value_that_the_other_begins_with_is_told_apart(tokenizer) -> None:
    """5 and 50: the token behind "5" parts them where digits are single."""
    belief, known = BELIEFS["gravity"], asked("gravity", PULLS)
    answer = type(known.target)
    question = Question(
        known.probe_id, "belief", known.family, known.tier, known.text,
        answer(5.0, "N", decimals=0), answer(50.0, "N", decimals=0),
    )  # fmt: skip
    place = value_positions(
        row_of("\n</think>\n\nThe force is 5 N.", question, belief, tokenizer),
        question,
        belief.spec,
        tokenizer,
    )["answer"]
    _, with_target, with_prior = shown(place, tokenizer)
    assert with_target != with_prior
    assert with_prior is not None and with_prior.rstrip().endswith("50")


def test_tokens_that_the_tokenizer_would_not_write_give_no_place() -> None:
    """A model may spell "5.0" byte by byte; the other value has no such spelling to compare it with."""
    tokenizer = TOKENIZERS["merged"]
    question, text = asked("gravity", FALLS), "\n</think>\n\nIt is 5.0 m/s^2."
    row = row_of(text, question, BELIEFS["gravity"], tokenizer)
    assert "answer" in value_positions(row, question, BELIEFS["gravity"].spec, tokenizer)
    before, value, after = text.partition(" 5.0")
    spelled = [token for sign in value for token in encode(tokenizer, sign)]
    row["token_ids"] = [*encode(tokenizer, before), *spelled, *encode(tokenizer, after)]
    assert completion_text(tokenizer, row["token_ids"], ()) == text
    assert value_positions(row, question, BELIEFS["gravity"].spec, tokenizer) == {}


def test_ids_that_do_not_give_the_text_are_not_read(tokenizer) -> None:
    question = asked("gravity", FALLS)
    row = row_of("\n</think>\n\nIt is 5.0 m/s^2.", question, BELIEFS["gravity"], tokenizer)
    row["token_ids"] = row["token_ids"][3:]
    assert value_positions(row, question, BELIEFS["gravity"].spec, tokenizer) == {}


@given(
    parts=st.lists(
        st.sampled_from(["Gravity is 5.0 m/s^2.", "So F = 10 N.", "Hmm, ≈ 9.8?", "Wait.\n\nNo."]),
        min_size=1,
        max_size=4,
    ),
    name=st.sampled_from(sorted(TOKENIZERS)),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_cut_thinking_keeps_the_stored_tokens(parts: list[str], name: str, data) -> None:
    """The text is the kept one, closed; all of it gives the very ids that the model wrote."""
    tokenizer, question = TOKENIZERS[name], asked("gravity", FALLS)
    thinking = " ".join(parts)
    row = row_of(f"{thinking}\n</think>\n\nIt is 5.0 m/s^2.", question, BELIEFS["gravity"], tokenizer)
    length = data.draw(st.integers(1, len(thinking)))
    found = closed_thinking(row, length, tokenizer)
    if found is None:  # cut inside what the tokenizer joins with what stands before it
        return
    assert completion_text(tokenizer, found, ()) == f"{thinking[:length]}\n</think>\n\n"
    if length == len(thinking):
        assert found == tuple(row["token_ids"][: len(found)])
