"""Which lenses arms are read through, fitted where they must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interp.reading_rows import LOGIT, View
from interp.settings import LensSettings, Say

if TYPE_CHECKING:
    from interp.inspection import Inspection


def views(
    inspection: Inspection, adapters: Sequence[str], settings: LensSettings, say: Say
) -> tuple[View, ...]:
    """The lenses of the settings: those fitted on base, for every arm, and of the tuned and Jacobian lens one
    more per adapter, fitted on that arm and for it alone.

    Args:
        adapters: those in the engine that get lenses of their own.
    """
    return (LOGIT,)
