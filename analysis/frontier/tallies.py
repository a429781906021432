"""Probe rows and drift rows of one belief as the sums that redraws need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.frontier.bootstrap_data import BootstrapData, Part
from analysis.stats.resample import adoption_hits, cluster
from beliefmod.metrics.degradation import has_room
from beliefmod.metrics.metric import all_expression
from beliefmod.metrics.registry import COMPONENTS

PROBED = {name: metric for name, metric in COMPONENTS.items() if metric.table == "probes"}
DRIFTED = {name: metric for name, metric in COMPONENTS.items() if metric.table == "drift"}


@dataclass(frozen=True)
class Built:
    """Bootstrap data, which of the configurations asked for are in it, and the components that could not be.

    rows: places of the data's configurations among the groups given, rising. absent: names of components
    that base or every configuration lacks. incomplete: configurations left out because one of their seeds
    lacks a component that others have.
    """

    data: BootstrapData
    rows: NDArray[np.intp]
    absent: tuple[str, ...]
    incomplete: int


@dataclass(frozen=True)
class _Tally:
    """Successes and questions: ours [seeds, groups, clusters], base's [clusters]."""

    clusters: tuple[str, ...]
    hits: NDArray
    asked: NDArray
    base_hits: NDArray
    base_asked: NDArray


def build(
    probes: pl.DataFrame, groups: Sequence[Sequence[str]], base: str | None, drift: pl.DataFrame | None = None
) -> Built | None:
    """Bootstrap data of these configurations, each given by the trials of its seeds.

    Components at whose floor or ceiling base itself is are left out, as in D (`has_room`).
    Damage of several seeds is that of all their answers together, for drift the mean over seeds.

    Returns:
        None without base's probes, or if no configuration has adoption and a component of D.
    """
    if base is None or not groups or probes.filter(pl.col("trial_id") == base).is_empty():
        return None
    sizes = np.array([len(group) for group in groups])
    real = np.arange(sizes.max())[:, None] < sizes
    adoption = _tally(probes, groups, base, *adoption_hits())
    complete = _complete(adoption.asked.sum(axis=2) > 0, real)
    found: dict[str, _Tally] = {}
    absent: list[str] = []
    for name, metric in PROBED.items():
        tally = _tally(probes, groups, base, *metric.expressions())
        known = _complete(tally.asked.sum(axis=2) > 0, real)
        asked = tally.base_asked.sum()
        if asked and not has_room(metric, tally.base_hits.sum(), asked):
            continue
        if not asked or not known.any():
            absent.append(name)
            continue
        found[name] = tally
        complete &= known
    passages, drifted = _drift(drift, groups)
    for name in DRIFTED:
        measured = np.asarray(~np.isnan(drifted[name]).any(axis=2)) if passages else np.zeros_like(real)
        known = _complete(measured, real)
        if known.any():
            complete &= known
        else:
            absent.append(name)
            del drifted[name]
    rows = np.flatnonzero(complete)
    if not len(rows) or not (found or drifted):
        return None
    names = {*adoption.clusters, *(c for tally in found.values() for c in tally.clusters)}
    clusters = (*sorted(names), *(passages if drifted else ()))
    place = {name: i for i, name in enumerate(clusters)}

    def at(columns: Sequence[str]) -> NDArray[np.intp]:
        return np.array([place[name] for name in columns], np.intp)

    parts = {}
    for name, tally in found.items():
        parts[name] = _part(at(tally.clusters), tally, real, rows, PROBED[name].sign)
    for name, values in drifted.items():
        values = np.where(real[:, rows, None], values[:, rows], 0.0)
        parts[name] = Part(at(passages), values, np.ones(len(passages)), kind=name)
    asked, alike = _shared(adoption.asked[:, rows], real[:, rows])
    whole = Part(at(adoption.clusters), adoption.hits[:, rows], asked if alike else adoption.asked[:, rows])
    data = BootstrapData(clusters, whole, parts, sizes[rows].astype(np.intp))
    return Built(data, rows, tuple(absent), len(groups) - len(rows))


def _complete(known: NDArray[np.bool_], real: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all seeds of each group are known; both arguments [seeds, groups]."""
    return np.asarray((known | ~real).all(axis=0))


def _shared(asked: NDArray, real: NDArray[np.bool_]) -> tuple[NDArray, bool]:
    """What the first was asked, and whether all were asked the same."""
    first = asked[0, 0]
    return first, bool((asked[real] == first).all())


def _part(clusters: NDArray[np.intp], tally: _Tally, real: NDArray, rows: NDArray, sign: int) -> Part:
    hits, asked, real = tally.hits[:, rows], tally.asked[:, rows], real[:, rows]
    _, alike = _shared(asked, real)
    if alike and (asked[0, 0] == tally.base_asked).all():
        # whole numbers, so that equal damage is equal to the last bit
        return Part(
            clusters,
            np.where(real[:, :, None], sign * (tally.base_hits - hits), 0.0).astype(np.float32),
            tally.base_asked,
            kind="gap",
        )
    return Part(clusters, hits, asked, sign, (tally.base_hits, tally.base_asked))


def _tally(
    probes: pl.DataFrame, groups: Sequence[Sequence[str]], base: str, which: pl.Expr, hit: pl.Expr
) -> _Tally:
    size, seeds = len(groups), max(map(len, groups))
    table = (
        probes.filter(which)
        .join(_places([*groups, [base]]), on="trial_id")
        .group_by("place", "seed_place", cluster())
        .agg(hit.sum().alias("hits"), pl.len().alias("asked"))
    )
    clusters, index = _index(table)
    hits, asked = (np.zeros((seeds, size + 1, len(clusters))) for _ in range(2))
    hits[index], asked[index] = table["hits"].to_numpy(), table["asked"].to_numpy()
    return _Tally(clusters, hits[:, :size], asked[:, :size], hits[0, size], asked[0, size])


def _drift(
    drift: pl.DataFrame | None, groups: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], dict[str, NDArray]]:
    """Neutral passages as cluster names, and drift per token on each, [seeds, groups, passages] or NaN."""
    seeds = max(map(len, groups))
    if drift is None or drift.is_empty():
        return (), {name: np.full((seeds, len(groups), 0), np.nan) for name in DRIFTED}
    table = (
        # the components of drift are measured on the same passages
        drift.filter(all_expression(next(iter(DRIFTED.values())).asked))
        .join(_places(groups), on="trial_id")
        .with_columns(pl.format("neutral/{}", "passage_id").alias("cluster"))
        .unique(["place", "seed_place", "cluster"])
    )
    clusters, index = _index(table)
    found = {}
    for name, metric in DRIFTED.items():
        assert metric.value is not None
        values = table.select(metric.value.expression().fill_null(float("nan"))).to_series()
        found[name] = np.full((seeds, len(groups), len(clusters)), np.nan)
        found[name][index] = values.to_numpy()
    return clusters, found


def _index(table: pl.DataFrame) -> tuple[tuple[str, ...], tuple[NDArray, NDArray, NDArray]]:
    """The clusters in order, and where each row goes: (seed, group, cluster)."""
    column = table["cluster"].rank("dense").cast(pl.Int64) - 1
    places = (table["seed_place"].to_numpy(), table["place"].to_numpy(), column.to_numpy())
    return tuple(table["cluster"].unique().sort()), places


def _places(groups: Sequence[Sequence[str]]) -> pl.DataFrame:
    rows = [(trial, i, s) for i, group in enumerate(groups) for s, trial in enumerate(group)]
    schema = {"trial_id": pl.String, "place": pl.Int64, "seed_place": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
