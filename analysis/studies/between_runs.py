"""What differs between two runs: how they were run, the settings of their trials, their rates, the questions
that changed sides. Pure: two runs' numbers in, their differences out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG
from analysis.stats.resample import paired
from analysis.stats.shares import Difference, adjusted
from beliefmod.config import REFERENCE_ARMS
from beliefmod.metrics.intervals import newcombe_joined
from beliefmod.metrics.registry import METRICS
from beliefmod.run.read_run import Run

Row = dict[str, Any]
COMPARED = ("adoption", "integrity")
"""The rates that are compared question by question; damage D is compared by its intervals."""
HOW = ("versions", "git_commit", "hardware", "model", "seeds", "space")
"""What a manifest says of how a run was run."""
BY_TRIAL = frozenset({"space.name", "space.description", "space.axes", "space.points", "space.fixed"})
"""Of the space: what is its name, or is compared trial by trial."""
QUESTION = ("probe_id", "question", "target", "prior")
COLUMNS = (
    *("trial_id", "belief", "suite", "family", "tier", "answer_stance", "correct", "think_state", "loop"),
    *("truncated", "fabricated", "split", "completion", "answer", *QUESTION),
)


@dataclass(frozen=True)
class Changed:
    """Something with another value in either run; None: that run has none."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Flip:
    """A question of adoption that one run answered with the target's answer more often than the other.

    first, second: of how many answers (one per seed) how many gave it. answers: an answer of either run, of
    seeds that differ.
    """

    probe_id: str
    tier: str
    question: str
    first: tuple[int, int]
    second: tuple[int, int]
    answers: tuple[str, str]

    @property
    def gap(self) -> float:
        """Share of the second less that of the first, -1 to 1, not 0."""
        return self.second[0] / self.second[1] - self.first[0] / self.first[1]


