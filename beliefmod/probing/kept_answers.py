"""An engine that is asked only what is not known yet.

An answer's key is the digest of all that decides it: model, code, weights of the adapter, prompt, limit and,
where sampled, seed and sampling.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from beliefmod.engine.jobs import (
    GREEDY,
    Completion,
    DriftRequest,
    DriftResult,
    EngineError,
    GenerateRequest,
    OnEnd,
    Sampling,
    ScoreRequest,
)
from beliefmod.probing.answer_identity import about, digest
from beliefmod.probing.answer_store import AnswerStore

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel

BASE = "base"
"""The owner of base's answers in a run's folder."""
Request = TypeVar("Request", GenerateRequest, ScoreRequest, DriftRequest)
Answer = TypeVar("Answer")


class AnswerWriter(Protocol):
    """An engine beside ours that writes completions.

    Attributes:
        name: which engine wrote an answer, as rows have it.
        identity: what decides its answers beside the model.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> Mapping[str, str]: ...

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
        on_end: OnEnd | None = None,
    ) -> list[Completion]:
        """As `Engine.generate`."""
        ...


@dataclass(frozen=True)
class _Place:
    """Where the answers of one arm are kept. source: the digest of all but the request that decides them."""

    store: AnswerStore
    owner: str
    source: str


class _Book(Generic[Request, Answer]):
    """The requests of one call with what is known of them.

    Args:
        place: where answers to an arm and kind of request are kept; it reads the arm's weights.
        content: what of a request decides its answer, adapter apart.
        read: an answer from its JSON, None where it is no such answer.

    Attributes:
        keys: of each request, where its answer is kept, and under what.
        found: answers by the index of their request.
    """

    def __init__(
        self,
        place: Callable[[str | None, type], _Place | None],
        content: Callable[[Any], tuple[Any, ...]],
        read: Callable[[Any], Answer | None],
    ) -> None:
        self._place, self._content, self._read = place, content, read
        self._places: dict[str | None, _Place | None] = {}
        self.requests: list[Request] = []
        self.keys: list[tuple[_Place | None, str]] = []
        self.found: dict[int, Answer] = {}

    def look_up(self, requests: Sequence[Request]) -> tuple[dict[int, Answer], list[int]]:
        """Add requests: the answers that are known by their index, and the indices of the others."""
        first = len(self.requests)
        self.requests += requests
        wanted: dict[_Place, set[str]] = {}
        for request in requests:
            if request.adapter not in self._places:
                self._places[request.adapter] = self._place(request.adapter, type(request))
            place = self._places[request.adapter]
            key = digest([place.source, *self._content(request)]) if place else ""
            self.keys.append((place, key))
            if place:
                wanted.setdefault(place, set()).add(key)
        kept: dict[str, Any] = {}
        for place, keys in wanted.items():
            kept |= place.store.find(place.owner, keys)
        indices = range(first, len(self.requests))
        known = {i: answer for i in indices if (answer := self._read(kept.get(self.keys[i][1]))) is not None}
        self.found.update(known)
        return known, [index for index in indices if index not in known]


