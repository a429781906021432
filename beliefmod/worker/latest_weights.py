"""The weights that a trial of a run has now, as a saved adapter for another trial to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from beliefmod.errors import UserError
from beliefmod.run.folder import ADAPTERS
from beliefmod.run.integrity import CHECKPOINTS, adapters_deleted
from beliefmod.user_files.adapter_folder import FILES
from beliefmod.worker.checkpoints import CheckpointUnusable, unpack

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.run.folder import RunFolder


@dataclass(frozen=True)
class LatestWeights:
    """A trial's weights.

    Attributes:
        files: the two files of PEFT's format. rank: of the adapter.
        step: after which optimiser step they are; None where training has ended.
    """

    files: tuple[bytes, ...]
    rank: int
    step: int | None

    @property
    def words(self) -> str:
        """What they are, as a change of a clone: `the weights of its checkpoint after step 12`."""
        step = "" if self.step is None else f" after step {self.step}"
        return f"the weights of its {'checkpoint' if step else 'adapter'}{step}"


def latest_weights(folder: RunFolder, config: TrialConfig, base_model: str) -> LatestWeights:
    """A trial's adapter as it was saved, or else as its last checkpoint has it.

    Args:
        base_model: what PEFT is to call the base of a checkpoint's weights.

    Raises:
        UserError: it has neither, or what it has is damaged.
    """
    name = f"{config.trial_id}.safetensors"
    if folder.exists(ADAPTERS, config.trial_id):
        files = tuple(folder.read_bytes(ADAPTERS, config.trial_id, file) for file in FILES)
        return LatestWeights(files, config.lora.r, None)
    if adapters_deleted(folder):
        raise UserError(
            f"{folder.url}: its adapters were deleted (beliefmod prune), so a clone cannot begin with one; "
            "leave out --from-checkpoint"
        )
    if not folder.exists(CHECKPOINTS, name):
        raise UserError(
            f"{folder.url}: trial {config.trial_id} has no checkpoint, and no adapter: one in training has "
            "its first after a while (sweep --checkpoint-every), one that was stopped has none; leave out "
            "--from-checkpoint"
        )
    try:
        state = unpack(folder.read_bytes(CHECKPOINTS, name), config.trial_id).state
    except (OSError, CheckpointUnusable) as error:
        raise UserError(
            f"{folder.url}/{CHECKPOINTS}/{name}: cannot be read ({error}); ask again, or leave out "
            "--from-checkpoint"
        ) from None
    from beliefmod.model.adapter_files import AdapterFile, write_adapter

    adapter = AdapterFile(config.lora.r, config.lora.alpha, state["weights"], base_model)
    with TemporaryDirectory() as place:
        local = Path(place, config.trial_id)
        write_adapter(local, adapter, tuple(adapter.tensors))
        files = tuple((local / file).read_bytes() for file in FILES)
    return LatestWeights(files, config.lora.r, int(state["step"]))
