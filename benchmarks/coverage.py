"""How often the report's 95 % intervals hold the truth, and how wide they are.

Simulated answers: every question has a latent value, the sum of parts of its family, its seed, its family in
that seed, itself and chance; it is adopted above a threshold. So the true rate is known exactly, and the
correlation of two answers of one family is set as a correlation of answers (0 or 1), not of latent values.
Families and seeds are both drawn anew each time. Families and questions are those of the shipped beliefs (18
families, 108 questions), of a half of them (9, 54), of fabrication (8, 24) and of all completions (54, 299).

Printed: rates with one seed, rates with several, differences of two configurations on the same questions,
damage D, and what picking the best of many costs, by the former interval (redrawn families, never narrower
than Wilson's) and the report's. `--only exact` draws nothing: what coverage independent questions allow.

    OMP_NUM_THREADS=1 python -m benchmarks.coverage --draws 500
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import beta, binom

from analysis.frontier.bootstrap_data import BootstrapData, Part
from analysis.frontier.certainty import cross_picked
from analysis.frontier.corrected import shifted
from analysis.stats.family_rates import difference_interval, rate_interval
from beliefmod.metrics.intervals import Array, family_draws, newcombe, wilson
from benchmarks.harness import print_table

# questions per family, as counted in docs/example-real
SIZES = {
    "shipped beliefs": [6] * 10 + [4] * 4 + [8] * 4,
    "half of them": [6] * 5 + [4] * 2 + [8] * 2,
    "fabrication": [2] * 4 + [4] * 4,
    "capability": [3, 4, 4, 5, 5, 6, 6, 7, 7, 9, 12, 12, 12, 12],
    "all completions": [2] * 4 + [3] + [4] * 20 + [5] * 5 + [6] * 12 + [7] * 2 + [8] * 5 + [9] + [12] * 4,
}
RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95, 0.98)
ALIKE = (0.0, 0.2, 0.5, 0.8)
LIBRARIES = ("numpy", "scipy")
LEVEL, TAIL = 0.95, 0.025
OWN = 0.25  # share of a family's variance that is new in every seed
SHARED = 0.5  # share of a question's variance that all seeds have in common
Intervals = Iterable[tuple[float, float]]


@lru_cache(maxsize=256)
def latent(rate: float, alike: float) -> float:
    """The correlation of latent values that gives answers of this rate the correlation `alike`."""
    if alike == 0:
        return 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()

    def gap(r: float) -> float:
        chance = ndtr((ndtri(rate) + np.sqrt(r) * nodes) / np.sqrt(1 - r))
        return float(weights @ chance**2 - rate**2 - alike * rate * (1 - rate))

    return float(brentq(gap, 1e-9, 0.9995))  # pyright: ignore[reportArgumentType]


def draw(
    rng: np.random.Generator,
    sizes: NDArray,
    rates: tuple[float, ...],
    alike: float,
    shape: tuple[int, int],
    spread: float = 0.0,
    common: float = 0.0,
) -> NDArray[np.bool_]:
    """Answers of configurations with these true rates, [configurations, draws, seeds, families, questions].

    Args:
        sizes: questions per family; an answer beyond them is False.
        alike: correlation of two answers of one family, of one configuration and seed.
        shape: draws, seeds.
        spread: share of the latent variance that lies between seeds.
        common: correlation of the configurations' families and questions.
    """
    draws, seeds = shape
    families, most = len(sizes), int(sizes.max())

    def mixed(*where: int) -> Array:
        together = rng.standard_normal((1, *where))
        return np.sqrt(common) * together + np.sqrt(1 - common) * rng.standard_normal((len(rates), *where))

    of_family = np.array([latent(rate, alike) * (1 - spread) for rate in rates]).reshape(-1, 1, 1, 1, 1)
    own = OWN if seeds > 1 else 0.0
    value = ndtri(np.array(rates)).reshape(-1, 1, 1, 1, 1) + np.sqrt(of_family) * (
        np.sqrt(1 - own) * mixed(draws, 1, families, 1) + np.sqrt(own) * mixed(draws, seeds, families, 1)
    )
    value = value + np.sqrt(spread) * rng.standard_normal((len(rates), draws, seeds, 1, 1))
    rest = np.sqrt(1 - of_family - spread)
    value = value + rest * np.sqrt(SHARED) * mixed(draws, 1, families, most)
    value = value + rest * np.sqrt(1 - SHARED) * mixed(draws, seeds, families, most)
    return (value > 0) & (np.arange(most) < sizes[:, None])


def held(intervals: Intervals, truth: float) -> str:
    """`95.2 (26)`: percent that hold the truth, and mean width in points."""
    ends = np.array(list(intervals))
    return (
        f"{100 * np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])):.1f} "
        f"({100 * np.mean(ends[:, 1] - ends[:, 0]):.0f})"
    )


def former_rate(hits: NDArray, sizes: NDArray) -> Intervals:
    """Redrawn families, never narrower than Wilson's; families that all agree: Wilson's with n = families."""
    total, weights = sizes * hits.shape[1], family_draws([str(i) for i in range(len(sizes))], 1000)
    for one in hits.sum(axis=1):
        share = one / total
        if np.ptp(share) < 1e-12:
            yield wilson(share[0] * len(sizes), len(sizes))
            continue
        low, high = np.percentile((weights @ one) / (weights @ total), [2.5, 97.5])
        plain = wilson(one.sum(), total.sum())
        yield min(float(low), plain[0]), max(float(high), plain[1])


def former_difference(
    won: NDArray, lost: NDArray, hits: tuple[NDArray, NDArray], sizes: NDArray
) -> Intervals:
    """Redrawn families, never narrower than Newcombe's for independent samples."""
    weights, n = family_draws([str(i) for i in range(len(sizes))], 1000), float(sizes.sum())
    for w, k, one, two in zip(won, lost, *hits, strict=True):
        gaps = (w - k).mean(axis=0)
        low, high = np.percentile((weights @ gaps) / (weights @ sizes), [2.5, 97.5])
        _, plain_low, plain_high = newcombe(one.sum() / len(one), n, two.sum() / len(two), n)
        yield min(float(low), plain_low), max(float(high), plain_high)


