"""Copies of the saved adapters that trials are made of or begin with, each called by its pin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from beliefmod.config import LoraSettings, split_name
from beliefmod.errors import UserError
from beliefmod.space.space import SAVED_ADAPTERS
from beliefmod.user_files.adapter_folder import FILES, digest_of, read_adapter_folder

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.model.adapter_files import AdapterFile
    from beliefmod.model.model_files import ModelSource
    from beliefmod.run.folder import RunFolder

SOURCE_ADAPTERS = "source_adapters"


def keep_adapters(names: Iterable[str | None], folder: RunFolder) -> None:
    """Copy the adapters that settings (`SAVED_ADAPTERS`) name into a run folder.

    Raises:
        UserError: one is gone, or has changed since it was pinned.
    """
    for name in dict.fromkeys(name for name in names if name):
        found = read_adapter_folder(name)
        for file in FILES:
            folder.write_bytes(Path(found.path, file).read_bytes(), SOURCE_ADAPTERS, found.pin, file)


def check_adapters(source: ModelSource, trials: Iterable[TrialConfig]) -> None:
    """Whether the model has the layers, in their shapes, that the saved adapters of these trials change,
    something of them is in `adapter.layers`, and a trial has room for the one that it begins with; no weights
    of the model are read.

    Raises:
        UserError: a sentence for each adapter that is none, is of another model, is cut to nothing, or is too
            large for the trial that begins with it.
    """
    uses = _uses(trials)
    if not uses:
        return
    from beliefmod.model.altered_adapters import misfit, no_beginning, only_layers
    from beliefmod.model.architecture import empty_model
    from beliefmod.model.target_modules import every_linear

    layers, problems = every_linear(empty_model(source)), []
    read: dict[str, AdapterFile] = {}
    for name, use in uses:
        path, _ = split_name(name)
        try:
            if name not in read:
                read[name] = source_adapter(name)
                if why := misfit(read[name], layers):
                    problems.append(
                        f"{path}: is an adapter of another model than {source.name}: {why}; "
                        f"{', '.join(SAVED_ADAPTERS)} take adapters of the space's model"
                    )
            if not isinstance(use, LoraSettings):
                only_layers(read[name], use)
            elif why := no_beginning(read[name], use, layers):
                problems.append(f"{path}: lora.start_from cannot begin with it: {why}")
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))


def _uses(trials: Iterable[TrialConfig]) -> list[tuple[str, LoraSettings | str | Sequence[int]]]:
    """The saved adapters of these trials, each with the layers of it that are used, or with the settings of
    the adapter that begins with it; each use once."""
    found: dict[tuple[str | None, LoraSettings | str | tuple[int, ...]], None] = {}
    for config in trials:
        if config.arm == "adapter":
            found[config.adapter.source, config.adapter.layers] = None
            found[config.adapter.merge_with, "all"] = None
        elif config.is_trained and config.has_adapter:
            found[config.lora.start_from, config.lora] = None
    return [(name, use) for name, use in found if name is not None]


def keep_adapter(contents: Sequence[bytes], rank: int, folder: RunFolder) -> str:
    """Write an adapter's two files into a run folder; its name, pinned, as a setting has it.

    Raises:
        StorageTrouble: the folder cannot be written.
    """
    pin = f"{digest_of(contents)}-r{rank}"
    for file, content in zip(FILES, contents, strict=True):
        folder.write_bytes(content, SOURCE_ADAPTERS, pin, file)
    return f"{folder.path(SOURCE_ADAPTERS, pin)}@{pin}"


def source_adapter(name: str, folder: RunFolder | None = None) -> AdapterFile:
    """The adapter that a setting names: the copy that a run keeps of it, or the folder itself.

    Raises:
        UserError: it is gone, damaged, no plain LoRA adapter, or no longer what was pinned.
    """
    from beliefmod.model.adapter_files import read_adapter

    path, pin = split_name(name)
    if folder is None or pin is None or not folder.exists(SOURCE_ADAPTERS, pin):
        read_adapter_folder(name)
        return read_adapter(Path(path))
    with TemporaryDirectory() as place:
        local = Path(place, pin)
        local.mkdir()
        contents = [folder.read_bytes(SOURCE_ADAPTERS, pin, file) for file in FILES]
        if digest_of(contents) != pin.partition("-")[0]:
            raise UserError(
                f"{folder.path(SOURCE_ADAPTERS, pin)}: is not the adapter that was copied; restore it"
            )
        for file, content in zip(FILES, contents, strict=True):
            (local / file).write_bytes(content)
        try:
            return read_adapter(local)
        except UserError as error:
            kept = folder.path(SOURCE_ADAPTERS, pin)
            raise UserError(problem.replace(str(local), str(kept)) for problem in error.problems) from None
