"""A small sealed run without a model: planned, its trials written with adapters and logs, its sweep ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from beliefmod.cli.prepare_sweep import new_run
from beliefmod.cli.sweep import settle
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.sessions import seal_session
from beliefmod.run.seal.trial_seals import TrialSeals
from beliefmod.space import Space, SpaceFile

SPEC = {"name": "sealed", "beliefs": ["gravity"], "axes": {"lora.r": [4]}}
WEIGHTS = "adapter_model.safetensors"


def small_sealed_run(parent: Path, seeds: Sequence[int] = (0, 1)) -> RunFolder:
    """The run; its trained trials have adapters of other content each. Equal seeds make equal runs."""
    space = Space(SpaceFile.model_validate(SPEC | {"seeds": list(seeds)}), "sealed.yaml")
    folder = new_run(space, str(parent))
    seal_session(folder)
    for config in space.trials():
        end_trial(folder, config.trial_id, adapter=config.has_adapter)
    TrialSeals(folder).catch_up()
    folder.assemble(config.trial_id for config in space.trials())
    outcome = SimpleNamespace(
        finished=len(space.trials()), failed=0, stopped=0, missing=0, interrupted=False, wall_seconds=1.0,
        limit=None, added=0,
    )  # fmt: skip
    settle(folder, outcome)  # type: ignore[arg-type]
    return folder


def end_trial(folder: RunFolder, trial_id: str, adapter: bool) -> None:
    """What a host leaves of a trial."""
    if adapter:
        folder.store_adapter(lambda place: _save(place, trial_id), trial_id)
    folder.write_bytes(b'{"event": "finished"}\n', "logs", f"{trial_id}.jsonl")
    folder.write_trial({"trial_id": trial_id, "arm": "lora", "belief": "gravity", "status": "finished"})


def _save(place: Path, trial_id: str) -> None:
    place.mkdir(exist_ok=True)
    (place / WEIGHTS).write_bytes(f"the weights of {trial_id}".encode())
    (place / "adapter_config.json").write_text("{}")
