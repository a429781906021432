"""What all settings are made of: a model that never changes, and marks that a field can bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

ADDED_LATER: dict[str, Any] = {"added_later": True}
"""Marks a setting that older trials do not have: at its default it does not count for a trial's identity."""


class Frozen(BaseModel):
    """Immutable, rejects unknown fields and silent conversions ("10" is not 10)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        # YAML and JSON have lists only, and what is frozen must be hashable
        if not isinstance(data, Mapping):
            return data
        return {
            name: tuple(value)
            if isinstance(value, list)
            and name in cls.model_fields
            and "tuple" in str(cls.model_fields[name].annotation)
            else value
            for name, value in data.items()
        }


def marks(info: FieldInfo) -> dict[str, Any]:
    """What a field is marked with beside its description, such as `ADDED_LATER`."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
