"""Text that shows what it holds: control, direction and invisible characters written out.

A right-to-left override in a completion would turn the rest of its line around, a NUL would break SVG and
XML, a zero-width space would hide in a number. All are shown by their code point instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# C0 but tab and newline, DEL and C1, soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width
# and direction marks, line and paragraph separators, embeddings, overrides, isolates, invisible operators,
# byte order mark, interlinear marks, surrogates, noncharacters, tags
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """`a\u202eb` -> `a⟨U+202E⟩b`; tabs and newlines stay, `\\r\\n` is a newline."""
    return _HIDDEN.sub(_named, text.replace("\r\n", "\n"))


def visible_in(value: Any) -> Any:
    """The same for every string in nested lists and mappings, keys included."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible_in(key): visible_in(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [visible_in(inner) for inner in value]
    return value


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"
