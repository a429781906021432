"""What is asked of an inspection: how many prompts, which parts, which trials get the costly ones."""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("lens", "ablations", "patching", "doses", "channels", "chain", "truth", "leak")
"""Parts in the order in which they run; each writes the tables that `PART_SPECS` names."""
ARMS = ("base", "icl", "lora")
LENSES = ("logit", "tuned", "jacobian")


@dataclass(frozen=True)
class LensSettings:
    """Settings of `beliefmod lens`.

    Attributes:
        prompts: held-out questions per belief, spread over its families.
        arms: which arms are read; trained adapters, controls included, are "lora".
        parts: which of PARTS.
        scales: factors on an adapter's update for the dose-response; 0 is base, 1 the adapter.
        deep: trials per belief for the costly parts.
        named: trial_ids that the user named: they, and no others, get the costly parts.
        lenses: which of LENSES.
        draws, seed: of the bootstrap.
    """

    prompts: int = 24
    arms: tuple[str, ...] = ARMS
    parts: tuple[str, ...] = PARTS
    scales: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
    deep: int = 3
    named: tuple[str, ...] = ()
    lenses: tuple[str, ...] = ("logit",)
    draws: int = 2000
    seed: int = 0
