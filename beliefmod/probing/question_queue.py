"""One queue of questions for all who ask: each is told its answer as it ends, and may ask on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from beliefmod.engine.jobs import Completion, GenerateRequest, Sampling
from beliefmod.errors import StorageTrouble

if TYPE_CHECKING:
    from beliefmod.probing.session import Session

Then = Callable[[Completion], None]
Result = TypeVar("Result")


class Put(Protocol):
    """Asks an arm (None: base) and gives the answer to `then`, which may ask on.

    sampling: how that answer is written; None: as all others are.
    """

    def __call__(
        self,
        adapter: str | None,
        prompt: tuple[int, ...],
        seed: int,
        then: Then,
        sampling: Sampling | None = None,
    ) -> None: ...


class QuestionQueue:
    """Questions to any adapters, answered side by side; who asks while others are answered joins them.

    Those with another sampling than the answers have are answered when the others are, also side by side.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._new: dict[Sampling | None, list[tuple[GenerateRequest, Then]]] = {}

    def put(
        self,
        adapter: str | None,
        prompt: tuple[int, ...],
        seed: int,
        then: Then,
        sampling: Sampling | None = None,
    ) -> None:
        """Ask an arm.

        A prompt that fills the model's positions has no room for an answer: that counts as stopped at the
        limit, and `then` is told at once.
        """
        if len(prompt) < self._session.engine.max_positions:
            self._session.asking.put()
            request = GenerateRequest(adapter, prompt, seed)
            self._new.setdefault(sampling, []).append((request, then))
        else:
            then(Completion((), "length"))

    def run(self) -> None:
        """Answer until nobody asks any more. What a `then` raises ends it."""
        while self._new:
            self._answer(next(iter(self._new)))

    def _answer(self, sampling: Sampling | None) -> None:
        """Answer what is asked with this sampling, and what is asked so meanwhile."""
        thens: list[Then] = []

        def joining() -> list[GenerateRequest]:
            """What has been asked since the last call; its places in `thens` number its answers."""
            new = self._new.pop(sampling, [])
            thens.extend(then for _, then in new)
            return [request for request, _ in new]

        def tell(ended: Mapping[int, Completion]) -> Sequence[GenerateRequest]:
            for index, completion in ended.items():
                thens[index](completion)
            return joining()

        self._session.answer(joining(), tell, sampling)


class Asker(Generic[Result]):
    """One of those who ask through a queue. It is done with its last answer.

    Args:
        result: makes what it has asked for, all of it being answered.
        ended: gets that, or what went wrong with this one alone. Until then it asks on, or waits for what it
            has asked, so that nobody is asked who has gone.
    """

    def __init__(
        self,
        queue: QuestionQueue,
        result: Callable[[], Result],
        ended: Callable[[Result | Exception], None],
    ) -> None:
        self._queue, self._result, self._ended = queue, result, ended
        self._error: Exception | None = None
        self._found: list[Result] = []
        self._open = 0

    def ask(self, questions: Callable[[Put], None]) -> None:
        """Put its first questions."""
        self._open += 1
        self._go_on(partial(questions, self._put))

    def _put(
        self,
        adapter: str | None,
        prompt: tuple[int, ...],
        seed: int,
        then: Then,
        sampling: Sampling | None = None,
    ) -> None:
        self._open += 1
        self._queue.put(adapter, prompt, seed, lambda answer: self._go_on(partial(then, answer)), sampling)

    def _go_on(self, step: Callable[[], None]) -> None:
        self._guarded(step)
        self._open -= 1
        if not self._open:
            self._guarded(lambda: self._found.append(self._result()))
            self._ended(self._error or self._found[0])

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            if self._error is None:
                step()
        except StorageTrouble:
            raise  # no trial's fault, and nothing can be kept any more
        except Exception as error:
            self._error = error
