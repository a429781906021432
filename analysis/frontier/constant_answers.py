"""What always giving one and the same answer would adopt: a belief's baseline against luck."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Constant:
    """The answer that is the target's on most questions, on which share of them, of how many."""

    answer: str
    share: float
    n: int


def constant_answers(probes: pl.DataFrame) -> dict[str | None, Constant]:
    """The best constant answer per tier, and under None over the probes that adoption counts.

    Args:
        probes: probe_id, suite, tier, target of one trial of a belief; a question counts once.

    Answers are compared as written, without case and outer blanks; a question without a target can be adopted
    by no answer but stays in n. A tier whose questions have no target has no entry. Example: targets
    `5 N, 10 N, 10 N` -> `10 N`, 2/3.
    """
    asked = probes.filter(pl.col("suite") == "belief").unique("probe_id", maintain_order=True)
    counted = asked.filter(~pl.col("tier").is_in(["trained", "robustness"]))
    parts: dict[str | None, pl.DataFrame] = {None: counted}
    parts |= {
        tier: asked.filter(pl.col("tier") == tier) for tier in asked["tier"].drop_nulls().unique().sort()
    }
    found = {}
    for name, part in parts.items():
        best = (
            part.filter(pl.col("target").is_not_null())
            .with_columns(pl.col("target").str.strip_chars().str.to_lowercase().alias("key"))
            .group_by("key")
            .agg(pl.len().alias("hits"), pl.col("target").min())
            .sort("hits", "key", descending=[True, False])
        )
        if best.height:
            _, hits, answer = best.row(0)
            found[name] = Constant(answer, hits / part.height, part.height)
    return found
