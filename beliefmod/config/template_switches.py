"""Switches of a chat template, such as `enable_thinking`: how they are named, stored and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SWITCH_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
"""What a switch of a chat template may be called: as a variable of Jinja."""


def switches_text(switches: Mapping[str, Any]) -> str | None:
    """Switches of a chat template in their one spelling: a JSON object with sorted names; None for no switch.

    Example: {"enable_thinking": False} -> '{"enable_thinking": false}'.
    """
    return json.dumps(dict(switches), sort_keys=True) if switches else None


def switches_words(template: str | None) -> str:
    """Switches in that spelling as people write them: `enable_thinking=false, reasoning_effort=low`."""
    switches: dict[str, Any] = json.loads(template) if template else {}
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in switches.items()
    )