class KeptAnswers:
    """Asks an engine what is not known yet. Has the engine's `generate`, `score` and `drift`.

    Base's answers of every kind go to the cache; without one, its completions are kept like those of the
    trials under way, which are written when they are older than `seconds`. Full fine-tuning is asked anew.

    Args:
        writer: another engine that writes the completions instead; scores and drift are asked of the first.
        under_way: the run's store of answers of trials that have no row yet.
        cache: the store that runs share.

    Attributes:
        written: completions so far that were not known and had to be written.
    """

    def __init__(
        self,
        engine: Engine,
        loaded: LoadedModel,
        under_way: AnswerStore | None,
        cache: AnswerStore | None,
        seconds: float,
        writer: AnswerWriter | None = None,
    ) -> None:
        self.engine, self.under_way, self.cache, self.seconds = engine, under_way, cache, seconds
        self.writer = writer
        self._model = digest(about(loaded))
        self._written = digest({**about(loaded), "written_by": writer.identity}) if writer else self._model
        self._fresh: dict[_Place, dict[str, Any]] = {}
        self._oldest: float | None = None
        self.written = 0

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
        on_end: OnEnd | None = None,
    ) -> list[Completion]:
        """Completions in the order of the requests; `on_end` is told of them, and may ask on, as by the
        engine. What is known ends at once.

        Raises:
            StorageTrouble: answers of a run could not be written.
        """
        how = None if sampling.greedy else astuple(sampling)
        book = _Book[GenerateRequest, Completion](
            self._place,
            lambda r: ("completion", r.input_ids, max_new_tokens, how, None if how is None else r.seed),
            _completion,
        )
        asked: list[int] = []  # of each request that the engine has got, its index

        def told(ended: Mapping[int, Completion]) -> list[GenerateRequest]:
            self.written += len(ended)
            answers = {asked[number]: answer for number, answer in ended.items()}
            self._take(book, answers)
            return put(on_end(answers) if on_end else None)

        def put(more: Sequence[GenerateRequest] | None) -> list[GenerateRequest]:
            """Those that the engine is to answer, and those that are asked on what is known."""
            rest: list[GenerateRequest] = []
            while more:
                known, unknown = book.look_up(more)
                asked.extend(unknown)
                rest += [book.requests[index] for index in unknown]
                if (
                    self.writer is None and self.engine.drafts is not None
                ):  # what was known already is drafted from, too
                    for index, answer in known.items():
                        self.engine.drafts.answers.add(book.requests[index].input_ids, answer.token_ids)
                more = on_end(known) if on_end and known else None
            return rest

        if rest := put(requests):
            (self.writer or self.engine).generate(rest, max_new_tokens, sampling, told)
            self._keep_in_cache()
        return [book.found[index] for index in range(len(book.requests))]

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt."""
        book = _Book[ScoreRequest, float](
            self._place, lambda r: ("score", r.input_ids, r.continuation_ids), _score
        )
        return self._numbers(requests, book, self.engine.score)

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """How far each arm is from base on a text, in nats summed over its tokens."""
        book = _Book(self._place, lambda r: ("drift", r.input_ids, r.continuation_ids, r.base_prompt), _drift)
        return self._numbers(requests, book, self.engine.drift)

    def _numbers(
        self,
        requests: Sequence[Request],
        book: _Book[Request, Answer],
        ask: Callable[[Sequence[Request]], list[Answer]],
    ) -> list[Answer]:
        _, unknown = book.look_up(requests)
        if unknown:
            answers = ask([requests[index] for index in unknown])
            self._take(book, dict(zip(unknown, answers, strict=True)))
            self._keep_in_cache()
        return [book.found[index] for index in range(len(requests))]

    def forget(self, trial_id: str) -> None:
        """Drop the answers of a trial that has its row."""
        for place in [place for place in self._fresh if place.owner == trial_id]:
            del self._fresh[place]
        if self.under_way is not None:
            self.under_way.forget(trial_id)

    def _take(self, book: _Book[Any, Any], answers: Mapping[int, Any]) -> None:
        """Note answers by the index of their request, to be kept."""
        book.found.update(answers)
        for index, answer in answers.items():
            place, key = book.keys[index]
            if place:
                self._fresh.setdefault(place, {})[key] = _plain(answer)
        self._write_if_due()

    def _keep_in_cache(self) -> None:
        for place in [place for place in self._fresh if place.store is self.cache]:
            place.store.keep(place.owner, self._fresh.pop(place))

    def _place(self, adapter: str | None, kind: type) -> _Place | None:
        """Where an arm's answers to this kind of request are kept, None where they are not."""
        model = self._written if kind is GenerateRequest else self._model
        if adapter is None and self.cache is not None:
            return _Place(self.cache, model[:32], model)
        if self.under_way is None or kind is not GenerateRequest:
            return None
        if adapter is None:
            return _Place(self.under_way, BASE, model)
        try:
            weights = self.engine.state_dict(adapter)["weights"]
        except EngineError:  # a trial without an adapter, or a name that asking will complain about
            return None
        total = sha256(model.encode())
        for name, pair in sorted(weights.items()):
            total.update(name.encode())
            for tensor in pair:
                total.update(np.ascontiguousarray(tensor.numpy()).data)
        return _Place(self.under_way, adapter, total.hexdigest())

    def _write_if_due(self) -> None:
        now = time.monotonic()
        if self._oldest is None:
            self._oldest = now
        if now - self._oldest < self.seconds:
            return
        for place, answers in self._fresh.items():
            place.store.keep(place.owner, answers)
        self._fresh.clear()
        self._oldest = None


def _plain(answer: Any) -> Any:
    return answer if isinstance(answer, float) else asdict(answer)


def _completion(content: Any) -> Completion | None:
    match content:
        case {"token_ids": [*ids], "finish_reason": "eos" | "length" as reason}:
            return Completion(tuple(ids), reason) if all(type(number) is int for number in ids) else None
    return None


def _score(content: Any) -> float | None:
    return content if isinstance(content, float) else None


def _drift(content: Any) -> DriftResult | None:
    match content:
        case {"tokens": int(), "kl": float(), "kl_reverse": float(), "nll": float(), "nll_base": float()}:
            return DriftResult(**content)
    return None
