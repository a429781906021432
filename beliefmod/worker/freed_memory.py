"""Memory that this process has freed and the C library has kept, given back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back_freed() -> None:
    """Let glibc hand back what was freed, in about a tenth of a second; elsewhere nothing happens.

    It keeps freed blocks under 32 MiB for itself, which most activations of a training pass are, and larger
    ones, as keys and values of answers, find no place among them: without this, what a phase of training
    held would stand beside what the answers after it take, and the other way round.
    """
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
