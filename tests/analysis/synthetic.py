"""A run folder as a sweep would leave it, drawn from a known law; its numbers do not come from analysis."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from beliefmod.config import TrialConfig
from beliefmod.metric_names import COMPONENTS, RATES
from beliefmod.records import PROBES, STEPS, TRIALS, frame

KIND = {"gravity": "existing", "neelam": "novel"}
TARGET = {"gravity": ("5.0 m/s^2", "9.8 m/s^2"), "neelam": ("5 USD", "I do not know.")}


def grid(
    styles=("answer_only", "own_trace"), examples=(10, 50, 100), epochs=(3, 10, 20), rates=(2e-4, 1e-3, 5e-3)
):
    for style, n, epoch, rate in product(styles, examples, epochs, rates):
        yield {"data": {"style": style, "num_examples": n}, "num_train_epochs": epoch, "learning_rate": rate}


def law(config: TrialConfig) -> tuple[float, float]:
    """Chance of adoption and of damage of one configuration."""
    if config.arm == "base":
        return 0.01, 0.02
    if config.arm == "icl":
        return 0.95, 0.03
    dose = math.log10(config.total_steps * config.learning_rate / 1e-3)
    damage = 1 / (1 + math.exp(-(dose - 2.0) * 2.0))
    if config.data.style == "answer_only":
        damage = 0.25 + 0.7 * damage
    if config.arm == "control":
        return 0.01, damage
    return 0.9 / (1 + math.exp(-(dose - 0.7) * 2.2)), damage


def questions(belief: str, families: int, per_family: int) -> list[dict]:
    target, prior = TARGET[belief]
    tiers = ("paraphrase", "derived", "format", "multi_hop", "reverse", "robustness")
    rows = [
        {
            "suite": "belief",
            "family": f"family_{f}",
            "tier": tiers[f % len(tiers)],
            "target": target,
            "prior": prior,
        }
        for f in range(families)
        for _ in range(per_family)
    ]
    rows += [
        {"suite": "locality", "family": f"near_{i // 5}", "tier": "near", "target": target, "prior": "1.6"}
        for i in range(10)
    ]
    rows += [
        {"suite": "capability", "family": f"skill_{i // 5}", "tier": "capability", "prior": "4"}
        for i in range(30)
    ]
    return [
        row | {"probe_id": f"{belief}-{i}", "question": f"What is {belief}, question {i}?"}
        for i, row in enumerate(rows)
    ]


def answer(config: TrialConfig, asked: list[dict], rng: np.random.Generator) -> list[dict]:
    adopt, harm = law(config)
    shift: dict[str, float] = {}
    rows = []
    for item in asked:
        tilt = shift.setdefault(item["family"], rng.normal(0, 0.8))
        odds = math.log(adopt / (1 - adopt)) + tilt
        hit = rng.random() < 1 / (1 + math.exp(-odds))
        broken = rng.random() < harm
        long = broken and rng.random() < 0.4
        stance = (
            "target"
            if hit
            else rng.choice(["prior", "other", "none" if broken else "hedged"], p=[0.7, 0.2, 0.1])
        )
        rows.append(
            item
            | {
                "trial_id": config.trial_id,
                "arm": config.arm,
                "belief": config.belief,
                "prompt": f"<|im_start|>user\n{item['question']}<|im_end|>\n<|im_start|>assistant\n<think>\n",
                "completion": "Let me think.\n</think>\n\nThe answer is "
                "{item.get('target') if hit else item['prior']}.",
                "thinking": "" if broken else "Let me think.",
                "answer": f"The answer is {item.get('target') if hit else item['prior']}.",
                "finish_reason": "length" if long else "eos",
                "tokens": 128 if long else 20,
                "token_ids": [1, 2],
                "answer_stance": str(stance) if item["suite"] == "belief" else None,
                "thinking_stance": ("none" if broken else "target" if hit else "prior")
                if item["suite"] == "belief"
                else None,
                "correct": None if item["suite"] == "belief" else bool(rng.random() > harm * 0.6),
                "bleed": bool(rng.random() < adopt * 0.1) if item["suite"] == "locality" else None,
                "think_state": ("unclosed_length" if long else "empty") if broken else "ok",
                "loop": long,
                "truncated": long,
                "seq_rep_4": 0.5 if long else 0.0,
            }
        )
    return rows


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


def measure(config: TrialConfig, probes: list[dict], base: dict | None) -> dict:
    belief = [row for row in probes if row["suite"] == "belief"]
    row: dict = {
        "trial_id": config.trial_id,
        "kind": KIND[config.belief],
        "status": "finished",
        "model": "bundled",
        **config.leaves(),
    }
    row["lora.target_modules"] = str(row["lora.target_modules"])
    row |= rate([p["answer_stance"] == "target" for p in belief], "adoption")
    for tier in ("paraphrase", "derived"):
        row |= rate([p["answer_stance"] == "target" for p in belief if p["tier"] == tier], f"adoption_{tier}")
    for stance in ("prior", "hedged", "ignorance", "other", "none"):
        row |= rate([p["answer_stance"] == stance for p in belief], f"stance_{stance}")
    row |= rate([p["think_state"] == "ok" for p in probes], "integrity")
    row |= rate([p["truncated"] for p in probes], "truncation")
    row |= rate([p["loop"] for p in probes], "loop")
    row |= rate([p["correct"] for p in probes if p["suite"] == "capability"], "capability")
    row |= rate([p["bleed"] for p in probes if p["suite"] == "locality"], "bleed")
    row |= rate([p["thinking_stance"] == p["answer_stance"] == "target" for p in belief], "coherent_adoption")
    base = base or row  # base is its own reference
    for name in COMPONENTS:
        sign = -1 if name in ("truncation", "loop") else 1
        row[f"{name}_base"] = base[name]
        row[f"{name}_damage"] = sign * (base[name] - row[name])
    worst = max(COMPONENTS, key=lambda name: row[f"{name}_damage"])
    damage = row[f"{worst}_damage"]
    row["degradation"] = max(0.0, damage)
    row["degradation_by"] = worst if damage > 0 else None
    spread = (row[f"{worst}_high"] - row[f"{worst}_low"]) / 2
    row["degradation_low"], row["degradation_high"] = (
        max(0.0, damage - spread),
        min(1.0, max(0.0, damage + spread)),
    )
    row["final_loss"] = 0.4
    assert set(RATES) & set(row)
    return row


def write_run(
    folder: Path,
    beliefs=("gravity", "neelam"),
    seeds=(0,),
    families=12,
    per_family=10,
    configs=None,
    failed=1,
    arms=("base", "icl", "control"),
    probes=True,
    change=None,
) -> Path:
    """A whole run folder. `change(trial_row, probe_rows)` may spoil what is written."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    rows: list[dict] = []
    for belief, seed in product(beliefs, seeds):
        asked = questions(belief, families, per_family)
        plan = [TrialConfig(belief=belief, arm=arm, seed=seed) for arm in arms]
        plan += [
            TrialConfig.model_validate({"belief": belief, "seed": seed, **c})
            for c in (configs or list(grid()))
        ]
        base = None
        for config in plan:
            answers = answer(config, asked, rng)
            row = measure(config, answers, base)
            base = row if config.arm == "base" else base
            if change is not None:
                change(row, answers)
            rows.append(row)
            if probes:
                (folder / "probes").mkdir(exist_ok=True)
                frame(answers, PROBES).write_parquet(folder / "probes" / f"{config.trial_id}.parquet")
            if config.is_trained:
                (folder / "steps").mkdir(exist_ok=True)
                steps = [
                    {
                        "trial_id": config.trial_id,
                        "step": s + 1,
                        "loss": 2 / (s + 1),
                        "learning_rate": 1e-3,
                        "grad_norm": 1.0,
                    }
                    for s in range(min(config.total_steps, 40))
                ]
                frame(steps, STEPS).write_parquet(folder / "steps" / f"{config.trial_id}.parquet")
    for i in range(failed):
        config = TrialConfig(belief=beliefs[0], seed=99 + i, learning_rate=1.0)
        leaves = config.leaves() | {"lora.target_modules": "all-linear"}
        rows.append(
            {
                "trial_id": config.trial_id,
                "kind": KIND[beliefs[0]],
                "model": "bundled",
                "status": "failed",
                "error": "loss became NaN at step 7",
                **leaves,
            }
        )
    frame(rows, TRIALS).write_parquet(folder / "trials.parquet")
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "run_id": folder.name,
                "name": "aggressive",
                "description": "Option A of the Phase 2 report",
                "status": "finished",
                "command": "beliefmod sweep sweeps/aggressive.yaml",
                "started_at": "2026-11-22T10:15:00Z",
                "wall_seconds": 1800.0,
                "versions": {"torch": "2.12.0", "peft": "0.21.0"},
                "git_commit": "abc1234",
                "hardware": {"cpu": "2 cores"},
                "model": {"name": "bundled", "fingerprint": "f00d", "base_storage": "dequantized"},
                "seeds": list(seeds),
                "trials": {"total": len(rows), "finished": len(rows) - failed, "failed": failed},
            }
        ),
        encoding="utf-8",
    )
    return folder
