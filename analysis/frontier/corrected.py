"""The best configuration's adoption, corrected for having been picked on the questions it is quoted on."""

from __future__ import annotations

import math

from analysis.frontier.certainty import Picked

EDGE = 1e-3
HALVES = math.sqrt(0.5)
"""What picking adds grows with the noise, and the noise of all families is so much of that of a half."""


def shifted(rate: float, ends: tuple[float, float], picked: Picked) -> tuple[float, float, float]:
    """The best one's adoption less what picking adds, and its 95 % interval with the lower end moved alike.

    Picking on one half of the families promises more there than the other half shows (`cross_picked`). That
    difference, as one of log odds and times the root of a half, is taken off. The upper end stays: what
    picking adds is itself an estimate. How far the result is off on average, and how often the interval
    holds, is measured by `benchmarks/coverage.py`.

    Args:
        rate, ends: adoption as measured and its 95 % interval.
    """
    shift = max(0.0, HALVES * (_log_odds(picked.promised) - _log_odds(picked.shown)))
    low, value = (
        end if end in (0.0, 1.0) else 1 / (1 + math.exp(shift - _log_odds(end))) for end in (ends[0], rate)
    )
    return value, low, ends[1]


def _log_odds(rate: float) -> float:
    within = min(max(rate, EDGE), 1 - EDGE)
    return math.log(within / (1 - within))