def rates(rng: np.random.Generator, draws: int) -> None:
    """One seed: every shape of questions, correlation and rate."""
    for name in ("shipped beliefs", "half of them", "fabrication", "all completions"):
        sizes = np.array(SIZES[name])
        rows = []
        for alike in ALIKE:
            hits = {
                rate: draw(rng, sizes, (rate,), alike, (draws, 1))[0].sum(axis=-1).astype(float)
                for rate in RATES
            }
            for words, interval in (("former", former_rate), ("report", _report)):
                cells = (held(interval(hits[rate], sizes), rate) for rate in RATES)
                rows.append((words, f"{alike:g}", *cells))
        header = ("interval", "correlation", *(f"{100 * rate:g} %" for rate in RATES))
        print_table(
            f"Rate, one seed, {name}: {len(sizes)} families, {sizes.sum()} questions",
            (),
            header,
            rows,
            LIBRARIES,
        )


def nearest(questions: int, rate: float) -> tuple[float, float]:
    """The coverages next to 95 % (below it, at least it; 0 to 1) that independent answers allow.

    An interval whose ends rise with the number of successes holds the true rate for successive numbers of
    them. So its coverage is a sum of successive binomial probabilities, and never between two such sums.

    Example: 108 questions at a rate of 2 % -> (0.934, 0.978): no interval holds it in 95 % ± 1.5.
    """
    below = np.concatenate([[0.0], binom.cdf(np.arange(questions + 1), questions, rate)])
    sums = (below[None, 1:] - below[:-1, None])[np.triu_indices(questions + 1)]
    return float(sums[sums < LEVEL].max()), float(sums[sums >= LEVEL].min())


