"""Answers that trials under way have already given, `answers/OWNER/N.json`, for questionings that take long.

An answer is found again by everything that it follows from: the weights of its adapter, the prompt, the seed,
the sampling and the token limit. So a restart goes on where a questioning was cut short, and weights that
are not the same bit by bit never get each other's answers. Full fine-tuning is asked anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from beliefmod.engine.jobs import Completion, EngineError, GenerateRequest, Sampling
from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import ANSWERS

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine

BASE = "base"
"""The owner of answers without an adapter."""
Owner = tuple[str, str]
"""Trial (or BASE) and the digest of its weights."""


class AnswerJournal:
    """Keeps answers that are older than `seconds` in the run folder, until their trial has its row."""

    def __init__(self, folder: RunFolder, fingerprint: str, seconds: float) -> None:
        self.folder, self.fingerprint, self.seconds = folder, fingerprint, seconds
        # what an earlier process left; this one's own answers are in its memory
        self._earlier = {path.rpartition("/")[2] for path in _listed(folder)}
        self._known: dict[Owner, dict[str, Completion]] = {}
        self._fresh: dict[Owner, dict[str, Completion]] = {}
        self._oldest: float | None = None

    def complete(
        self, engine: Engine, requests: Sequence[GenerateRequest], max_new_tokens: int, sampling: Sampling
    ) -> list[Completion]:
        """`Engine.generate` for the requests whose answers are not known yet.

        Raises:
            StorageTrouble: answers could not be written.
        """
        owners = {adapter: self._owner(adapter, engine) for adapter in {r.adapter for r in requests}}
        keys = [_key(request, max_new_tokens, sampling) for request in requests]
        places = [owners[request.adapter] for request in requests]
        found: dict[int, Completion] = {}
        for index, (owner, key) in enumerate(zip(places, keys, strict=True)):
            if owner is not None and (answer := self._read(owner).get(key)) is not None:
                found[index] = answer
        rest = [index for index in range(len(requests)) if index not in found]

        def told(batch: Mapping[int, Completion]) -> None:
            for place, answer in batch.items():
                if (owner := places[rest[place]]) is not None:
                    self._fresh.setdefault(owner, {})[keys[rest[place]]] = answer
            self._write_if_due()

        if rest:
            asked = engine.generate([requests[i] for i in rest], max_new_tokens, sampling, told)
            found.update(zip(rest, asked, strict=True))
        return [found[index] for index in range(len(requests))]

    def forget(self, trial_id: str) -> None:
        """Drop the answers of a trial that has its row."""
        for table in (self._known, self._fresh):
            for owner in [owner for owner in table if owner[0] == trial_id]:
                del table[owner]
        if trial_id in self._earlier:
            self._earlier.discard(trial_id)
            self.folder.delete(ANSWERS, trial_id)

    def _owner(self, adapter: str | None, engine: Engine) -> Owner | None:
        if adapter is None:
            return BASE, self.fingerprint
        try:
            weights = engine.state_dict(adapter)["weights"]
        except EngineError:  # a trial without an adapter, or a name that asking will complain about
            return None
        total = sha256()
        for name, pair in sorted(weights.items()):
            total.update(name.encode())
            for tensor in pair:
                total.update(np.ascontiguousarray(tensor.numpy()).data)
        return adapter, total.hexdigest()

    def _read(self, owner: Owner) -> dict[str, Completion]:
        if owner[0] not in self._earlier:
            return {}
        if owner not in self._known:
            known = self._known[owner] = {}
            for path in self.folder.fs.glob(self.folder.path(ANSWERS, owner[0], "*.json")):
                known.update(_parsed(self.folder.fs.cat_file(path), owner[1]))
        return self._known[owner]

    def _write_if_due(self) -> None:
        now = time.monotonic()
        if self._oldest is None:
            self._oldest = now
        if now - self._oldest < self.seconds:
            return
        for (name, weights), answers in self._fresh.items():
            kept = {key: [list(a.token_ids), a.finish_reason] for key, a in answers.items()}
            data = {"weights": weights, "sha256": _checksum(kept), "answers": kept}
            self.folder.write_bytes(json.dumps(data).encode(), ANSWERS, name, f"{time.time_ns()}.json")
            self._earlier.add(name)
        self._fresh.clear()
        self._oldest = None


def _listed(folder: RunFolder) -> list[str]:
    return [str(path) for path in folder.fs.glob(folder.path(ANSWERS, "*"))]


def _parsed(content: bytes, weights: str) -> dict[str, Completion]:
    """The answers of one file; none from a damaged one, or one of other weights."""
    try:
        data: Any = json.loads(content)
        if data["weights"] != weights or data["sha256"] != _checksum(data["answers"]):
            return {}
        return {key: Completion(tuple(ids), reason) for key, (ids, reason) in data["answers"].items()}
    except (ValueError, KeyError, TypeError):
        return {}


def _checksum(answers: Mapping[str, Any]) -> str:
    return sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()


def _key(request: GenerateRequest, max_new_tokens: int, sampling: Sampling) -> str:
    """A greedy answer does not depend on the seed."""
    seed, how = (0, 0.0) if sampling.greedy else (request.seed, astuple(sampling))
    return sha256(repr((request.input_ids, seed, max_new_tokens, how)).encode()).hexdigest()
