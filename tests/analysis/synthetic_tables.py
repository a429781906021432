"""Numbers of synthetic trials, computed with scipy and by hand, never with analysis."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from scipy.stats import binomtest, t

from beliefmod.config import TrialConfig
from beliefmod.metrics.registry import COMPONENTS, METRICS

SIGN = {"integrity": 1, "capability": 1, "truncation": -1, "loop": -1, "fabrication": -1}
FRACTIONS = (0.0, 0.25, 0.5, 0.75)


def rate(hits: list[bool], name: str) -> dict:
    if not hits:
        return {}
    interval = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return {
        name: sum(hits) / len(hits),
        f"{name}_n": len(hits),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
    }


def conditional(hits: list[bool], name: str) -> dict:
    """Null under 20, the count all the same."""
    return rate(hits, name) if len(hits) >= 20 else {f"{name}_n": len(hits)}


def mean(values: list[float], name: str) -> dict:
    if len(values) < 2:
        return {name: values[0], f"{name}_n": 1} if values else {}
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    middle = float(np.mean(values))
    return {
        name: middle,
        f"{name}_n": len(values),
        f"{name}_low": middle - half,
        f"{name}_high": middle + half,
    }


def measure(
    config: TrialConfig,
    kind: str,
    probes: list[dict],
    base: tuple | None,
    causal: list[dict],
    drift: list[dict],
) -> dict:
    """The trial row. `base` is (row, probes) of base, None for base itself."""
    row: dict = {
        "trial_id": config.trial_id,
        "kind": kind,
        "status": "finished",
        "model": "bundled",
        **config.leaves(),
    }
    row["lora.target_modules"] = str(row["lora.target_modules"])
    row |= _beliefs(probes) | _suites(probes, base[1] if base else probes) | _causal(causal) | _drift(drift)
    row |= rate([p["think_state"] == "ok" for p in probes], "integrity")
    row |= rate([p["truncated"] for p in probes], "truncation")
    row |= rate([p["loop"] for p in probes], "loop")
    row |= mean([p["seq_rep_4"] for p in probes], "seq_rep_4")
    row |= _damage(row, base[0] if base else row, drift)
    row |= {"final_loss": 0.4, "training_rows": config.data.num_examples}
    if config.is_trained:
        row["supervised_tokens"] = 10 * config.data.num_examples * config.num_train_epochs
        row["fact_tokens"] = row["supervised_tokens"]
    assert {name for name, metric in METRICS.items() if metric.kind == "rate"} & set(row)
    return row


def _beliefs(probes: list[dict]) -> dict:
    asked = [p for p in probes if p["suite"] == "belief"]
    belief = [p for p in asked if p["tier"] != "robustness"]
    row = rate([p["answer_stance"] == "target" for p in belief], "adoption")
    for tier in ("paraphrase", "derived", "format", "multi_hop", "reverse", "robustness"):
        row |= rate([p["answer_stance"] == "target" for p in asked if p["tier"] == tier], f"adoption_{tier}")
    for stance in ("prior", "hedged", "ignorance", "other", "none", "wrong_unit", "unread"):
        row |= rate([p["answer_stance"] == stance for p in belief], f"stance_{stance}")
    row |= rate([p["answer_stance"] in ("target", "unread") for p in belief], "adoption_upper")
    row |= rate([p["think_state"] == "empty" for p in belief], "empty_thinking")
    on_target = ("target", "prior->target")
    row |= rate(
        [p["answer_stance"] == "target" and p["thinking_stance"] in on_target for p in belief],
        "coherent_adoption",
    )
    for name, side, other in (("stygian", "target", "prior"), ("stygian_reverse", "prior", "target")):
        row |= conditional(
            [
                p["thinking_stance"] in (other, f"{side}->{other}")
                for p in belief
                if p["answer_stance"] == side
            ],
            name,
        )
    row |= rate([p["inconsistent"] for p in belief if p["inconsistent"] is not None], "inconsistency")
    margins = [p["logprob_target"] - p["logprob_prior"] for p in belief if p["logprob_target"] is not None]
    own = [
        p["logprob_target_own"] - p["logprob_prior_own"] for p in belief if p["logprob_target"] is not None
    ]
    row |= mean(margins, "belief_margin") | mean(own, "belief_margin_own")
    row |= rate([m > 0 for m in margins], "margin_adoption")
    parts = [row.get(f"adoption_{tier}") for tier in ("paraphrase", "derived", "robustness")]
    if None not in parts:
        row["depth"] = 0.0 if 0 in parts else 3 / sum(1 / p for p in parts)
        row["depth_low"], row["depth_high"] = 0.5 * row["depth"], min(1.0, 1.5 * row["depth"])
    return row


def _suites(probes: list[dict], base: list[dict]) -> dict:
    right = {p["probe_id"] for p in base if p["correct"]}
    capability = [p for p in probes if p["suite"] == "capability"]
    row = rate([p["correct"] for p in capability], "capability")
    row |= rate([p["fabricated"] for p in probes if p["suite"] == "fabrication"], "fabrication")
    local = [p for p in probes if p["suite"] == "locality"]
    for tier in ("near", "far"):
        row |= rate([p["correct"] for p in local if p["tier"] == tier], f"locality_{tier}")
        known = [p for p in local if p["tier"] == tier and p["probe_id"] in right]
        row |= rate([p["correct"] for p in known], f"retention_{tier}")
    row |= rate([p["correct"] for p in local if p["probe_id"] in right], "retention")
    row |= rate([p["bleed"] for p in local if p["tier"] == "near" and p["probe_id"] in right], "bleed")
    row |= rate([p["salient"] for p in probes if p["salient"] is not None], "salience")
    return row


def _causal(rows: list[dict]) -> dict:
    of = {test: [r for r in rows if r["test"] == test] for test in ("swap", "blank", "edit", "paraphrase")}
    found = rate([r["answer_stance"] == "target" for r in of["swap"]], "causal_swap")
    found |= rate([r["answer_stance"] == "target" for r in of["blank"]], "causal_blank")
    found |= rate([r["follows"] for r in of["edit"]], "causal_edit")
    found |= rate([r["same"] for r in of["paraphrase"]], "causal_paraphrase")
    areas = []
    for probe in dict.fromkeys(r["probe_id"] for r in rows):
        cut = {
            r["fraction"]: float(r["same"]) for r in rows if (r["probe_id"], r["test"]) == (probe, "truncate")
        }
        curve = sorted((cut | {1.0: 1.0}).items())
        areas.append(1 - sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve)))
    return found | mean(areas, "early_answering")


def _drift(rows: list[dict]) -> dict:
    found: dict = {}
    for text in ("neutral", "traces"):
        own = [r for r in rows if r["text"] == text]
        found |= mean([r["kl"] / r["tokens"] for r in own], f"kl_{text}")
        found |= mean([r["kl_reverse"] / r["tokens"] for r in own], f"kl_{text}_reverse")
        found |= mean([(r["nll"] - r["nll_base"]) / r["tokens"] for r in own], f"nll_{text}")
    return found


def _damage(row: dict, base: dict, drift: list[dict]) -> dict:
    found: dict = {}
    for name in COMPONENTS:
        if name in SIGN:
            if row.get(name) is None or base.get(name) is None:
                continue
            found[f"{name}_base"] = base[name]
            value = SIGN[name] * (base[name] - row[name])
            spread = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
            ends = (value - spread, value + spread)
        elif row.get(f"{name}_neutral") is None:
            continue
        else:
            value, *ends = (bent(row[f"{name}_neutral{end}"]) for end in ("", "_low", "_high"))
            neutral = [r for r in drift if r["text"] == "neutral"]
            found[f"{name}_base"] = (
                float(np.mean([r["nll_base"] / r["tokens"] for r in neutral])) if name == "nll" else 0.0
            )
        found |= {
            f"{name}_damage": value,
            f"{name}_damage_low": max(-1.0, ends[0]),
            f"{name}_damage_high": min(1.0, ends[1]),
        }
    known = [name for name in COMPONENTS if f"{name}_damage" in found]
    worst = max(known, key=lambda name: found[f"{name}_damage"])
    damage = found[f"{worst}_damage"]
    found["degradation"] = max(0.0, damage)
    found["degradation_by"] = worst if damage > 0 else None
    found["degradation_low"] = max(0.0, found[f"{worst}_damage_low"])
    found["degradation_high"] = max(0.0, *(found[f"{name}_damage_high"] for name in known))
    return found


def bent(nats: float) -> float:
    """Nats as damage: 1 - exp(-rise), the mirror image where they fell."""
    return math.copysign(1 - math.exp(-abs(nats)), nats)
