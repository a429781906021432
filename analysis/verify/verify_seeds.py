"""Whether trials of different seeds are different trials: one that was copied answers and measures alike."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import Any

import polars as pl

from analysis.frontier.non_dominated import CONFIG
from analysis.verify.verify_trials import Verification
from beliefmod.config import TRAINED_ARMS
from beliefmod.run.read_run import Run

LEAST = 20
"""So many answers or measurements have to be comparable before their agreement says anything."""
LONG = 12
"""Tokens from which an answer counts: short ones agree by chance."""
MEASURED = ("logprob_target", "logprob_prior", "logprob_target_own", "logprob_prior_own")
COLUMNS = ("suite", "probe_id", "token_ids", *MEASURED)
Row = dict[str, Any]


def verify_seeds(run: Run, done: Verification) -> None:
    """Note every pair of trials of one configuration and different seeds that cannot be two trials.

    Seeds give other initial weights, examples and orders, so two trials never have the same
    log-probabilities to the last bit, unless their adapters do nothing: then these are base's too, and are
    left out. The same answers are no proof: greedy answers of two trials that learned the same are often the
    same to the token, so where all of them are, that is a note.
    """
    trained = run.trials.filter((pl.col("status") == "finished") & pl.col("arm").is_in(TRAINED_ARMS))
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for trial in trained.iter_rows(named=True):
        groups[tuple(trial[name] for name in ("arm", "belief", *CONFIG))].append(trial)
    base: dict[tuple[str, str | None], Probes] = {}
    for group in groups.values():
        if len(group) < 2:
            continue
        key = (group[0]["belief"], group[0]["template"])
        if key not in base:
            base[key] = _of_base(run, *key)
        known = {trial["trial_id"]: _probes(run, trial["trial_id"]) for trial in group}
        for one, two in combinations(group, 2):
            done.replicates += 1
            probes = (known[one["trial_id"]], known[two["trial_id"]], base[key])
            other = f"trial {one['trial_id']} of seed {one['seed']}"
            place = f"probes/{two['trial_id']}.parquet (trial {two['trial_id']}, seed {two['seed']})"
            alike, n = equal_numbers(*probes)
            if n >= LEAST and alike >= n / 2:
                done.mismatches.append(
                    f"{place}: {alike} of {n} log-probabilities are, to the last bit, those of {other}; "
                    "chance does not give that"
                )
            alike, n = equal_answers(*probes)
            if n >= LEAST and alike == n:
                done.notes.append(
                    f"{place}: all {n} long answers that base does not give are those of {other}; greedy "
                    "answers can be, and --retrain settles it"
                )


Probes = dict[tuple[str, str], Row]


def equal_numbers(one: Probes, two: Probes, base: Probes) -> tuple[int, int]:
    """How many log-probabilities of two trials are the same float, of how many that are not base's."""
    numbers = [
        (one[key][name], two[key][name])
        for key in one.keys() & two.keys()
        for name in MEASURED
        if None not in (one[key][name], two[key][name]) and one[key][name] != base.get(key, {}).get(name)
    ]
    return sum(first == second for first, second in numbers), len(numbers)


def equal_answers(one: Probes, two: Probes, base: Probes) -> tuple[int, int]:
    """How many answers of two trials are the same tokens, of how many long ones that base does not give."""
    answers = [
        (one[key]["token_ids"], two[key]["token_ids"])
        for key in one.keys() & two.keys()
        if min(len(one[key]["token_ids"]), len(two[key]["token_ids"])) >= LONG
        and one[key]["token_ids"] != base.get(key, {}).get("token_ids")
    ]
    return sum(first == second for first, second in answers), len(answers)


def _of_base(run: Run, belief: str, template: str | None) -> Probes:
    same = (pl.col("arm") == "base") & (pl.col("belief") == belief) & (pl.col("status") == "finished")
    found = run.trials.filter(same & pl.col("template").eq_missing(template))["trial_id"]
    return _probes(run, found[0]) if found.len() else {}


def _probes(run: Run, trial_id: str) -> Probes:
    rows = run.probes([trial_id], COLUMNS).iter_rows(named=True)
    return {(row["suite"], row["probe_id"]): row for row in rows}
