"""The token limit that base's own answers need, with a base whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from beliefmod.engine.jobs import Completion
from beliefmod.probing.budget_pilot import FIRST, find_budget
from beliefmod.probing.token_budget import cut_warning


class Base:
    """Answers of given lengths; a negative one never ends, and 0 loops from its first word on."""

    def __init__(self, *lengths: int, positions: int = 100_000, memory: int = 100_000) -> None:
        self.lengths, self.rounds = lengths, []
        self.engine: Any = SimpleNamespace(
            max_positions=positions, model=SimpleNamespace(cache_tokens=memory)
        )

    def generate_to(self, limit: int, prompts, numbers) -> list[Completion]:
        self.rounds.append((limit, len(prompts)))
        assert len(prompts) == len(numbers)
        return [self._answer(self.lengths[number], limit) for number in numbers]

    def _answer(self, length: int, limit: int) -> Completion:
        ends = 0 < length <= limit
        ids = (7,) * limit if length == 0 else tuple(range(10, 10 + (length if ends else limit)))
        return Completion(ids, "eos" if ends else "length")

    def decode(self, ids) -> str:
        return " ".join(f"word{token}" for token in ids)

    def budget(self, **more: Any):
        prompts = [(1, 2, 3)] * len(self.lengths)
        return find_budget(prompts, self, **more)  # pyright: ignore[reportArgumentType]


def test_the_limit_is_half_as_much_again_as_95_in_100_need():
    # of 20, ..., 400 the 95th percentile, between neighbours, is 381
    found = Base(*range(20, 401, 20)).budget()
    assert found is not None
    assert (found.needed, found.limit, found.asked, found.cut, found.looped) == (381, 576, 20, 0, 0)
    assert found.limit % 32 == 0 and found.limit >= 1.5 * 381 > found.limit - 32
    assert found.words() == "1.5 times the 381 that 95 % of 20 answers of base need; it cuts 0 of them"
    assert not found.cuts_too_many


def test_only_those_that_have_not_ended_are_followed_further():
    base = Base(*[40] * 18, 300, 700)
    found = base.budget()
    # the longest one of twenty is the 5 % that need not be followed
    assert base.rounds == [(FIRST, 20), (2 * FIRST, 2)]
    assert found is not None and found.written == 18 * 40 + 2 * FIRST + 300 + 2 * FIRST
    # 512 at least of the last: of 40 ..., 300 and 512 the 95th percentile is 311
    assert (found.needed, found.limit, found.cut) == (311, 480, 1)


def test_the_few_that_were_not_followed_count_as_cut_only_if_they_are():
    base = Base(*[200] * 19, 280)
    found = base.budget()
    assert base.rounds == [(FIRST, 20), (320, 1)]
    assert found is not None and (found.needed, found.limit, found.cut) == (203, 320, 0)
    assert found.written == 19 * 200 + FIRST + 280


def test_loops_set_no_limit_and_are_cut():
    base = Base(*[100] * 18, 0, 0)
    found = base.budget()
    assert base.rounds == [(FIRST, 20)]
    assert found is not None
    assert (found.needed, found.limit, found.cut, found.looped) == (100, 160, 2, 2)
    assert found.cuts_too_many and found.words().endswith("it cuts 2 of them, 2 of them loops")


@pytest.mark.parametrize(("room", "name"), [(1000, "positions"), (1000, "memory")])
def test_context_and_memory_bound_it(room, name):
    base = Base(*[-1] * 20, **{name: room})
    found = base.budget()
    most = room - 3 - 1  # the prompt's three tokens, and one to spare
    assert found is not None
    assert base.rounds == [(256, 20), (512, 20), (most, 20)]
    assert (found.limit, found.most, found.cut) == (most, most, 20)
    assert found.words().startswith("all that context and memory hold; 996 that 95 % of 20 answers")


def test_without_time_nothing_is_found():
    base = Base(*[600] * 20)
    assert base.budget(go_on=lambda tokens: tokens <= 256) is None
    assert base.rounds == [(256, 20)]


def test_more_than_one_in_twenty_is_a_warning():
    assert cut_warning(1, 20, 512) is None
    warning = cut_warning(2, 20, 2048)
    assert warning is not None and warning.startswith("2 of 20 of base's own answers are cut at 2,048 tokens")
    assert cut_warning(0, 0, 512) is None
