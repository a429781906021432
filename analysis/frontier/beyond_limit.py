"""What sets the damage of the configurations beyond the limit."""

from __future__ import annotations

import polars as pl

ROUNDING = 1e-9


def beyond_limit(lora: pl.DataFrame, limit: float) -> pl.DataFrame:
    """Per component how many configurations have a D above the limit that it sets, and the least of these.

    Args:
        lora: pooled rows of a belief's LoRA configurations; those without adoption or D are left out.

    Returns:
        degradation_by (name of a component), configurations, least (D); the component of the least D first.
    """
    beyond = lora.filter(
        pl.col("adoption").is_not_null()
        & (pl.col("degradation") > limit + ROUNDING)
        & pl.col("degradation_by").is_not_null()
    )
    return (
        beyond.sort("degradation", "trial_id")
        .group_by("degradation_by", maintain_order=True)
        .agg(pl.len().alias("configurations"), pl.col("degradation").first().alias("least"))
    )