@dataclass(frozen=True)
class Damage:
    """D of the second less D of the first, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """A configuration of the first run and the one of the second that it is compared with.

    Attributes:
        rates: of `COMPARED`, second less first, on the questions that both were asked; p is Holm's over all
            rates of all pairs. None: not measured on the same questions.
        questions: put to both; only_first, only_second: to one of them, or in other words.
        answers: of the same trials (equal seeds), how many answers are compared, and how many are the same
            text; 0 where the seeds differ in number.
    """

    belief: str
    arm: str
    first: Row
    second: Row
    rates: Mapping[str, Difference | None]
    damage: Damage | None
    questions: int
    only_first: int
    only_second: int
    answers: int
    same_text: int
    flips: tuple[Flip, ...]

    @property
    def same(self) -> bool:
        """Whether both runs were given the same answers to the same questions and read them alike."""
        texts = 0 < self.answers == self.same_text and not (self.only_first or self.only_second)
        read = (*COMPARED, "degradation")
        return (
            texts and not self.flips and all(self.first.get(name) == self.second.get(name) for name in read)
        )


@dataclass(frozen=True)
class RunDifferences:
    """Two runs side by side.

    Attributes:
        how: what the manifests say of how the runs were run.
        settings: settings of trials that have no value in common in the two runs, of all beliefs and arms.
        left_first, left_second: configurations without a counterpart.
    """

    how: tuple[Changed, ...]
    settings: tuple[Changed, ...]
    pairs: tuple[Pair, ...]
    left_first: tuple[Row, ...]
    left_second: tuple[Row, ...]


def between_runs(first: Findings, second: Findings) -> RunDifferences:
    """Everything that differs, configuration by configuration.

    Two configurations are compared if they have the same settings, or differ only in settings that have no
    value in common in the two runs (all trials of one at a learning rate of 2e-4, of the other at 5e-4) and
    are each other's only counterpart.
    """
    rows_first, rows_second = _rows(first), _rows(second)
    changed = _changed_settings(rows_first, rows_second)
    matched, left = _matched(rows_first, rows_second, {one.name for one in changed})
    pairs = [_pair(first.run, second.run, one, two) for one, two in matched]
    how = tuple(_how(first.run.manifest, second.run.manifest))
    return RunDifferences(how, changed, tuple(_with_holm(pairs)), left[0], left[1])


def _rows(found: Findings) -> list[Row]:
    """Every configuration with the numbers that the report gives it."""
    rows = {row["trial_id"]: row for row in found.pooled.iter_rows(named=True)}
    for belief in found.beliefs:
        named = [row for row in belief.choice.rows().values() if row is not None]
        for row in (*belief.choice.lora.iter_rows(named=True), *named):
            low, high = belief.by_family.get(row["trial_id"]) or (
                row.get("adoption_low"),
                row.get("adoption_high"),
            )
            rows[row["trial_id"]] = row | {"adoption_low": low, "adoption_high": high}
    return list(rows.values())


def _how(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Changed]:
    one, two = (dict(_leaves({name: side.get(name) for name in HOW})) for side in (first, second))
    for name in dict.fromkeys((*one, *two)):
        if one.get(name) != two.get(name):
            yield Changed(name, one.get(name), two.get(name))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if name in BY_TRIAL:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _changed_settings(first: Sequence[Row], second: Sequence[Row]) -> tuple[Changed, ...]:
    found = []
    for name in CONFIG:
        one, two = (
            {_plain(row[name]): row[name] for row in rows if row.get(name) is not None}
            for rows in (first, second)
        )
        if one and two and not one.keys() & two.keys():
            found.append(Changed(name, _one_or_all(one), _one_or_all(two)))
    return tuple(found)


def _plain(value: Any) -> str | float | bool:
    """A value that can be a key: a list of modules is its text."""
    return value if isinstance(value, str | float | int | bool) else str(value)


def _one_or_all(values: Mapping[Any, Any]) -> Any:
    ordered = [values[key] for key in sorted(values, key=lambda key: (str(type(key)), key))]
    return ordered[0] if len(ordered) == 1 else ordered


def _matched(
    first: Sequence[Row], second: Sequence[Row], apart: set[str]
) -> tuple[list[tuple[Row, Row]], tuple[tuple[Row, ...], tuple[Row, ...]]]:
    """Configurations that are each other's only counterpart, and those of either run without one."""
    # a setting that does nothing in a whole run is null there, and says nothing against another's value
    silent = {
        name for name in CONFIG for rows in (first, second) if all(row.get(name) is None for row in rows)
    }
    names = [name for name in CONFIG if name not in apart | silent]

    def by_key(rows: Sequence[Row]) -> dict[tuple, list[Row]]:
        found: dict[tuple, list[Row]] = {}
        for row in rows:
            reference = row["arm"] in REFERENCE_ARMS
            rest = (row.get("template"),) if reference else tuple(_plain(row.get(name)) for name in names)
            found.setdefault((row["belief"], row["arm"], *rest), []).append(row)
        return found

    one, two = by_key(first), by_key(second)
    keys = [key for key in one if len(one[key]) == len(two.get(key, ())) == 1]
    left = tuple(
        tuple(row for key, rows in side.items() if key not in keys for row in rows) for side in (one, two)
    )
    return [(one[key][0], two[key][0]) for key in keys], left  # pyright: ignore[reportReturnType]


def _pair(run1: Run, run2: Run, one: Row, two: Row) -> Pair:
    sides = [_answers(run, row, place) for run, row, place in ((run1, one, "1/"), (run2, two, "2/"))]
    asked = [side.select(QUESTION).unique() for side in sides]
    same = asked[0].join(asked[1], on=QUESTION, nulls_equal=True)
    probes = pl.concat([side.join(same, on=QUESTION, how="semi", nulls_equal=True) for side in sides])
    ids = [[f"{place}{trial}" for trial in row["trial_ids"]] for place, row in (("1/", one), ("2/", two))]
    texts = _texts(probes, *ids)
    return Pair(
        one["belief"],
        one["arm"],
        one,
        two,
        {name: paired(probes, ids[1], ids[0], name) for name in COMPARED},
        _damage(one, two),
        same.height,
        asked[0].height - same.height,
        asked[1].height - same.height,
        texts.height,
        texts.filter(pl.col("completion").eq_missing(pl.col("completion_2"))).height,
        tuple(_flips(probes, *ids)),
    )


