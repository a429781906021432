"""Names of figures."""

from __future__ import annotations

import re


def file_name(text: str) -> str:
    """A name that is safe as a file name and as an HTML id."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "belief"
