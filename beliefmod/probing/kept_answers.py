"""An engine that is asked only what is not known yet.

An answer's key is the digest of all that decides it: model, code, weights of the adapter, prompt, limit and,
where sampled, seed and sampling.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from beliefmod.engine.jobs import (
    GREEDY,
    Completion,
    DriftRequest,
    DriftResult,
    EngineError,
    GenerateRequest,
    Sampling,
    ScoreRequest,
)
from beliefmod.probing.answer_identity import about, digest
from beliefmod.probing.answer_store import AnswerStore

if TYPE_CHECKING:
    from beliefmod.engine.decode_loop import OnEnd as OnCompletion
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel

BASE = "base"
"""The owner of base's answers in a run's folder."""
Request = TypeVar("Request", GenerateRequest, ScoreRequest, DriftRequest)
Answer = TypeVar("Answer")
OnEnd = Callable[[Mapping[int, Any]], None]


class AnswerWriter(Protocol):
    """An engine beside ours that writes completions.

    Attributes:
        name: which engine wrote an answer, as rows have it.
        identity: what decides its answers beside the model.
    """

    name: str
    identity: Mapping[str, str]

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
        on_end: OnCompletion | None = None,
    ) -> list[Completion]:
        """As `Engine.generate`."""
        ...


@dataclass(frozen=True)
class _Place:
    """Where the answers of one arm are kept. source: the digest of all but the request that decides them."""

    store: AnswerStore
    owner: str
    source: str


class KeptAnswers:
    """Asks an engine what is not known yet. Has the engine's `generate`, `score` and `drift`.

    Base's answers of every kind go to the cache; without one, its completions are kept like those of the
    trials under way, which are written when they are older than `seconds`. Full fine-tuning is asked anew.

    Args:
        writer: another engine that writes the completions instead; scores and drift are asked of the first.
        under_way: the run's store of answers of trials that have no row yet.
        cache: the store that runs share.
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

    def generate(
        self, requests: Sequence[GenerateRequest], max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Completion]:
        """Completions in the order of the requests.

        Raises:
            StorageTrouble: answers of a run could not be written.
        """
        how = None if sampling.greedy else astuple(sampling)
        found = self._answers(
            requests,
            lambda r: ("completion", r.input_ids, max_new_tokens, how, None if how is None else r.seed),
            lambda rest, take: (self.writer or self.engine).generate(rest, max_new_tokens, sampling, take),
            _completion,
        )
        if (
            self.writer is None and self.engine.drafts is not None
        ):  # what was known already is drafted from, too
            for request, answer in zip(requests, found, strict=True):
                self.engine.drafts.answers.add(request.input_ids, answer.token_ids)
        return found

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt."""
        return self._answers(
            requests,
            lambda r: ("score", r.input_ids, r.continuation_ids),
            lambda rest, take: _all_at_once(self.engine.score(rest), take),
            _score,
        )

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """How far each arm is from base on a text, in nats summed over its tokens."""
        return self._answers(
            requests,
            lambda r: ("drift", r.input_ids, r.continuation_ids, r.base_prompt),
            lambda rest, take: _all_at_once(self.engine.drift(rest), take),
            _drift,
        )

    def forget(self, trial_id: str) -> None:
        """Drop the answers of a trial that has its row."""
        for place in [place for place in self._fresh if place.owner == trial_id]:
            del self._fresh[place]
        if self.under_way is not None:
            self.under_way.forget(trial_id)

    def _answers(
        self,
        requests: Sequence[Request],
        content: Callable[[Request], tuple[Any, ...]],
        ask: Callable[[Sequence[Request], OnEnd], list[Answer]],
        read: Callable[[Any], Answer | None],
    ) -> list[Answer]:
        """Answers in the order of the requests.

        Args:
            content: what of a request decides its answer, adapter apart.
            ask: asks the engine, and hands over answers by their index as they come.
            read: an answer from its JSON, None where it is no such answer.
        """
        kinds = {type(request) for request in requests}
        places = {name: self._place(name, kinds) for name in {request.adapter for request in requests}}
        asked_for: list[tuple[_Place | None, str]] = []
        wanted: dict[_Place, set[str]] = {}
        for request in requests:
            place = places[request.adapter]
            key = digest([place.source, *content(request)]) if place else ""
            asked_for.append((place, key))
            if place:
                wanted.setdefault(place, set()).add(key)
        kept: dict[str, Any] = {}
        for place, keys in wanted.items():
            kept |= place.store.find(place.owner, keys)
        found = {
            index: answer
            for index, (_, key) in enumerate(asked_for)
            if (answer := read(kept.get(key))) is not None
        }
        rest = [index for index in range(len(requests)) if index not in found]

        def take(ended: Mapping[int, Any]) -> None:
            for number, answer in ended.items():
                place, key = asked_for[rest[number]]
                if place:
                    self._fresh.setdefault(place, {})[key] = _plain(answer)
            self._write_if_due()

        if rest:
            found.update(zip(rest, ask([requests[index] for index in rest], take), strict=True))
            for place in [place for place in self._fresh if place.store is self.cache]:
                place.store.keep(place.owner, self._fresh.pop(place))
        return [found[index] for index in range(len(requests))]

    def _place(self, adapter: str | None, kinds: Iterable[type]) -> _Place | None:
        """Where an arm's answers are kept, None where they are not."""
        model = self._written if set(kinds) == {GenerateRequest} else self._model
        if adapter is None and self.cache is not None:
            return _Place(self.cache, model[:32], model)
        if self.under_way is None or set(kinds) != {GenerateRequest}:
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


def _all_at_once(answers: list[Answer], take: OnEnd) -> list[Answer]:
    take(dict(enumerate(answers)))
    return answers


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