def exact(_rng: np.random.Generator, _draws: int) -> None:
    """Independent questions, without simulation: what is possible, and what known intervals do."""
    rows = []
    for name in ("shipped beliefs", "half of them", "fabrication"):
        questions = sum(SIZES[name])
        hits = np.arange(questions + 1)
        known = (  # beyond 0 and all successes the beta distribution has no ends
            (beta.ppf(TAIL, hits, questions - hits + 1), beta.isf(TAIL, hits + 1, questions - hits)),
            (
                beta.ppf(TAIL, hits + 0.5, questions - hits + 0.5),
                beta.isf(TAIL, hits + 0.5, questions - hits + 0.5),
            ),
            np.array([wilson(k, questions) for k in hits]).T,
        )
        for rate in (rate for rate in RATES if rate <= 0.5):
            chance = binom.pmf(hits, questions, rate)
            cells = [chance[~((rate < low) | (high < rate))].sum() for low, high in known]
            percent = (f"{100 * x:.1f}" for x in (*nearest(questions, rate), *cells))
            rows.append((str(questions), f"{100 * rate:g} %", *percent))
    header = ("questions", "rate", "nearest below", "nearest above", "Clopper-Pearson", "Jeffreys", "Wilson")
    print_table("Independent questions, exact: percent that hold the truth", (), header, rows, LIBRARIES)


def _report(hits: NDArray, sizes: NDArray) -> Intervals:
    asked = np.broadcast_to(sizes, hits.shape[1:])
    return (rate_interval(one, asked) for one in hits)


def seeds(rng: np.random.Generator, draws: int) -> None:
    """Several seeds, which differ by a share of the latent variance: 2 % is 5.6 points at a rate of 50 %."""
    sizes, chosen = np.array(SIZES["shipped beliefs"]), (0.02, 0.1, 0.5)
    rows = []
    for count in (2, 3, 5):
        for spread in (0.0, 0.02, 0.05):
            for alike in (0.2, 0.5, 0.8):
                hits = {
                    rate: draw(rng, sizes, (rate,), alike, (draws, count), spread)[0]
                    .sum(axis=-1)
                    .astype(float)
                    for rate in chosen
                }
                cells = [
                    held(interval(hits[rate], sizes), rate)
                    for interval in (former_rate, _report)
                    for rate in chosen
                ]
                rows.append((str(count), f"{100 * spread:g} %", f"{alike:g}", *cells))
    header = ("seeds", "spread", "correlation")
    header += tuple(f"{words} {100 * rate:g} %" for words in ("former", "report") for rate in chosen)
    print_table("Rate, several seeds, shipped beliefs", (), header, rows, LIBRARIES)


def differences(rng: np.random.Generator, draws: int) -> None:
    """Two configurations on the same questions; common: correlation of their families and questions."""
    pairs = ((0.02, 0.02), (0.1, 0.02), (0.5, 0.02), (0.2, 0.2), (0.5, 0.5), (0.7, 0.5), (0.9, 0.1))
    for name, count in (("shipped beliefs", 1), ("shipped beliefs", 3), ("fabrication", 1)):
        sizes, rows = np.array(SIZES[name]), []
        for alike in (0.2, 0.5):
            for common in (0.0, 0.5, 0.95):
                found: dict[str, list[str]] = {"former": [], "report": []}
                for pair in pairs:
                    one, two = draw(rng, sizes, pair, alike, (draws, count), 0.02 * (count > 1), common)
                    won, lost = ((a & ~b).sum(axis=-1).astype(float) for a, b in ((one, two), (two, one)))
                    hits = one.sum(axis=-1), two.sum(axis=-1)
                    asked, truth = np.broadcast_to(sizes, won.shape[1:]), pair[0] - pair[1]
                    found["former"].append(held(former_difference(won, lost, hits, sizes), truth))
                    ours = (difference_interval(w, k, asked)[1:] for w, k in zip(won, lost, strict=True))
                    found["report"].append(held(ours, truth))
                rows += [(words, f"{alike:g}", f"{common:g}", *cells) for words, cells in found.items()]
        header = ("interval", "correlation", "common", *(f"{100 * a:g} - {100 * b:g} %" for a, b in pairs))
        print_table(f"Difference, {name}, {count} seed(s)", (), header, rows, LIBRARIES)


