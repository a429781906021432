"""One line of what `beliefmod doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """A line of the report. `fix` is "" when there is nothing to repair."""

    status: Status
    subject: str
    found: str
    fix: str = ""


def either(
    good: bool, subject: str, found: str, otherwise: str, fix: str, status: Status = "fail"
) -> Finding:
    """`found` if all is good, else `otherwise` with its fix."""
    return Finding("ok", subject, found) if good else Finding(status, subject, otherwise, fix)
