"""One queue for all who ask: each gets its answers, may ask on, and is done with its last answer."""

from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.engine.jobs import Completion, Sampling
from beliefmod.errors import StorageTrouble
from beliefmod.probing.asking_progress import AskingProgress
from beliefmod.probing.question_queue import Asker, QuestionQueue

POSITIONS = 50
HOT = Sampling(temperature=1.0)


class Answers:
    """Answers every prompt with its own tokens and whether it was sampled, in an order that the test draws, a
    few at a time."""

    engine = SimpleNamespace(max_positions=POSITIONS)

    def __init__(self, order) -> None:
        self.order, self.asked, self.asking = order, 0, AskingProgress()

    def answer(self, requests, on_end, sampling=None) -> None:
        waiting = list(enumerate(requests))
        asked, self.asked = len(waiting), self.asked + len(waiting)
        while waiting:
            self.order.shuffle(waiting)
            count = self.order.randint(1, len(waiting))
            ended, waiting = waiting[:count], waiting[count:]
            hot = int(sampling == HOT)
            more = on_end({index: Completion((*request.input_ids, hot), "eos") for index, request in ended})
            waiting += list(enumerate(more, asked))
            asked += len(more)
            self.asked += len(more)


def prompt(trial: int, number: int, turn: int) -> tuple[int, ...]:
    return (1, trial, number, turn)


class Trial:
    """Asks some questions, each of so many turns, of which every other one is sampled; the question that is
    `broken` cannot read an answer."""

    def __init__(self, number: int, turns: list[int], broken: int | None) -> None:
        self.number, self.turns, self.broken = number, turns, broken
        self.got: list[tuple[int, int]] = []
        self.done: list[list[tuple[int, int]] | Exception] = []

    def ask(self, put) -> None:
        for question, turns in enumerate(self.turns):
            self.turn(put, question, 1, turns)

    def turn(self, put, question: int, turn: int, turns: int) -> None:
        def then(answer: Completion) -> None:
            assert not self.done
            assert answer.token_ids == (*prompt(self.number, question, turn), turn % 2)
            if question == self.broken:
                raise ValueError(f"trial {self.number} cannot read this")
            self.got.append((question, turn))
            if turn < turns:
                self.turn(put, question, turn + 1, turns)

        put(None, prompt(self.number, question, turn), 0, then, sampling=HOT if turn % 2 else None)


@given(
    st.lists(st.lists(st.integers(1, 4), max_size=5), max_size=6),
    st.lists(st.none() | st.integers(0, 4), min_size=6, max_size=6),
    st.randoms(use_true_random=False),
)
def test_each_is_done_once_with_its_last_answer_whatever_the_others_do(turns, broken, order):
    answers = Answers(order)
    queue = QuestionQueue(answers)  # type: ignore[arg-type]
    trials = [Trial(*each) for each in zip(range(len(turns)), turns, broken, strict=False)]
    for trial in trials:
        Asker(queue, lambda trial=trial: sorted(trial.got), trial.done.append).ask(trial.ask)
    queue.run()
    for trial in trials:
        [result] = trial.done
        if trial.broken is not None and trial.broken < len(trial.turns):
            assert str(result) == f"trial {trial.number} cannot read this"
        else:
            assert result == [(q, 1 + turn) for q, count in enumerate(trial.turns) for turn in range(count)]
    if not any(isinstance(trial.done[0], Exception) for trial in trials):
        assert answers.asked == sum(map(sum, turns))


def test_a_prompt_that_leaves_no_room_is_told_at_once_and_who_asks_it_is_not_done_before_the_rest():
    queue = QuestionQueue(Answers(Random(0)))  # type: ignore[arg-type]
    got, done = [], []

    def ask(put) -> None:
        put("a", (7,) * POSITIONS, 0, got.append)
        assert got == [Completion((), "length")] and not done
        put("a", (7,) * (POSITIONS - 1), 0, got.append)

    Asker(queue, lambda: len(got), done.append).ask(ask)
    assert not done
    queue.run()
    assert done == [2]


def test_storage_that_fails_ends_the_queue():
    queue = QuestionQueue(Answers(Random(0)))  # type: ignore[arg-type]
    done = []

    def full(answer: Completion) -> None:
        raise StorageTrouble("runs/x: cannot be written (No space left on device)")

    Asker(queue, list, done.append).ask(lambda put: put(None, (1,), 0, full))
    with pytest.raises(StorageTrouble):
        queue.run()
    assert not done


def test_a_result_that_cannot_be_made_is_its_own_trials_trouble():
    queue = QuestionQueue(Answers(Random(1)))  # type: ignore[arg-type]
    done = []

    def impossible() -> int:
        raise ValueError("no table")

    for make in (impossible, lambda: 1):
        Asker(queue, make, done.append).ask(lambda put: put(None, (1,), 0, lambda answer: None))
    queue.run()
    assert sorted(map(str, done)) == ["1", "no table"]