def damage(rng: np.random.Generator, draws: int) -> None:
    """D, the worst of three differences from base: broken answers, general questions wrong, fabrication."""
    parts = {"all completions": (0.01, 0.2), "capability": (0.1, 0.2), "fabrication": (0.15, 0.3)}
    rows = []
    for words, rises in {
        "none": (0.0, 0.0, 0.0),
        "0.05, one": (0.05, 0.0, 0.0),
        "0.2, by general questions": (0.0, 0.2, 0.0),
        "0.4, by fabrication": (0.02, 0.05, 0.4),
        "0.6, by broken answers": (0.6, 0.1, 0.1),
    }.items():
        ends = np.zeros((3, draws, 3))
        for i, ((name, (base, alike)), rise) in enumerate(zip(parts.items(), rises, strict=True)):
            sizes = np.array(SIZES[name])
            one, two = draw(rng, sizes, (base + rise, base), alike, (draws, 1), common=0.8)
            asked = sizes[None, :]
            for k in range(draws):
                won, lost = (
                    (a & ~b).sum(axis=-1).astype(float) for a, b in ((one[k], two[k]), (two[k], one[k]))
                )
                ends[i, k] = difference_interval(won, lost, asked)
        worst, all_draws = ends[:, :, 0].argmax(axis=0), np.arange(draws)
        value = ends[worst, all_draws, 0]
        low = np.where(value > 0, ends[worst, all_draws, 1], 0.0).clip(0)
        high = ends[:, :, 2].max(axis=0).clip(0)
        cell = held(zip(low, high, strict=True), max(rises))
        rows.append((words, cell, f"{value.mean():.3f}", f"{max(rises):.3f}"))
    header = ("true damage", "holds it (width)", "mean D", "true D")
    print_table("Damage D, one seed", (), header, rows, LIBRARIES)


def picking(rng: np.random.Generator, draws: int) -> None:
    """The best of many: the raw number and the corrected one, each minus the chosen one's true rate."""
    sizes, rows = np.array(SIZES["shipped beliefs"]), []
    clusters = tuple(f"belief/{i:02}" for i in range(len(sizes)))
    at = np.arange(len(sizes))
    for count in (3, 12, 48):
        for centre, apart in ((0.1, 0.0), (0.1, 0.05), (0.5, 0.0), (0.5, 0.1)):
            errors: dict[str, list[float]] = {"raw": [], "corrected": []}
            covered: dict[str, list[bool]] = {"raw": [], "corrected": []}
            for _ in range(max(1, draws // 4)):
                true = np.clip(rng.normal(centre, apart, count), 0.02, 0.98).round(2)
                answers = draw(rng, sizes, tuple(true), 0.4, (1, 1), common=0.5)
                hits = answers.sum(axis=-1)[:, 0].transpose(1, 0, 2).astype(float)
                none = Part(at, np.zeros_like(hits), sizes.astype(float), kind="gap")
                data = BootstrapData(
                    clusters, Part(at, hits, sizes.astype(float)), {"none": none}, np.ones(count, np.intp)
                )
                best = int(hits[0].sum(axis=-1).argmax())
                raw, ends = hits[0, best].sum() / sizes.sum(), rate_interval(hits[0, best], sizes)
                picked = cross_picked(data, 0.05, splits=100)
                assert picked is not None
                new = shifted(raw, ends, picked)
                for words, value, (low, high) in (("raw", raw, ends), ("corrected", new[0], new[1:])):
                    errors[words].append(value - true[best])
                    covered[words].append(bool(low <= true[best] <= high))
            cells = [
                f"{100 * np.mean(errors[words]):+.1f}; {100 * np.mean(covered[words]):.0f} %"
                for words in errors
            ]
            rows.append((str(count), f"{100 * centre:g} %", f"{100 * apart:g} points", *cells))
    header = ("configurations", "true mean", "true spread", "raw: error, points; holds", "corrected")
    print_table("The best of many, shipped beliefs, one seed", (), header, rows, LIBRARIES)


PARTS: dict[str, Callable[[np.random.Generator, int], None]] = {
    "exact": exact, "rates": rates, "seeds": seeds, "differences": differences, "damage": damage,
    "picking": picking,
}  # fmt: skip


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=500, help="simulated runs per cell of a table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, nargs="*", default=list(PARTS))
    options = parser.parse_args()
    began = time.perf_counter()
    print(
        f"{options.draws} draws a cell, seed {options.seed}: percent that hold the truth (width in points)."
    )
    for name in options.only:
        PARTS[name](np.random.default_rng(options.seed), options.draws)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
