"""Copies of the saved adapters that trials of arm `adapter` are made of, each called by its pin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from beliefmod.config import split_name
from beliefmod.errors import UserError
from beliefmod.user_files.adapter_folder import FILES, read_adapter_folder

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.model.adapter_files import AdapterFile
    from beliefmod.model.model_files import ModelSource
    from beliefmod.run.folder import RunFolder

SOURCE_ADAPTERS = "source_adapters"


def keep_adapters(names: Iterable[str | None], folder: RunFolder) -> None:
    """Copy the adapters that `adapter.source` and `adapter.merge_with` name into a run folder.

    Raises:
        UserError: one is gone, or has changed since it was pinned.
    """
    for name in dict.fromkeys(name for name in names if name):
        found = read_adapter_folder(name)
        for file in FILES:
            folder.write_bytes(Path(found.path, file).read_bytes(), SOURCE_ADAPTERS, found.pin, file)


def check_adapters(source: ModelSource, trials: Iterable[TrialConfig]) -> None:
    """Whether the model has the layers, in their shapes, that the saved adapters of these trials change, and
    something of them is in `adapter.layers`; no weights of the model are read.

    Raises:
        UserError: a sentence for each adapter that is none, is of another model, or is cut to nothing.
    """
    from beliefmod.model.altered_adapters import misfit, only_layers
    from beliefmod.model.architecture import empty_model
    from beliefmod.model.target_modules import every_linear

    layers, problems = every_linear(empty_model(source)), []
    wanted = [config.adapter for config in trials if config.arm == "adapter"]
    cuts = dict.fromkeys((each.source, each.layers) for each in wanted)
    cuts |= dict.fromkeys((each.merge_with, "all") for each in wanted)
    read: dict[str, AdapterFile] = {}
    for name, numbers in cuts:
        if name is None:
            continue
        path, _ = split_name(name)
        try:
            if name not in read:
                read[name] = source_adapter(name)
                if why := misfit(read[name], layers):
                    problems.append(
                        f"{path}: is an adapter of another model than {source.name}: {why}; adapter.source "
                        "and adapter.merge_with take adapters of the space's model"
                    )
            only_layers(read[name], numbers)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))


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
        for file in FILES:
            (local / file).write_bytes(folder.read_bytes(SOURCE_ADAPTERS, pin, file))
        try:
            return read_adapter(local)
        except UserError as error:
            kept = folder.path(SOURCE_ADAPTERS, pin)
            raise UserError(problem.replace(str(local), str(kept)) for problem in error.problems) from None
