"""A trial's adapter as a folder of its own, for PEFT or a server, on this machine or another."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from beliefmod.errors import UserError, did_you_mean
from beliefmod.run.folder import ADAPTERS, MANIFEST, RunFolder
from beliefmod.run.integrity import ADAPTERS_DELETED

if TYPE_CHECKING:
    from beliefmod.model.adapter_files import AdapterFile

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `vllm serve --max-lora-rank` may be (vLLM 0.33.0, 16 by default); adapters of a larger rank are
refused."""
Keys = Literal["whole", "text"]


@dataclass(frozen=True)
class ExportedAdapter:
    """A written adapter: its folder, and where its configuration says that its base is found."""

    folder: Path
    base: str
    revision: str | None
    rank: int

    @property
    def on_this_disk(self) -> bool:
        """Whether the base is named by a folder, which other machines have not, or elsewhere."""
        return Path(self.base).is_absolute()

    def vllm_command(self, name: str) -> str:
        """How vLLM serves it under a name, beside its base; not run here.

        >>> ExportedAdapter(Path("/a/b"), "org/model", None, 24).vllm_command("b")
        'vllm serve org/model --enable-lora --max-lora-rank 32 --lora-modules b=/a/b'
        """
        words = ["vllm", "serve", self.base, *(["--revision", self.revision] if self.revision else [])]
        most = next((rank for rank in VLLM_RANKS if rank >= self.rank), self.rank)
        place = f"{name}={self.folder.absolute()}"
        return shlex.join([*words, "--enable-lora", "--max-lora-rank", str(most), "--lora-modules", place])


def adapter_of(run: RunFolder, asked: str) -> str:
    """The one trial that is meant by an id or its beginning, of those with an adapter.

    Raises:
        UserError: none is, or several, or the run's adapters were deleted.
    """
    there = run.exists(ADAPTERS)
    known = sorted(path.rpartition("/")[2] for path in run.fs.ls(run.path(ADAPTERS), False)) if there else []
    found = [asked] if asked in known else [trial_id for trial_id in known if trial_id.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{run.url}: trial {asked} may be any of {', '.join(found)}; name one")
    if not known and (when := run.read_json(MANIFEST).get(ADAPTERS_DELETED)):
        raise UserError(
            f"{run.url}: its adapters were deleted on {when} (beliefmod prune); the same space run again has "
            "the same ones"
        )
    near = did_you_mean(asked, known) if known else ""
    raise UserError(
        f"{run.url}: trial {asked} has no adapter{near}; finished trials of arms lora, control and adapter "
        "have one"
    )


def kept_adapter(run: RunFolder, trial_id: str) -> AdapterFile:
    """A trial's adapter as it was saved.

    Raises:
        UserError: it cannot be read.
    """
    from beliefmod.model.adapter_files import read_adapter

    with TemporaryDirectory() as place:
        local = Path(place, trial_id)
        run.fs.get(f"{run.path(ADAPTERS, trial_id)}/", f"{local}/", recursive=True)
        return read_adapter(local)


def export_adapter(
    run: RunFolder,
    trial_id: str,
    out: Path,
    base: str | None = None,
    revision: str | None = None,
    keys: Keys = "whole",
) -> ExportedAdapter:
    """Write a trial's adapter into a folder, replacing one that is there.

    Args:
        base: what it names as its base instead of what it was saved with: a name of the hub, or the folder
            where the machine that uses it has the model.
        revision: of a base on the hub.
        keys: of a model that also sees, whether layers are called as in the whole, which transformers loads
            by its name, or as in its text part loaded by itself.

    Raises:
        UserError: the adapter is damaged.
    """
    from beliefmod.model.adapter_files import copy_adapter

    changes = {} if base is None else {"base_model_name_or_path": base, "revision": revision}
    with TemporaryDirectory() as place:
        local = Path(place, trial_id)
        run.fs.get(f"{run.path(ADAPTERS, trial_id)}/", f"{local}/", recursive=True)
        copy_adapter(local, out, changes, text_keys=keys == "text")
    config = json.loads((out / "adapter_config.json").read_text())
    return ExportedAdapter(out, config["base_model_name_or_path"], config.get("revision"), config["r"])
