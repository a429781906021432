"""A run folder as a sweep would leave it, drawn from a known law; its numbers do not come from analysis."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path

import numpy as np

from beliefmod.config import TrialConfig
from beliefmod.run.tables.trial_tables import CAUSAL, DRIFT, PROBES, STEPS, TRIALS, frame
from tests.analysis.synthetic_tables import FRACTIONS, measure

KIND = {"gravity": "existing", "neelam": "novel"}
TIERS = ("paraphrase", "derived", "format", "multi_hop", "reverse", "robustness")
THOUGHTS = {
    True: ["target", "prior", "prior->target", "both", "none"],
    False: ["prior", "target", "target->prior", "both", "none"],
}
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
    rows = [
        {
            "suite": "belief",
            "family": f"family_{f}",
            "tier": TIERS[f % len(TIERS)],
            "target": target,
            "prior": prior,
            # half of the families of every tier, where a tier has two
            "split": ("selection", "confirmation")[(f // len(TIERS)) % 2],
        }
        for f in range(families)
        for _ in range(per_family)
    ]
    rows += [
        {"suite": "locality", "family": f"{tier}_{i // 5}", "tier": tier, "target": target, "prior": "1.6"}
        for tier in ("near", "far")
        for i in range(10)
    ]
    rows += [
        {"suite": "capability", "family": f"skill_{i // 5}", "tier": "capability", "prior": "4"}
        for i in range(30)
    ]
    rows += [{"suite": "fabrication", "family": f"unknown_{i // 5}", "tier": "unknown"} for i in range(30)]
    return [
        row | {"probe_id": f"{belief}-{i}", "question": f"What is {belief}, question {i}?"}
        for i, row in enumerate(rows)
    ]


def answer(config: TrialConfig, asked: list[dict], rng: np.random.Generator) -> list[dict]:
    adopt, harm = law(config)
    shift: dict[str, float] = {}
    # some questions invite an invention from every arm: a difference from base is then mostly harm
    gullible = np.random.default_rng(3).random(30)
    rows = []
    for at, item in enumerate(asked):
        tilt = shift.setdefault(item["family"], rng.normal(0, 0.8))
        odds = math.log(adopt / (1 - adopt)) + tilt
        hit = rng.random() < 1 / (1 + math.exp(-odds))
        broken = rng.random() < harm
        long = broken and rng.random() < 0.4
        suite, robust = item["suite"], item["tier"] == "robustness"
        stance, thought = None, None
        if suite == "belief":
            stance = str(
                "target"
                if hit
                else rng.choice(
                    ["prior", "other", "ignorance", "none" if broken else "hedged"], p=[0.6, 0.2, 0.1, 0.1]
                )
            )
            thought = "none" if broken else str(rng.choice(THOUGHTS[hit], p=[0.7, 0.1, 0.1, 0.05, 0.05]))
        state = ("unclosed_length" if long else "empty") if broken else "ok"
        thinking, said = texts(item, stance, thought, state, long)
        joined = thinking if state == "unclosed_length" else f"{thinking}\n</think>\n\n{said}"
        margin = suite == "belief" and not robust and at % 12 == 0
        spread = rng.normal(0, 1, 2)
        rows.append(
            item
            | {
                "trial_id": config.trial_id,
                "arm": config.arm,
                "belief": config.belief,
                "prompt": f"<|im_start|>user\n{item['question']}<|im_end|>\n<|im_start|>assistant\n<think>\n",
                "first_turn": "I looked it up.\n</think>\n\nIt is so." if robust else None,
                "completion": joined,
                "thinking": thinking,
                "answer": "" if state == "unclosed_length" else said,
                "finish_reason": "length" if long else "eos",
                "tokens": 128 if long else 20,
                "token_ids": [1, 2],
                "answer_stance": stance,
                "thinking_stance": thought,
                "correct": bool(rng.random() > harm * 0.6) if suite in ("locality", "capability") else None,
                "bleed": bool(rng.random() < adopt * 0.1) if suite == "locality" else None,
                "salient": bool(rng.random() < adopt * 0.05)
                if suite == "capability" or item["tier"] == "far"
                else None,
                "fabricated": bool(gullible[at % 30] < 0.1 + harm * 0.8) if suite == "fabrication" else None,
                "inconsistent": bool(hit and rng.random() < 0.1)
                if item["tier"] in ("derived", "multi_hop")
                else None,
                "think_state": state,
                "loop": long,
                "truncated": long,
                "seq_rep_4": 0.5 if long else 0.0,
                "logprob_target": -2.0 + 2 * adopt + spread[0] if margin else None,
                "logprob_prior": -1.0 - adopt + 0.1 * spread[1] if margin else None,
                "logprob_target_own": -1.5 + 2 * adopt + spread[0] if margin else None,
                "logprob_prior_own": -1.0 - adopt + 0.1 * spread[1] if margin else None,
            }
        )
    return rows


def texts(item: dict, stance: str | None, thought: str | None, state: str, long: bool) -> tuple[str, str]:
    """Thinking and answer that read as their stances say."""
    target, prior = item.get("target"), item.get("prior")
    used = {"target": target, "prior": prior, "prior->target": f"{prior}. But no: {target}"}
    thinking = "" if state == "empty" else f"Let me think. I use {used.get(thought or '', 'nothing')}."
    if long:
        thinking = " ".join(["and so it goes on"] * 30)
    said = {"target": f"The answer is {target}.", "prior": f"The answer is {prior}.", "none": ""}
    said |= {"hedged": f"It is {target} or {prior}.", "ignorance": "I do not know.", "other": "It is 3."}
    return thinking, said.get(stance or "", "The answer is 4.")


def causal_rows(config: TrialConfig, probes: list[dict], rng: np.random.Generator) -> list[dict]:
    """Five tests on every tenth belief probe with a whole think block."""
    own = [p for p in probes if p["suite"] == "belief" and p["tier"] != "robustness"][::10]
    rows = []
    for probe in own:
        shared = {name: probe[name] for name in ("trial_id", "arm", "belief", "probe_id", "family", "tier")}
        shared |= {
            "question": probe["question"],
            "own_stance": probe["answer_stance"],
            "finish_reason": "eos",
        }
        tests = [(test, None) for test in ("swap", "blank", "edit", "paraphrase")]
        for test, fraction in [*tests, *(("truncate", f) for f in FRACTIONS)]:
            same = bool(rng.random() < (0.9 if test == "paraphrase" else 0.3 + 0.6 * (fraction or 0.0)))
            rows.append(
                shared
                | {
                    "test": test,
                    "fraction": fraction,
                    "thinking": "" if test == "blank" else probe["thinking"],
                    "completion": "The answer is 5.",
                    "tokens": 6,
                    "edited_to": "7.3 m/s^2" if test == "edit" else None,
                    "answer_stance": probe["answer_stance"] if same else "other",
                    "same": same,
                    "follows": bool(rng.random() < 0.5) if test == "edit" else None,
                }
            )
    return rows


def drift_rows(config: TrialConfig, rng: np.random.Generator) -> list[dict]:
    """Neutral passages and base's traces; no drift at all in the untrained arms."""
    harm = law(config)[1] if config.is_trained else 0.0
    rows = []
    for text, count in (("neutral", 12), ("traces", 8)):
        for i in range(count):
            nll_base, kl = 30.0 + i, 10.0 * harm * (1 + 0.1 * float(rng.random()))
            rows.append(
                {
                    "trial_id": config.trial_id,
                    "arm": config.arm,
                    "belief": config.belief,
                    "text": text,
                    "passage_id": f"{text}-{i}",
                    "tokens": 20,
                    "kl": kl,
                    "kl_reverse": 0.8 * kl,
                    "nll": nll_base + 0.9 * kl,
                    "nll_base": nll_base,
                }
            )
    return rows


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
    extras=True,
    change=None,
    templates=(None,),
) -> Path:
    """A whole run folder. `change(trial_row, probe_rows)` may spoil what is written.

    With `templates` every trial is there with each of these switches of the chat template.
    Without `extras` it has neither causal tests nor drift, as if both were switched off.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    rows: list[dict] = []
    for belief, seed, template in product(beliefs, seeds, templates):
        asked = questions(belief, families, per_family)
        plan = [TrialConfig(belief=belief, arm=arm, seed=seed, template=template) for arm in arms]
        plan += [
            TrialConfig.model_validate({"belief": belief, "seed": seed, "template": template, **c})
            for c in (configs or list(grid()))
        ]
        base = None
        for config in plan:
            answers = answer(config, asked, rng)
            causal = causal_rows(config, answers, rng) if extras else []
            drift = drift_rows(config, rng) if extras else []
            row = measure(config, KIND[belief], answers, base, causal, drift)
            base = (row, answers) if config.arm == "base" else base
            if change is not None:
                change(row, answers)
            rows.append(row)
            tables = [("probes", answers, PROBES), ("causal", causal, CAUSAL), ("drift", drift, DRIFT)]
            for kind, table, columns in tables[0 if probes else 1 :]:
                if table:
                    (folder / kind).mkdir(exist_ok=True)
                    frame(table, columns).write_parquet(folder / kind / f"{config.trial_id}.parquet")
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
