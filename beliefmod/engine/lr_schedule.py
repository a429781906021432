"""Learning-rate factors, by the formulas of `transformers.get_scheduler`."""

import math

SCHEDULES = ("constant", "constant_with_warmup", "linear", "cosine")


def lr_factor(kind: str, step: int, warmup_steps: int, total_steps: int) -> float:
    """Factor in [0, 1] on the learning rate at `step`, which counts from 0.

    As in transformers, a warm-up starts at 0 (the first step then changes nothing) and "constant" ignores
    `warmup_steps`. Raises ValueError for an unknown kind. Source: transformers/optimization.py.
    """
    if kind not in SCHEDULES:
        raise ValueError(f"unknown lr_scheduler_type {kind!r}; known: {', '.join(SCHEDULES)}")
    if kind == "constant":
        return 1.0
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    if kind == "constant_with_warmup":
        return 1.0
    remaining = max(1, total_steps - warmup_steps)
    if kind == "linear":
        return max(0.0, (total_steps - step) / remaining)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * (step - warmup_steps) / remaining)))
