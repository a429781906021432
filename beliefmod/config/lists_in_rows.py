"""Settings that are lists, as a table's row has them: their items with commas between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LISTS: dict[str, Callable[[str], Any]] = {
    "lora.target_modules": str,
    "lora.layers_to_transform": int,
    "adapter.layers": int,
}
"""Setting -> what an item of it is read with."""


def written(value: Any) -> Any:
    """A setting's value as a row has it: (0, 3) -> '0,3', what is no list as it is."""
    return ",".join(str(item) for item in value) if isinstance(value, tuple) else value


def read_back(name: str, value: Any) -> Any:
    """The inverse of `written` for the setting of this name. Raises ValueError for an item that is none."""
    if name not in LISTS or value in ("all", "all-linear"):
        return value
    return tuple(LISTS[name](item) for item in str(value).split(","))
