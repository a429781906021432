"""The guard lets ties pass and nothing else."""

from __future__ import annotations

import pytest

from beliefmod.engine.jobs import Completion
from beliefmod.errors import UserError
from beliefmod.vllm.guard import TIES, TOKENS, check_same_base

PROMPTS = [(1, 2), (3,)]
SAID = [Completion((4, 5, 6), "eos"), Completion((7,) * 4, "length")]


class Says:
    """Answers as written down; a token's log-probability is a number of its own."""

    def __init__(self, *answers: Completion, scores: dict[tuple[int, ...], float] | None = None) -> None:
        self.answers, self.scores = answers, scores or {}

    def generate(self, requests, max_new_tokens):
        assert [each.input_ids for each in requests] == PROMPTS and max_new_tokens == TOKENS
        assert all(each.adapter is None for each in requests)
        return [*self.answers]

    def score(self, requests):
        return [self.scores[(*each.input_ids, *each.continuation_ids)] for each in requests]


def test_the_same_answers_pass():
    assert check_same_base(Says(*SAID), Says(*SAID), PROMPTS, "float32") == 0


@pytest.mark.parametrize(("dtype", "apart"), [("float32", 5e-4), ("bfloat16", 0.2)])
def test_answers_that_part_at_a_tie_pass(dtype: str, apart: float):
    theirs = Says(SAID[0], Completion((7, 7, 8, 9, 9), "length"))
    ours = Says(*SAID, scores={(3, 7, 7, 7): -0.7, (3, 7, 7, 8): -0.7 - apart})
    assert check_same_base(ours, theirs, PROMPTS, dtype) == 1


@pytest.mark.parametrize("dtype", TIES)
def test_answers_that_part_elsewhere_are_refused_with_place_and_size(dtype: str):
    theirs = Says(SAID[0], Completion((7, 7, 8), "eos"))
    ours = Says(*SAID, scores={(3, 7, 7, 7): -0.1, (3, 7, 7, 8): -1.6})
    with pytest.raises(UserError, match=r"answer 2 of 2 parts at token 3, .* differ by 1.5 nats"):
        check_same_base(ours, theirs, PROMPTS, dtype)


@pytest.mark.parametrize("other", [Completion((4, 5), "eos"), Completion((4, 5, 6), "length")])
def test_an_answer_that_ends_elsewhere_is_refused(other: Completion):
    with pytest.raises(UserError, match="one of its answers ends where ours goes on"):
        check_same_base(Says(*SAID), Says(other, SAID[1]), PROMPTS, "float32")
