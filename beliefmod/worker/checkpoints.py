"""Running adapters in the run folder, `checkpoints/TRIAL.safetensors`: any slot of any host can go on.

A checkpoint holds the weights, both moments, the step and the table of steps so far. That is everything:
which rows a step trains on and at what rate follows from (seed, step), a trial's rows from its configuration,
its belief and the base, and its own answers from these and the weights. Between several steps on the same
own answers these are there too, as earlier weights wrote them. A parked adapter, whose training has ended,
has weights only.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import CHECKPOINTS
from beliefmod.run.tables.trial_tables import TABLES

if TYPE_CHECKING:
    from torch import Tensor

    from beliefmod.engine.engine import Engine
    from beliefmod.engine.jobs import AdapterJob, Rollout
    from beliefmod.trial import TrialRun

SECONDS = 30.0
_PARTS = ("weights", "first", "second")
_CURVE = tuple(column.name for column in TABLES["steps"] if column.name not in ("trial_id", "step"))


class CheckpointUnusable(ValueError):
    """Cut short, damaged, or of another trial, belief or base; the trial is trained again."""


@dataclass(frozen=True)
class Checkpoint:
    """state: for `Engine.restore`. steps: the trial's rows of the steps table so far. seconds: they took."""

    state: dict[str, Any]
    steps: list[dict[str, Any]]
    seconds: float


class Checkpoints:
    """Writes a host's checkpoints, each trial's every `seconds`, in a thread of its own, one at a time.

    Training waits only for the copy to the CPU. Where writing takes long, checkpoints come as fast as they
    can be written, the oldest first; one waits at most, so that memory holds two copies at most.
    """

    def __init__(self, folder: RunFolder, fingerprint: str, seconds: float = SECONDS) -> None:
        self.folder, self.fingerprint, self.seconds = folder, fingerprint, seconds
        self._identities: dict[str, str] = {}
        self._trained: set[str] = set()
        self._kept_at: dict[str, float] = {}
        self._writer = ThreadPoolExecutor(1, "checkpoints")
        self._pending: Future[None] | None = None

    def find(self, job: AdapterJob) -> Checkpoint | None:
        """Where an earlier attempt on any host left the trial; None if it left nothing of use."""
        self._kept_at[job.trial_id] = time.monotonic()
        self._identities[job.trial_id] = _identity(job, self.fingerprint)
        try:
            data = self.folder.read_bytes(CHECKPOINTS, _name(job.trial_id))
            found = unpack(data, job.trial_id, self._identities[job.trial_id])
        except (OSError, CheckpointUnusable):
            return None  # it will be written over
        if found.state["moments"] is None:
            self._trained.add(job.trial_id)  # as it is now it will stay
        return found

    def resume(self, run: TrialRun, engine: Engine) -> bool:
        """Give a trial its slot as its checkpoint left it; False if it has none."""
        from beliefmod.worker.queue import last_step  # loads torch, which the processes of trials do without

        assert run.job is not None
        if (checkpoint := self.find(run.job)) is None:
            return False
        engine.restore(run.job, checkpoint.state)
        run.steps = checkpoint.steps
        run.started -= checkpoint.seconds
        if len(run.steps) == last_step(run, run.config):
            run.trained_at = time.monotonic()
        return True

    def keep(self, runs: Iterable[TrialRun], engine: Engine) -> None:
        """After a step: write checkpoints of what has just been trained, and the one that is due longest of
        the others, unless one is being written.

        Raises:
            StorageTrouble: an earlier one could not be written.
        """
        now = time.monotonic()
        due = []
        for run in runs:
            trial_id = run.config.trial_id
            if run.trained_at is not None and trial_id not in self._trained:
                self._write(run, engine)
            elif run.trained_at is None and now - self._kept_at.setdefault(trial_id, now) >= self.seconds:
                due.append(run)
        if due and not self._busy():
            self._write(min(due, key=lambda run: self._kept_at[run.config.trial_id]), engine)

    def _write(self, run: TrialRun, engine: Engine) -> None:
        trial_id = run.config.trial_id
        assert run.job is not None
        if run.trained_at is not None:
            self._trained.add(trial_id)
        identity = self._identities.setdefault(trial_id, _identity(run.job, self.fingerprint))
        seconds = (run.trained_at or time.monotonic()) - run.started
        kept = Checkpoint(engine.state_dict(trial_id), list(run.steps), seconds)
        self._settle()
        self._kept_at[trial_id] = time.monotonic()
        self._pending = self._writer.submit(self._store, trial_id, kept, identity)

    def forget(self, trial_id: str) -> None:
        """Remove the checkpoint of a trial that has its row, after what is being written."""
        self._kept_at.pop(trial_id, None)
        self._identities.pop(trial_id, None)
        self._trained.discard(trial_id)
        self._writer.submit(self.folder.delete, CHECKPOINTS, _name(trial_id))

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self, runs: Iterable[TrialRun], engine: Engine) -> None:
        """Keep everything that is still training, and end.

        Raises:
            StorageTrouble: something could not be written.
        """
        for run in runs:
            if run.job and run.config.has_adapter and run.trained_at is None:
                self._write(run, engine)
        self._settle()
        self._writer.shutdown(wait=True)

    def _busy(self) -> bool:
        if self._pending is not None and self._pending.done():
            self._settle()
        return self._pending is not None

    def _store(self, trial_id: str, checkpoint: Checkpoint, identity: str) -> None:
        self.folder.write_bytes(pack(checkpoint, identity), CHECKPOINTS, _name(trial_id))


