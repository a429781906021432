"""Names of figures."""

from __future__ import annotations

import hashlib
import re


def file_name(text: str) -> str:
    """A name that is safe as a file name and as an HTML id, and another one for every other text.

    `gravity` stays; `../a b` becomes `a-b-` and six hex digits of its hash, or it could meet `a-b`.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", text):
        return text
    tame = re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:40].strip("-") or "belief"
    return f"{tame}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:6]}"
