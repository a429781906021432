"""Which rows of a run a reader asks for: the references, the Phase 2 settings, the best under a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from analysis.frontier.non_dominated import CONFIG, frontier, pool_seeds
from analysis.published import has_phase2_settings

Row = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """The rows of one belief. A row is None where the run has no such finished trial.

    least, most: the least damaged configuration and the one that adopts most, where none is best because none
    stays under the limit; most is None where that is the same one.
    control: the one compared with; other_controls: one of each other style of training data, in the order of
    their names. controls: how many configurations of controls there are, by style. d_over_families: trial_id
    of the rows whose D has its interval over question families; the others' is over questions.
    """

    belief: str
    kind: str | None
    lora: pl.DataFrame = field(repr=False)
    base: Row | None = None
    icl: Row | None = None
    control: Row | None = None
    other_controls: tuple[Row, ...] = ()
    controls: Mapping[str, int] = field(default_factory=dict)
    phase2: Row | None = None
    d_over_families: frozenset[str] = frozenset()
    phase2_count: int = 0
    best: Row | None = None
    least: Row | None = None
    most: Row | None = None
    gentler: Row | None = None

    @property
    def on_frontier(self) -> pl.DataFrame:
        """Non-dominated configurations, least damage first."""
        return self.lora.filter("non_dominated").sort("degradation", "adoption")

    def rows(self) -> dict[str, Row | None]:
        """Every named row under the words the report uses for it; controls say their style where there are
        several."""
        controls: dict[str, Row | None] = {"Control": self.control}
        if self.control is not None and self.other_controls:
            both = (self.control, *self.other_controls)
            controls = {f"Control, {row['data.style']}": row for row in both}
        beyond = {"LoRA with the least damage": self.least, "LoRA that adopts most": self.most}
        return {
            "Base": self.base,
            "LoRA at the Phase 2 settings": self.phase2,
            "In context": self.icl,
            **controls,
            "Best LoRA under the limit": self.best,
            **{label: row for label, row in beyond.items() if row is not None},
        }


def choices(trials: pl.DataFrame, limit: float) -> list[Choice]:
    """One `Choice` per belief in the table, in alphabetical order."""
    pooled = pool_seeds(trials)
    lora = frontier(pooled)
    found = []
    for belief in sorted(trials["belief"].drop_nulls().unique()):
        arms = pooled.filter(pl.col("belief") == belief)
        ours = lora.filter(pl.col("belief") == belief)
        kinds = trials.filter(pl.col("belief") == belief)["kind"].drop_nulls()
        phase2 = ours.filter(has_phase2_settings())
        best = best_under(ours, limit)
        least, most = ends_of(ours) if best is None else (None, None)
        controls = arms.filter(pl.col("arm") == "control")
        control = _control(controls, best)
        styles = controls["data.style"].drop_nulls()
        found.append(
            Choice(
                belief=belief,
                kind=kinds[0] if len(kinds) else None,
                lora=ours,
                base=_first(arms.filter(pl.col("arm") == "base")),
                icl=_first(arms.filter(pl.col("arm") == "icl")),
                control=control,
                other_controls=_of_other_styles(controls, control, best),
                controls={style: styles.to_list().count(style) for style in sorted(styles.unique())},
                phase2=_first(phase2),
                phase2_count=phase2.height,
                best=best,
                least=least,
                most=most,
                gentler=gentler_than(best, ours, limit),
            )
        )
    return found


def best_under(lora: pl.DataFrame, limit: float) -> Row | None:
    """The highest adoption among the configurations with D at most `limit`; ties go to the lower D."""
    allowed = lora.filter(pl.col("adoption").is_not_null() & (pl.col("degradation") <= limit + 1e-9))
    return _first(allowed.sort("adoption", "degradation", "trial_id", descending=[True, False, False]))


def least_damaged(lora: pl.DataFrame) -> Row | None:
    """The configuration of the smallest D, ties to the higher adoption; None where none has both numbers."""
    order = ["degradation", "adoption", "trial_id"]
    return _first(measured(lora).sort(order, descending=[False, True, False]))


def measured(lora: pl.DataFrame) -> pl.DataFrame:
    """The configurations that have both an adoption and a D."""
    return lora.filter(pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null())


def ends_of(lora: pl.DataFrame) -> tuple[Row | None, Row | None]:
    """The least damaged configuration and the one that adopts most, which no other beats; the second is None
    where it is the first, both where none has an adoption and a D."""
    least = least_damaged(lora)
    order = ["adoption", "degradation", "trial_id"]
    most = _first(measured(lora).sort(order, descending=[True, False, False]))
    same = least is None or most is None or least["trial_id"] == most["trial_id"]
    return least, None if same else most


def gentler_than(best: Row | None, lora: pl.DataFrame, limit: float) -> Row | None:
    """Under the same limit, the configuration that keeps most neighbours of those that adopt about as much.

    About as much: not below the lower end of the best one's interval. None if none keeps more than the best.
    """
    if best is None or best.get("locality_near") is None or best.get("adoption_low") is None:
        return None
    close = lora.filter(
        (pl.col("degradation") <= limit + 1e-9)
        & (pl.col("adoption") >= best["adoption_low"])
        & (pl.col("locality_near") > best["locality_near"])
    )
    order = ["locality_near", "adoption", "degradation", "trial_id"]
    return _first(close.sort(order, descending=[True, True, False, False]))


def _control(controls: pl.DataFrame, best: Row | None) -> Row | None:
    """The control to quote: at the Phase 2 settings, else at the best configuration's, else the first."""
    at_phase2 = _first(controls.filter(has_phase2_settings()))
    if at_phase2 is not None or best is None:
        return at_phase2 or _first(controls)
    same = controls.filter(pl.all_horizontal(pl.col(name).eq_missing(pl.lit(best[name])) for name in CONFIG))
    return _first(same) or _first(controls)


def _of_other_styles(controls: pl.DataFrame, control: Row | None, best: Row | None) -> tuple[Row, ...]:
    """The control to quote of every style of training data that `control` is not of."""
    mine = None if control is None else control["data.style"]
    styles = sorted(style for style in controls["data.style"].drop_nulls().unique() if style != mine)
    rows = (_control(controls.filter(pl.col("data.style") == style), best) for style in styles)
    return tuple(row for row in rows if row is not None)


def _first(rows: pl.DataFrame) -> Row | None:
    return rows.row(0, named=True) if rows.height else None
