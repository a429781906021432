"""Where along the layers an arm commits to a side: pure functions of curves, entry by entry.

A curve is a logit difference (target minus rival) at the entries 0..N of the residual stream, averaged over
questions. Its sign in early entries means nothing (the first layers of a model that believes the prior may
well lean to the target), so an entry counts only if the sign of the last entry holds from it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beliefmod.run.tables.lens_tables import TAU
from interp.family_bootstrap import Array, drawn_means, question_weights, with_interval


def commit_entries(curves: Array, tau: float = TAU) -> Array:
    """The smallest entry from which a curve has its last sign and is at least `tau` away from 0.

    Args:
        curves: (..., N + 1) logit differences.

    Returns:
        (...): an entry 0..N, infinity where the last entry itself is nearer to 0 than `tau` (never), NaN
        where a curve has NaN.

    >>> commit_entries(np.array([0.5, 0.6, 1.4, -4.6, -9.1]))
    array(3.)
    """
    last = np.sign(curves[..., -1:])
    holds = (np.sign(curves) == last) & (np.abs(curves) >= tau)
    return _first_lasting(holds, np.isnan(curves))


def half_rise_entries(contrasts: Array, tau: float = TAU) -> Array:
    """The smallest entry from which a contrast has at least half of what it has in the end.

    Args:
        contrasts: (..., N + 1) an arm's differences minus base's.

    Returns:
        (...): an entry 0..N, infinity where the last contrast is nearer to 0 than `tau`, so that there is no
        rise to halve (never), NaN where a contrast has NaN.

    >>> half_rise_entries(np.array([0.0, 0.5, 1.0, 10.5, 18.0, 19.7]))
    array(3.)
    """
    last = contrasts[..., -1:]
    # by products and not by ratios: a last contrast of 0 has none
    holds = (contrasts * np.sign(last) >= np.abs(last) / 2) & (np.abs(last) >= tau)
    return _first_lasting(holds, np.isnan(contrasts))


def _first_lasting(holds: NDArray[np.bool_], unknown: NDArray[np.bool_]) -> Array:
    """The first entry from which all of `holds` (..., entries) are true; infinity without one, NaN where any
    entry is unknown."""
    lasting = np.flip(np.logical_and.accumulate(np.flip(holds, -1), axis=-1), -1)
    first = np.where(lasting[..., -1], lasting.argmax(axis=-1).astype(np.float64), np.inf)
    return np.where(unknown.any(axis=-1), np.nan, first)


def commitment(
    differences: Array, base: Array | None, families: Sequence[str], draws: int, seed: int, tau: float = TAU
) -> dict[str, Any]:
    """The columns of a row of `commitments` but those that say whose it is.

    Args:
        differences: (questions, N + 1) of the arm; at least one question.
        base: base's at the same questions; None where there is nothing to compare with, as for base itself.
        families: the question families, in order.

    Returns:
        Columns by name. Intervals resample families and are null with fewer than two of them; an upper end
        is null as well where more than 2.5 % of the draws never commit.
    """
    weights = question_weights(families, draws, seed)
    curves, mean = drawn_means(differences, weights), differences.mean(axis=0)
    found = {
        "n": len(differences),
        **with_interval("final_diff", mean[-1], curves[:, -1]),
        **_entry("commit", commit_entries(mean, tau), commit_entries(curves, tau)),
    }
    if base is None:
        return found
    rises, rise = drawn_means(differences - base, weights), (differences - base).mean(axis=0)
    return {
        **found,
        **_entry("half_rise", half_rise_entries(rise, tau), half_rise_entries(rises, tau)),
        **with_interval("contrast_area", rise.mean(), rises.mean(axis=1)),
    }


def _entry(name: str, value: Array, drawn: Array) -> dict[str, Any]:
    known = drawn[~np.isnan(drawn)]
    never = float(np.isinf(known).mean()) if len(known) else None
    return {**with_interval(f"{name}_entry", float(value), drawn), f"{name}_never": never}
