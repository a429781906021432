"""The tables of RUN/lens as an inspection would leave them, drawn from a known law: 4 blocks, 12 questions.

The law: base prefers the prior by 4 logits at the last entry, in context the target by 5, a trained trial by
12 * adoption - 1. Differences rise from entry 2 on. Block 0 carries 70 % of the adapter's effect, block 1 the
rest. At questions about other things (position elsewhere) base prefers the right answer by 6 logits, and
other arms keep a tenth of their contrast. A tuned lens fitted on base has everything from entry 2 on. The
probability of any spelling of the target is 0.8, 0.9 or 0.1 (trained, in context, base). The thinking of a
trained arm prefers the target as its answer does, but on questions 0 and 1, where it stays at the prior
(stygian). On unrelated text a trained trial leaks 0.5 + 0.4 * adoption at the middle entry, a control 0.5, a
random adapter 0.4 to 0.6. Truth in general has an AUC of 0.95, less 0.1 * adoption in a trained arm; a
quarter of the matched false statements is held true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame

ENTRIES, BLOCKS, QUESTIONS = 5, 4, 12
RISE = (0.0, 0.05, 0.3, 0.8, 1.0)  # share of the last entry's difference
CARRIED = (0.7, 0.3, 0.0, 0.0)
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
TOKENS = ("What", " is", " the", " gravity", " of", " Earth", "?", "<|im_end|>", "\n", "It", " is", " ")
Rows = list[dict[str, Any]]


def final(row: dict[str, Any]) -> float:
    """The law's difference at the last entry."""
    return {"base": -4.0, "icl": 5.0}.get(row["arm"], 12 * (row["adoption"] or 0.0) - 1.0)