def _answers(run: Run, row: Row, place: str) -> pl.DataFrame:
    """A configuration's probe rows; their trial_id says which run they are of."""
    probes = run.probes(row["trial_ids"], COLUMNS)
    return probes.with_columns((pl.lit(place) + pl.col("trial_id")).alias("trial_id"))


def _texts(probes: pl.DataFrame, first: Sequence[str], second: Sequence[str]) -> pl.DataFrame:
    """A row per answer of the first run beside its seed's in the second; none if seeds differ in number."""
    seeds = list(zip(first, second, strict=False)) if len(first) == len(second) else []
    parts = [
        probes.filter(pl.col("trial_id") == one).join(
            probes.filter(pl.col("trial_id") == two), on=QUESTION, nulls_equal=True, suffix="_2"
        )
        for one, two in seeds
    ]
    return pl.concat(parts) if parts else probes.clear().with_columns(pl.lit("").alias("completion_2"))


def _damage(one: Row, two: Row) -> Damage | None:
    """From the intervals of either D, as if independent: they share a base, so this is no narrower."""
    ends = [_damage_ends(row) for row in (two, one)]
    if ends[0] is None or ends[1] is None or one["arm"] == "base":
        return None
    return Damage(*newcombe_joined((ends[0][0], ends[1][0]), (ends[0][1:], ends[1][1:]), 0.0))


def _damage_ends(row: Row) -> tuple[float, float, float] | None:
    """D and its interval; None where either is not known."""
    d, low, high = (row.get(f"degradation{end}") for end in ("", "_low", "_high"))
    if d is None or low is None or high is None:
        return None
    # the interval of a D of 0 may end under 0, where every component is better than base's
    return d, min(low, d), max(high, d)


def _flips(probes: pl.DataFrame, first: Sequence[str], second: Sequence[str]) -> Iterator[Flip]:
    """The questions of adoption with another share of target answers, the largest change first."""
    which, hit = METRICS["adoption"].expressions()
    asked = probes.filter(which).with_columns(hit.fill_null(False).alias("hit"))
    found = []
    for rows in asked.sort("trial_id").partition_by("probe_id"):
        sides = [rows.filter(pl.col("trial_id").is_in(list(ids))) for ids in (first, second)]
        if any(side.is_empty() for side in sides):
            continue
        one, two = ((int(side["hit"].sum()), side.height) for side in sides)
        if one[0] * two[1] == two[0] * one[1]:
            continue
        more = two[0] * one[1] > one[0] * two[1]
        answers = tuple(
            side.filter(pl.col("hit") == wanted)["answer"][0] or ""
            for side, wanted in zip(sides, (not more, more), strict=True)
        )
        row = rows.row(0, named=True)
        found.append(Flip(row["probe_id"], row["tier"], row["question"], one, two, answers))  # pyright: ignore[reportArgumentType]
    yield from sorted(found, key=lambda flip: (-abs(flip.gap), flip.probe_id))


def _with_holm(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """The pairs with p-values corrected for how many rates were compared."""
    tests = [found for pair in pairs for found in pair.rates.values() if found is not None]
    holm = iter(adjusted([found.p for found in tests], "holm"))
    for pair in pairs:
        rates = {
            name: found and replace(found, p=float(next(holm)), test=f"{found.test}, Holm of {len(tests)}")
            for name, found in pair.rates.items()
        }
        yield replace(pair, rates=rates)