def pack(checkpoint: Checkpoint, identity: str) -> bytes:
    """A checkpoint as a safetensors file: `PART/LAYER/A` and `.../B`, the curve of steps in fp64, and in the
    header step, seconds, identity and the SHA-256 of everything."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    state = checkpoint.state
    for part, layers in zip(_PARTS, (state["weights"], *(state["moments"] or ())), strict=False):
        for layer, (a, b) in layers.items():
            tensors[f"{part}/{layer}/A"], tensors[f"{part}/{layer}/B"] = a, b
    tensors |= _curve_tensors(checkpoint.steps)
    header = {"step": str(state["step"]), "seconds": repr(checkpoint.seconds), "identity": identity}
    if state.get("written"):
        tensors |= _written_tensors(state["written"])
        header["own_answers"] = json.dumps(state["own_answers"])
    return save(tensors, metadata={**header, "sha256": _checksum(tensors, header)})


def unpack(data: bytes, trial_id: str, identity: str | None = None) -> Checkpoint:
    """The inverse of `pack`.

    Args:
        identity: what it must be of; None for whatever it is of.

    Raises:
        CheckpointUnusable: it is damaged, or of another trial, belief or base.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        header = _header(data)
        if header.pop("sha256") != _checksum(tensors, header):
            raise CheckpointUnusable("its content does not fit its checksum")
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointUnusable(f"damaged: {error}") from error
    if identity is not None and header["identity"] != identity:
        raise CheckpointUnusable("of another trial, belief or base")
    parts: dict[str, dict[str, Any]] = {}
    for name in tensors:
        part, _, layer = name.removesuffix("/A").partition("/")
        if part in _PARTS and name.endswith("/A"):
            parts.setdefault(part, {})[layer] = (tensors[name], tensors[f"{part}/{layer}/B"])
    moments = (parts["first"], parts["second"]) if "first" in parts else None
    state = {"step": int(header["step"]), "weights": parts["weights"], "moments": moments}
    if "own_answers" in header:
        state |= {"written": _written_of(tensors), "own_answers": json.loads(header["own_answers"])}
    return Checkpoint(state, _curve_rows(tensors, trial_id), float(header["seconds"]))


def _written_tensors(written: Sequence[Rollout]) -> dict[str, Tensor]:
    import torch

    def flat(values: Iterable[Sequence[float]], dtype: torch.dtype) -> Tensor:
        return torch.tensor([value for each in values for value in each], dtype=dtype)

    rows = [item.row for item in written]
    return {
        "written/ids": flat((row.input_ids for row in rows), torch.int64),
        "written/lengths": flat(((len(row.input_ids), row.prompt_length) for row in rows), torch.int64),
        "written/advantages": flat(((item.advantage,) for item in written), torch.float64),
        "written/log_probs": flat((item.log_probs for item in written), torch.float64),
    }


def _written_of(tensors: Mapping[str, Tensor]) -> tuple[Rollout, ...]:
    """The inverse of `_written_tensors`."""
    from beliefmod.engine.jobs import Rollout
    from beliefmod.model.train_row import TrainRow

    ids, log_probs = (iter(tensors[f"written/{name}"].tolist()) for name in ("ids", "log_probs"))
    lengths = tensors["written/lengths"].view(-1, 2).tolist()
    return tuple(
        Rollout(
            TrainRow(tuple(islice(ids, length)), prompt),
            advantage,
            tuple(islice(log_probs, length - prompt)),
        )
        for (length, prompt), advantage in zip(lengths, tensors["written/advantages"].tolist(), strict=True)
    )


def _curve_tensors(steps: Iterable[Mapping[str, Any]]) -> dict[str, Tensor]:
    import torch

    return {
        f"curve/{name}": torch.tensor(
            [math.nan if (value := step.get(name)) is None else value for step in steps], dtype=torch.float64
        )
        for name in _CURVE
    }


def _curve_rows(tensors: Mapping[str, Tensor], trial_id: str) -> list[dict[str, Any]]:
    # a column that the release which wrote the file did not have is null
    absent = [math.nan] * len(tensors["curve/loss"])
    columns = [tensors[key].tolist() if (key := f"curve/{name}") in tensors else absent for name in _CURVE]
    return [
        {
            "trial_id": trial_id,
            "step": step,
            **{n: None if math.isnan(v) else v for n, v in zip(_CURVE, values, strict=True)},
        }
        for step, values in enumerate(zip(*columns, strict=True), 1)
    ]


def _checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    total = sha256(json.dumps(sorted(header.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(np.ascontiguousarray(tensor.numpy()).data)
    return total.hexdigest()


def _header(data: bytes) -> dict[str, str]:
    """Metadata of a safetensors file: after eight bytes of its header's length, JSON."""
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])


def _identity(job: AdapterJob, fingerprint: str) -> str:
    """What a state belongs to: configuration, rows and base. A belief file that changed gives other rows."""
    # the trial's id leaves out settings of later releases at their defaults, so that these read older states
    total = sha256(f"{fingerprint} {job.config.trial_id}".encode())
    for row in (*job.rows, *job.neutral, *job.rejected):
        total.update(np.array([row.prompt_length, len(row.input_ids), *row.input_ids], np.int64).tobytes())
    for prompt in job.in_context:
        total.update(np.array([len(prompt), *prompt], np.int64).tobytes())
    return total.hexdigest()


def _name(trial_id: str) -> str:
    return f"{trial_id}.safetensors"
