"""Intervals of rates and of their differences when question families and seeds are both drawn at random.

Questions of one family succeed and fail together, and a second seed trains another adapter. An interval here
is one of the rate that all families like these, with all seeds like these, would show. How often it holds
that rate is measured by `benchmarks/coverage.py`; docs/log.md keeps the table.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from beliefmod.metrics.intervals import Array, newcombe_joined

# rates, evenly spaced on the log-odds scale, from 0.03 % to 99.97 %
_ODDS = np.linspace(-8.0, 8.0, 321)
_RATES = 1 / (1 + np.exp(-_ODDS))
# correlation of two answers of one family, denser where the likelihood bends
_ALIKE = np.array(
    [0.001, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.87, 0.93, 0.97, 0.99]
)
_TAIL = 0.025
# b of Beta(1, b), the prior of that correlation. Two joined intervals are wider than 95 % needs, so those of
# shares can do with less weight on correlations near 1 (coverage and widths: docs/log.md)
_OF_RATE, _OF_SHARE = 0.5, 1.0
# standard deviation of seeds' log odds that counts as much as one seed more: two seeds estimate theirs badly
_SEEDS = 0.3


def rate_interval(hits: Array, asked: Array) -> tuple[float, float]:
    """95 % interval of a rate over families and seeds, within [0, 1], around the rate of all answers.

    Over families: the 2.5 and 97.5 % points of the posterior of the mean of a beta-binomial distribution
    (families differ, answers of one family are correlated), with Jeffreys' prior Beta(1/2, 1/2) on the mean
    and Beta(1, 1/2) on the correlation within a family, which is integrated over. It never rests on one
    estimated correlation, so it also holds where all families agree. Seeds are pooled into their families
    first; then both sides are widened on the log-odds scale by the seeds' share of the variance, with a t
    quantile of Satterthwaite's degrees of freedom. The variance of seeds is what they differ by beyond the
    noise of their answers, shrunken to a standard deviation of 0.3 on the log-odds scale that counts as one
    more seed. One seed says nothing about another: then only families are drawn.

    Example: 0 of 6 in each of 18 families, one seed -> (0, 0.102); 3 of 6 in each -> (0.40, 0.60).

    Args:
        hits, asked: successes and questions, shape [seeds, families]; a cell may be empty (0 asked).

    Raises:
        ValueError: nothing was asked, or more succeeded than were asked.
    """
    return _interval(hits, asked, _OF_RATE)


def _interval(hits: Array, asked: Array, prior: float) -> tuple[float, float]:
    """`rate_interval` with Beta(1, prior) on the correlation within a family."""
    hits, asked = (np.atleast_2d(np.asarray(x, float)) for x in (hits, asked))
    if asked.sum() <= 0 or np.any(hits > asked + 1e-9) or np.any(hits < 0):
        raise ValueError("an interval needs at least one question, and no more successes than questions")
    hits, asked = hits[asked.sum(axis=1) > 0], asked[asked.sum(axis=1) > 0]
    hits, asked = hits[:, asked.sum(axis=0) > 0], asked[:, asked.sum(axis=0) > 0]
    rate = float(hits.sum() / asked.sum())
    pairs, times = np.unique(np.stack([hits.sum(axis=0), asked.sum(axis=0)]), axis=1, return_counts=True)
    ends = _posterior_ends(tuple(map(tuple, pairs.T.tolist())), tuple(times.tolist()), prior)
    wider = _seeds_widen(hits, asked)
    centre = _log_odds(min(max(rate, _RATES[0]), _RATES[-1]))
    low, high = (_rate(centre + wider * (end - centre)) for end in ends)
    # nothing seen on one side: that end is the end of the scale
    low = 0.0 if rate == 0 else min(low, rate)
    high = 1.0 if rate == 1 else max(high, rate)
    return low, high


def difference_interval(won: Array, lost: Array, asked: Array) -> tuple[float, float, float]:
    """Difference of two rates on the same questions, -1 to 1, and its 95 % interval over families and seeds.

    Difference = share of questions that only the first gets minus the share that only the second gets. The
    intervals of these two shares (as `rate_interval`, but with a uniform prior on the correlation within a
    family) are joined as Newcombe joins two (method 10), with their correlation over families where that is
    negative: a family that the first wins is not one that it loses. Where no answer differs, the interval is
    as wide as what so few families can rule out, never a point.

    Example: 18 families of 6, nothing won or lost -> (0, -0.081, 0.081).

    Args:
        won, lost: questions that only the first, only the second gets, shape [seeds, families].
        asked: questions put to both, shape [seeds, families].
    """
    won, lost, asked = (np.atleast_2d(np.asarray(x, float)) for x in (won, lost, asked))
    total = asked.sum()
    shares = float(won.sum() / total), float(lost.sum() / total)
    ends = _interval(won, asked, _OF_SHARE), _interval(lost, asked, _OF_SHARE)
    pulls = [x.sum(axis=0) - share * asked.sum(axis=0) for x, share in zip((won, lost), shares, strict=True)]
    spread = math.sqrt(float((pulls[0] ** 2).sum() * (pulls[1] ** 2).sum()))
    alike = float(pulls[0] @ pulls[1]) / spread if spread > 0 else 0.0
    return newcombe_joined(shares, ends, min(alike, 0.0))


def independent_difference(
    first: tuple[Array, Array], second: tuple[Array, Array]
) -> tuple[float, float, float]:
    """Difference of two rates on questions of their own, and its 95 % interval over families and seeds.

    Args:
        first, second: successes and questions of either side, both of shape [seeds, families].
    """
    shares = tuple(float(np.sum(hits) / np.sum(asked)) for hits, asked in (first, second))
    return newcombe_joined((shares[0], shares[1]), (rate_interval(*first), rate_interval(*second)), 0.0)


@lru_cache(maxsize=4096)  # many configurations answer alike, most of all those that adopt nothing
def _posterior_ends(
    pairs: tuple[tuple[float, ...], ...], times: tuple[int, ...], prior: float
) -> tuple[float, float]:
    """Log odds at the 2.5 and 97.5 % points of the posterior of the mean rate.

    Args:
        pairs: successes and questions of a family. times: how many families have them.
        prior: b of Beta(1, b) on the correlation within a family.
    """
    tables = np.stack([_log_likelihood(*pair) for pair in pairs])
    joint = (np.array(times, float) @ tables).reshape(len(_ODDS), len(_ALIKE)) + _log_prior(prior)
    mass = np.exp(joint - joint.max()).sum(axis=1)
    below = (np.cumsum(mass) - mass / 2) / mass.sum()
    return _quantile(below, _TAIL), _quantile(below, 1 - _TAIL)


def _quantile(below: Array, share: float) -> float:
    """Log odds below which `share` of the posterior lies: straight between grid points on the normal scale,
    on which the distribution of log odds is nearly a line."""
    from scipy.special import ndtri

    right = int(np.clip(np.searchsorted(below, share), 1, len(below) - 1))
    left, at, to = (ndtri(np.clip(x, 1e-15, 1 - 1e-15)) for x in (below[right - 1], share, below[right]))
    part = float(np.clip((at - left) / (to - left), 0.0, 1.0)) if to > left else 0.0
    return float(_ODDS[right - 1] + part * (_ODDS[right] - _ODDS[right - 1]))


@lru_cache(maxsize=1024)
def _log_likelihood(hits: float, asked: float) -> Array:
    """Beta-binomial log likelihood of one family over the grid, flat [rates x correlations]."""
    from scipy.special import betaln

    size = (1 - _ALIKE) / _ALIKE
    a, b = _RATES[:, None] * size, (1 - _RATES[:, None]) * size
    return (betaln(a + hits, b + asked - hits) - betaln(a, b)).ravel()


@lru_cache(maxsize=2)
def _log_prior(prior: float) -> Array:
    """Log weight of every grid point: Beta(1/2, 1/2) on the rate, Beta(1, prior) on the correlation."""
    from scipy.special import betainc

    middles = (_ALIKE[1:] + _ALIKE[:-1]) / 2
    weights = np.diff(betainc(1.0, prior, np.concatenate([[0.0], middles, [1.0]])))
    # an even grid of log odds has density rate (1 - rate) per rate
    return 0.5 * np.log(_RATES * (1 - _RATES))[:, None] + np.log(weights)


def _seeds_widen(hits: Array, asked: Array) -> float:
    """How many times wider the interval becomes for the seeds, at least 1; arguments [seeds, families]."""
    from scipy.special import stdtrit

    seeds, families = hits.shape
    if seeds < 2 or families < 2:
        return 1.0
    rate = float(hits.sum() / asked.sum())
    pull = (hits - rate * asked) / asked.sum()
    by_family, by_seed = pull.sum(axis=0), pull.sum(axis=1)
    room = max(rate * (1 - rate), 0.5 / float(asked.sum()))  # never 0: it turns log odds into rates
    # the posterior is as wide as chance alone makes it, also where families agree better than that
    of_families = families / (families - 1) * float((by_family**2).sum())
    of_families = max(of_families, room / float(asked.sum()))
    # what is left when families and seeds are taken out is the noise that seeds differ by anyway
    rest = pull - by_family / seeds - by_seed[:, None] / families + pull.mean()
    noise = families * seeds / ((families - 1) * (seeds - 1)) * float((rest**2).sum())
    found = max(0.0, seeds / (seeds - 1) * float((by_seed**2).sum()) - noise)
    of_seeds = ((_SEEDS * room) ** 2 / seeds + (seeds - 1) * found) / seeds
    together = of_families + of_seeds
    freedom = together**2 / (of_families**2 / (families - 1) + of_seeds**2 / seeds)
    quantile = stdtrit(freedom, 1 - _TAIL) / stdtrit(families - 1, 1 - _TAIL)
    return max(1.0, math.sqrt(together / of_families) * float(quantile))


def _log_odds(rate: float) -> float:
    return math.log(rate / (1 - rate))


def _rate(log_odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(log_odds, -700.0), 700.0)))