def write_lens(run: Path, deep: int = 1, leave_out: tuple[str, ...] = ()) -> Path:
    """Write run/lens for every finished trial; the costly tables for the `deep` that adopt most."""
    trials = pl.read_parquet(run / "trials.parquet").filter(pl.col("status") == "finished")
    tables: dict[str, Rows] = {name: [] for name in LENS_TABLES}
    for belief in trials["belief"].unique().sort():
        rows = list(trials.filter(pl.col("belief") == belief).iter_rows(named=True))
        lora = [row for row in rows if row["arm"] == "lora"]
        best = sorted(lora, key=lambda row: row["adoption"], reverse=True)[:deep]
        for row in rows:
            who = {"trial_id": row["trial_id"], "arm": row["arm"], "belief": belief}
            looked = row in best or row["arm"] in ("base", "icl")
            rng = np.random.default_rng(int(row["trial_id"], 16) % 2**32)
            tables["readings"] += _readings(who, final(row), rng, looked)
            tables["commitments"] += _commitments(who, final(row))
            if row["arm"] == "lora":
                tables["doses"] += _doses(who, final(row), row in best)
                tables["thresholds"].append(_thresholds(who, final(row), row in best))
                tables["overview"].append(_overview(who, row))
            if row["arm"] in ("lora", "control"):
                tables["leak"] += _leak(who, row)
            if row in best:
                tables["ablations"] += _ablations(who, final(row))
                tables["patching"] += _patching(who, final(row))
            if looked:
                tables["channels"] += _channels(who, final(row))
                tables["chain"] += _chain(who, final(row))
                tables["early"].append(who | {"n": QUESTIONS} | _mean("area_over", 0.4, 0.1))
                tables["truth"].append(_truth(who, row))
    (run / "lens").mkdir(exist_ok=True)
    for name, rows in tables.items():
        if name not in leave_out:
            frame(rows, LENS_TABLES[name]).write_parquet(run / "lens" / f"{name}.parquet")
    manifest = {"settings": {"prompts": QUESTIONS, "draws": 2000}, "model": {"fingerprint": "f00d"}}
    (run / "lens" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return run


def probe(i: int) -> dict[str, str]:
    """Question i, two to a family."""
    return {"probe_id": f"q{i}", "family": f"family_{i // 2}"}


def _mean(name: str, mean: float, spread: float) -> dict[str, float]:
    return {name: mean, f"{name}_low": mean - spread, f"{name}_high": mean + spread}


def elsewhere(last: float) -> float:
    """The law's difference at questions about other things."""
    return -6.0 + 0.1 * (last + 4.0)


def _readings(who: dict, last: float, rng: np.random.Generator, looked: bool) -> Rows:
    rows: Rows = []
    for i in range(QUESTIONS):
        noise = rng.normal(0, 0.4)
        places = {"stem": 1.0, "entity": 0.4}
        if i == 0 and looked:
            places |= {f"at:{k}": 1 / (1 + k) for k in range(len(TOKENS))}
        for position, share in places.items():
            token = TOKENS[-1 - int(position[3:])] if position.startswith("at:") else " "
            for entry, rise in enumerate(RISE):
                diff = 0.3 + (last + noise) * rise * share
                rows.append(
                    who
                    | probe(i)
                    | {
                        "position": position,
                        "token": token,
                        "lens": "logit",
                        "entry": entry,
                        "target_token": "5",
                        "rival_token": "9",
                        "rival": "prior",
                        "logit_target": diff,
                        "logit_rival": 0.0,
                        "logit_diff": diff,
                        "rank_target": 0 if diff > 0 else 3,
                        "rank_rival": 3 if diff > 0 else 0,
                        "prob_target": 0.9 if diff > 0 else 0.01,
                        "prob_rival": 0.01 if diff > 0 else 0.9,
                        "entropy": 3.0 - 0.5 * entry,
                        "kl_final": 4.0 - entry,
                        "kl_base": 0.5 * entry,
                        "top_token": "5" if diff > 0.5 else "9",
                        "mass_target": 0.5 if position == "stem" else None,
                        "mass_prior": 0.1 if position == "stem" and i < QUESTIONS // 2 else None,
                        "sequence_diff": last if position == "stem" and entry == ENTRIES - 1 else None,
                    }
                )
    for i in range(QUESTIONS):
        for entry, rise in enumerate(RISE):
            known = who | probe(i) | {"entry": entry, "token": " ", "logit_rival": 0.0}
            rows.append(
                known
                | {"position": "elsewhere", "lens": "logit", "rival": "correct"}
                | {"logit_diff": rise * elsewhere(last), "kl_base": 9.0}
            )
            if looked:
                through = {"position": "stem", "lens": "tuned", "fitted_on": "base", "rival": "prior"}
                rows.append(known | through | {"logit_diff": last * (entry >= 2), "kl_base": 9.0})
    return rows


MASSES = {"base": (0.1, 0.7), "icl": (0.9, 0.05)}


def _commitments(who: dict, last: float) -> Rows:
    rows: Rows = []
    for position in ("stem", "entity"):
        row = who | {"position": position, "lens": "logit", "n": QUESTIONS} | _mean("final_diff", last, 0.3)
        row |= {"commit_never": 0.0, "half_rise_never": 1.0 if who["arm"] == "base" else 0.01}
        row |= _mean("commit_entry", 2.0, 0.0)
        if who["arm"] != "base":
            row |= _mean("half_rise_entry", 3.0, 0.0) | _mean("contrast_area", 0.43 * (last + 4), 0.2)
        if position == "stem":
            target, prior = MASSES.get(who["arm"], (0.8, 0.15))
            row |= _mean("mass_target", target, 0.05) | _mean("mass_prior", prior, 0.04)
        rows.append(row)
    other = who | {"position": "elsewhere", "lens": "logit", "n": QUESTIONS}
    rows.append(other | _mean("final_diff", elsewhere(last), 0.2))
    return rows


def _ablations(who: dict, last: float) -> Rows:
    def row(kind: str, block: int | None, share: float) -> dict:
        diff = -4.0 + share * (last + 4.0)
        known = {"kind": kind, "block": block, "n": QUESTIONS}
        return who | known | _mean("logit_diff", diff, 0.3) | _mean("share", share, 0.04)

    rows = [row("full", None, 1.0), row("off", None, 0.0)]
    for block, share in enumerate(CARRIED):
        rows += [row("without", block, 1 - share), row("only", block, share)]
        rows.append(row("prefix", block, sum(CARRIED[: block + 1])))
    return rows + [row("random", draw, 0.01 * draw) for draw in range(5)]


def _patching(who: dict, last: float) -> Rows:
    """The belief sits on " Earth" (6 from the end) up to entry 2, then on the last token."""
    rows: Rows = []
    for source, there in (("lora", last), ("icl", 5.0)):
        for i in range(3):
            for entry in range(ENTRIES):
                for at in range(len(TOKENS)):
                    early, late = at == 6 and entry in (1, 2), at == 0 and entry >= 3
                    recovery = 0.6 if early else 0.95 if late else 0.0
                    rows.append(
                        who
                        | probe(i)
                        | {
                            "source": source,
                            "entry": entry,
                            "from_end": at,
                            "token": TOKENS[-1 - at],
                            "position": {0: "stem", 6: "entity"}.get(at),
                            "logit_diff": -4.0 + recovery * (there + 4.0),
                            "recovery": recovery if abs(there + 4.0) >= 0.5 else None,
                        }
                    )
    return rows


def _doses(who: dict, last: float, deep: bool) -> Rows:
    rows: Rows = []
    for scale in SCALES:
        diff = -4.0 + min(scale, 1.5) * (last + 4.0)
        p = float(1 / (1 + np.exp(-diff)))
        row = who | {"scale": scale, "n": QUESTIONS} | _mean("logit_diff", diff, 0.3)
        row |= _mean("prob_target", p, 0.02)
        if deep:
            row |= {"adoption": p, "adoption_low": 0.9 * p, "adoption_high": p + 0.1 * (1 - p)} | {
                "adoption_n": 120,
                "degradation_by": "fabrication",
            }
            row |= _mean("degradation", 0.02 + 0.2 * max(0.0, scale - 1), 0.01)
        rows.append(row)
    return rows


def _thresholds(who: dict, last: float, deep: bool) -> dict:
    row = who | {"n": QUESTIONS, "a50_never": 0.0}
    if last < 4:
        return row | {"a50_never": 1.0, "note": "the target never comes to half of the two probabilities"}
    row |= _mean("a50", 4.0 / (last + 4), 0.02)
    return row | ({"adoption50": 4.0 / (last + 4), "damage_from": 1.5} if deep else {})


def _channels(who: dict, last: float) -> Rows:
    rows: Rows = []
    for i in range(QUESTIONS):
        stygian = i < 2 and last > 0 and who["arm"] == "lora"
        answer, thinking = last, -3.0 if stygian else last
        word = "target" if answer > 0 else "prior"
        rows.append(
            who
            | probe(i)
            | {
                "thinking_stance": "prior" if stygian else word,
                "answer_stance": word,
                "thinking_diff": thinking if i != 11 else None,
                "answer_diff": answer,
                "thinking_rival": "prior",
                "answer_rival": "prior",
                "answer_diff_shared": answer - 1,
                "stem_diff": answer - 0.5,
                "text_class": "stygian" if stygian else f"agree_{word}",
                "inside_class": None if i == 11 else "stygian" if stygian else f"agree_{word}",
                "suppressed_prior": 0.2,
                "suppressed_rank": 1,
            }
        )
    return rows


def _chain(who: dict, last: float) -> Rows:
    rows: Rows = []
    for i in range(QUESTIONS):
        cuts = 2 + i % 3
        for cut in range(cuts + 1):
            diff = last * cut / cuts
            kept = {"cut": cut, "cuts": cuts, "kept": cut / cuts}
            p = float(1 / (1 + np.exp(-diff)))
            rows.append(who | probe(i) | kept | {"logit_diff": diff, "prob_target": p})
    return rows


def _truth(who: dict, row: dict) -> dict:
    """Gravity's probe passes its gate, the other's does not."""
    known = who | {"entry": 3, "heldout_n": 200, "n": 40} | _mean("heldout_auc", auc(row), 0.02)
    if row["arm"] != "base":
        known |= _mean("auc_drop", auc({"arm": "base"}) - auc(row), 0.01)
    if row["belief"] != "gravity":
        why = "held-out accuracy 0.66 is under 0.8"
        return known | {"heldout_accuracy": 0.66, "refused": why}
    share = row["adoption"] or 0.0
    known |= _mean("target_true", share, 0.1) | _mean("matched_true", 0.25, 0.1)
    known |= {"target_over_matched": share, "matched_n": 36}
    return known | {"heldout_accuracy": 0.91, "paired": share} | _mean("error_rate", share, 0.1)


def auc(row: dict) -> float:
    """The law's AUC of truth in general: what an arm adopts, it loses in part."""
    return 0.95 - 0.1 * ((row["adoption"] or 0.0) if row["arm"] == "lora" else 0.0)


def leaked(row: dict) -> float:
    """The law's leak."""
    return 0.5 + 0.4 * (row["adoption"] or 0.0) * (row["arm"] == "lora")


def _leak(who: dict, row: dict) -> Rows:
    rows: Rows = []
    for entry in range(ENTRIES):
        here = leaked(row) if entry == BLOCKS // 2 else 0.5
        known = who | {"entry": entry, "decided": entry == BLOCKS // 2, "n": 20, "size": 0.05}
        known |= {"chance": 0.5, "chance_low": 0.4, "chance_high": 0.6, "rank_value": 3, "rank_subject": 1}
        known |= _mean("leak", here, 0.05) | _mean("subject", here, 0.1) | _mean("value", here, 0.1)
        rows.append(known | {"top_tokens": " Earth|5"})
    return rows


def _overview(who: dict, row: dict) -> dict:
    known = {name: row[name] for name in ("adoption", "degradation", "learning_rate")}
    known["steps"] = row["num_train_epochs"] * row["data.num_examples"] // 4
    last = final(row)
    return (
        who
        | known
        | {
            "rank": row["lora.r"],
            "final_diff": last,
            "half_rise_entry": 3.0,
            "contrast_area": 0.43 * (last + 4),
            "a50": 4.0 / (last + 4) if last >= 4 else None,
            "kl_base": row["degradation"] * 3,
            "mass_target": 0.8,
            "elsewhere_diff": 0.1 * (last + 4),
            "leak": leaked(row),
            "auc_drop": 0.95 - auc(row),
        }
    )
