"""What the untouched base said before: its completions and scores, kept beside the runs by content.

Only raw answers are kept, never verdicts, so a better judge reads old answers anew. A file's name is the
digest of all that decides its answers; another model, question, limit or version of the code has another
name. Files may be deleted at any time; one that cannot be read is asked for again and replaced.
"""

from __future__ import annotations

import gzip
import json
import posixpath
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beliefmod.engine.jobs import (
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    Sampling,
    ScoreRequest,
)
from beliefmod.errors import StorageTrouble
from beliefmod.run.storage import MANIFEST, RunStorage

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel

FOLDER = ".cache"
_LIBRARIES = ("torch", "transformers", "tokenizers", "bitsandbytes", "numpy")
_CODE = ("engine", "model")
_UNREADABLE = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError)
Answer = TypeVar("Answer")


class AnswerCache:
    """Answers of one loaded base, under one folder that any number of runs may share.

    Two hosts that ask the same at the same time both compute it and write the same file. Trouble with the
    folder never stops a run: it goes on without the cache.

    Attributes:
        taken, asked: how many batches came from the folder, and how many had to be computed.
    """

    def __init__(self, url: str, about: dict[str, Any]) -> None:
        self.storage, self.about = RunStorage(url), about
        self.taken = self.asked = 0
        self._writable = True

    def completions(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: Sampling,
        ask: Callable[[], list[Completion]],
    ) -> list[Completion]:
        """The base's completions, asked for only if they were not before. Greedy ones need no seed."""
        wanted = {
            "max_new_tokens": max_new_tokens,
            "sampling": None if sampling.greedy else asdict(sampling),
            "requests": [[r.input_ids, None if sampling.greedy else r.seed] for r in requests],
        }
        return self._answers("completions", wanted, len(requests), ask, _as_completion)

    def scores(self, requests: Sequence[ScoreRequest], ask: Callable[[], list[float]]) -> list[float]:
        """The base's log-probabilities of continuations, likewise."""
        wanted = {"requests": [[r.input_ids, r.continuation_ids] for r in requests]}
        return self._answers("scores", wanted, len(requests), ask, _as_score)

    def drift(
        self, requests: Sequence[DriftRequest], ask: Callable[[], list[DriftResult]]
    ) -> list[DriftResult]:
        """What the base makes of texts, with the in-context arm's statement in front or without, likewise."""
        wanted = {"requests": [[r.input_ids, r.continuation_ids, r.base_prompt] for r in requests]}
        return self._answers("drift", wanted, len(requests), ask, _as_drift)

    def _answers(
        self,
        kind: str,
        wanted: dict[str, Any],
        count: int,
        ask: Callable[[], list[Answer]],
        read: Callable[[Any], Answer],
    ) -> list[Answer]:
        if not count:
            return []
        key = _digest({"kind": kind, "about": self.about, **wanted})
        answers = self._find(key, count, read)
        if answers is not None:
            self.taken += 1
            return answers
        self.asked += 1
        answers = ask()
        self._keep(
            key, {"key": key, "kind": kind, "about": self.about, "answers": [_plain(a) for a in answers]}
        )
        return answers

    def _find(self, key: str, count: int, read: Callable[[Any], Answer]) -> list[Answer] | None:
        """The answers of a file, or None where it is not there, cut short or damaged."""
        try:
            # gzip ends with a checksum of the whole content
            content = json.loads(gzip.decompress(self.storage.read_bytes(_name(key))))
            answers = [read(answer) for answer in content["answers"]]
            return answers if content["key"] == key and len(answers) == count else None
        except _UNREADABLE:
            return None

    def _keep(self, key: str, content: dict[str, Any]) -> None:
        if not self._writable:
            return
        try:
            self.storage.fs.makedirs(self.storage.root, exist_ok=True)
            self.storage.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0), _name(key))
        except (OSError, StorageTrouble) as error:
            self._writable = False  # trying again would cost seconds each time
            print(f"answers of the base are not kept for later runs: {error}", file=sys.stderr)


def cache_beside(run_url: str, loaded: LoadedModel) -> AnswerCache:
    """The cache that the runs in one folder share: `.cache` next to them, also for a run inside a run."""
    place = posixpath.dirname(run_url.rstrip("/"))
    while place and RunStorage(place).exists(MANIFEST):
        place = posixpath.dirname(place)
    return AnswerCache(posixpath.join(place, FOLDER), about(loaded))


def about(loaded: LoadedModel) -> dict[str, Any]:
    """Everything but the question that decides what a base answers, as far as rounding goes.

    The sizes of passes and decoding batches are left out: they change no result beyond rounding.
    """
    model = loaded.model
    return {
        "fingerprint": loaded.fingerprint,
        "config": sha256(model.config.to_json_string().encode()).hexdigest(),
        "base_storage": loaded.base_storage,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": _device(model.device),
        "eos_ids": list(loaded.eos_ids),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "code": _code(),
    }


def _device(device: Any) -> str:
    if device.type != "cuda":
        return str(device.type)
    import torch

    return torch.cuda.get_device_name(device)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of the source that turns questions into answers: a mended engine asks again."""
    here = Path(__file__).parent.parent
    paths = sorted(path for room in _CODE for path in (here / room).glob("*.py"))
    return _digest([[path.name, sha256(path.read_bytes()).hexdigest()] for path in paths])


def _digest(content: Any) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _name(key: str) -> str:
    return f"{key[:32]}.json.gz"


def _plain(answer: Any) -> Any:
    return answer if isinstance(answer, float) else asdict(answer)


def _as_completion(content: Any) -> Completion:
    tokens, reason = content["token_ids"], content["finish_reason"]
    if reason not in ("eos", "length") or not _all_numbers(tokens, int):
        raise ValueError("no completion")
    return Completion(tuple(tokens), reason)


def _as_score(content: Any) -> float:
    if not isinstance(content, float):
        raise ValueError("no score")
    return content


def _as_drift(content: Any) -> DriftResult:
    nats = [value for name, value in content.items() if name != "tokens"]
    if not _all_numbers([content["tokens"]], int) or not _all_numbers(nats, float):
        raise ValueError("no drift")
    return DriftResult(**content)


def _all_numbers(values: Iterable[Any], kind: type) -> bool:
    return all(type(value) is kind for value in values)
