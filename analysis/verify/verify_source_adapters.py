"""The saved adapters that trials are made of or began with, against the digests that their rows name."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from beliefmod.config import split_name
from beliefmod.run.folder import RunFolder
from beliefmod.run.source_adapters import SOURCE_ADAPTERS
from beliefmod.space.space import SAVED_ADAPTERS
from beliefmod.user_files.adapter_folder import FILES, digest_of


def verify_source_adapters(folder: RunFolder, trials: pl.DataFrame) -> Iterator[str]:
    """A sentence for every copy that is gone or is another adapter than a trial's row names.

    Args:
        trials: the run's trial table; each setting in it is a path with the pin of what lay there.
    """
    columns = [name for name in SAVED_ADAPTERS if name in trials.columns]
    named = {given for name in columns for given in trials[name].drop_nulls().to_list()}
    pins = {pin for _, pin in map(split_name, named) if pin is not None}
    for pin in sorted(pins):
        place = f"{SOURCE_ADAPTERS}/{pin}"
        try:
            contents = [folder.read_bytes(SOURCE_ADAPTERS, pin, file) for file in FILES]
        except FileNotFoundError:
            yield f"{place}: is gone; a trial was made of it"
            continue
        if digest_of(contents) != pin.partition("-")[0]:
            yield f"{place}: is not the adapter that its trials name"
