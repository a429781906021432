"""Whether trials of different seeds are different trials: one that was copied measures the same."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, lru_cache
from hashlib import file_digest, sha256
from itertools import combinations, pairwise
from typing import Any

import polars as pl

from analysis.frontier.non_dominated import CONFIG
from analysis.verify.coincidences import IMPROBABLE, Alike, Numbers, alike, beyond_chance, losses, measured
from analysis.verify.verify_trials import Verification
from beliefmod.config import TRAINED_ARMS
from beliefmod.run.folder import ADAPTERS, RunFolder
from beliefmod.run.read_run import Run
from beliefmod.run.seal.ledger import chain_of
from beliefmod.run.seal.sealed_state import state_of

LEAST = 20
"""So many answers have to be comparable before their agreement is worth a note."""
LONG = 12
"""Tokens from which an answer counts: short ones agree by chance."""
LOGPROBS = ("logprob_target", "logprob_prior", "logprob_target_own", "logprob_prior_own")
DRIFT = ("nll", "kl", "kl_reverse")
WEIGHTS = "adapter_model.safetensors"
KINDS = {
    "probes": "log-probabilities",
    "drift": "sums over neutral passages",
    "steps": "losses and gradient norms",
}
"""Table -> what of it is compared."""
Row = dict[str, Any]
Ids = dict[tuple[str, str], tuple[int, ...]]


def verify_seeds(run: Run, done: Verification) -> None:
    """Note every pair of trials of one configuration and different seeds that cannot be two trials.

    Log-probabilities, drift, losses and gradient norms that are equal to the last digit more often than
    chance gives, the same training questions in the same order, and adapters with the same weights are
    mismatches; the numbers of full fine-tuning, where a seed only picks and orders examples, a note. The same
    answers are a note too: greedy answers of two trials that learned the same are often the same to the
    token, and then nothing is gained by copying them.
    """
    trained = run.trials.filter((pl.col("status") == "finished") & pl.col("arm").is_in(TRAINED_ARMS))
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for trial in trained.iter_rows(named=True):
        groups[tuple(trial[name] for name in ("arm", "belief", *CONFIG))].append(trial)
    several = [group for group in groups.values() if len(group) > 1]
    pairs = [pair for group in several for pair in combinations(group, 2)]
    if not pairs:
        return
    trials = _Measured(run)
    others = _between_others(trials, list(groups.values()))
    for one, two in pairs:
        done.replicates += 1
        found = list(_same_numbers(trials, one, two, others, len(KINDS) * len(pairs)))
        (done.notes if one["arm"] == "full" else done.mismatches).extend(found)
        done.mismatches += _same_questions(trials, one, two, len(pairs))
        if not found and (note := _same_answers(trials, one, two)):
            done.notes.append(note)
    done.mismatches += _same_weights(run.folder, pairs)


class _Measured:
    """What trials measured, as far as training has moved it; a few trials are kept."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.numbers = lru_cache(maxsize=64)(self._numbers)
        self.answers = lru_cache(maxsize=64)(self._answers)
        self._base = lru_cache(maxsize=8)(self._base_rows)

    def of(self, trial: Row, table: str) -> Numbers:
        """Numbers of one of `KINDS`."""
        return self.numbers(trial["trial_id"], trial["belief"], trial["template"], table)

    def trained(self, trial: Row) -> list[str]:
        """The training questions that a trial was asked, in the order in which its seed drew them."""
        rows = self.run.probes([trial["trial_id"]], ("tier", "probe_id"))
        return rows.filter(pl.col("tier") == "trained")["probe_id"].to_list()

    def base(self, trial: Row) -> str | None:
        """The trial of the arm base that a trial is compared with."""
        same = (pl.col("arm") == "base") & (pl.col("belief") == trial["belief"])
        same &= (pl.col("status") == "finished") & pl.col("template").eq_missing(trial["template"])
        found = self.run.trials.filter(same)["trial_id"]
        return found[0] if found.len() else None

    def _numbers(self, trial_id: str, belief: str, template: str | None, table: str) -> Numbers:
        if table == "steps":
            return losses(self.run.steps([trial_id]).iter_rows(named=True))
        if table == "drift":
            rows = self.run.drift([trial_id]).to_dicts()
            # base's KL to itself is none
            base = {(r["text"], r["passage_id"]): {"nll": r["nll_base"], "kl": 0.0, "kl_reverse": 0.0}
                    for r in rows}  # fmt: skip
            return measured(rows, base, ("text", "passage_id"), DRIFT)
        rows = self.run.probes([trial_id], ("suite", "probe_id", *LOGPROBS)).iter_rows(named=True)
        return measured(rows, self._base(belief, template), ("suite", "probe_id"), LOGPROBS)

    def _base_rows(self, belief: str, template: str | None) -> dict[tuple[Any, ...], Row]:
        base = self.base({"belief": belief, "template": template})
        ids = [base] if base else []
        rows = self.run.probes(ids, ("suite", "probe_id", *LOGPROBS)).iter_rows(named=True)
        return {(row["suite"], row["probe_id"]): row for row in rows}

    def _answers(self, trial_id: str) -> Ids:
        rows = self.run.probes([trial_id], ("suite", "probe_id", "token_ids")).iter_rows(named=True)
        return {(row["suite"], row["probe_id"]): tuple(row["token_ids"]) for row in rows}


def _between_others(trials: _Measured, groups: list[list[Row]]) -> dict[str, Alike]:
    """By table, how often trials that differ in seed and settings have equal numbers."""
    found = dict.fromkeys(KINDS, Alike())
    for group, following in pairwise(groups):
        pair = next(((a, b) for a in group for b in following if a["seed"] != b["seed"]), None)
        if pair is None or any(pair[0][name] != pair[1][name] for name in ("belief", "template")):
            continue
        for table in KINDS:
            found[table] += alike(trials.of(pair[0], table), trials.of(pair[1], table))
    return found


def _same_numbers(
    trials: _Measured, one: Row, two: Row, others: dict[str, Alike], comparisons: int
) -> Iterator[str]:
    for table, what in KINDS.items():
        found = alike(trials.of(one, table), trials.of(two, table))
        if beyond_chance(found, others[table], comparisons):
            known = others[table]
            usual = (
                f"of {known.n:,} between trials of other seeds and settings {known.same:,} are"
                if known.n
                else "the run has no other trials to count chance between"
            )
            yield (
                f"{_place(table, two)}: {found.same} of {found.n} {what} are, to the last digit, those of "
                f"{_named(one)}; {usual}"
            )


def _same_questions(trials: _Measured, one: Row, two: Row, comparisons: int) -> Iterator[str]:
    """Every seed shuffles the training questions anew; two shuffles begin with the same k once in k!."""
    if one["data.style"] == "document":  # one document is about several questions
        return
    first, second = trials.trained(one), trials.trained(two)
    if first == second and comparisons / math.factorial(len(first)) < IMPROBABLE:
        yield (
            f"{_place('probes', two)}: asks the same {len(first)} training questions in the same order as "
            f"{_named(one)}; every seed draws its own"
        )


def _same_answers(trials: _Measured, one: Row, two: Row) -> str | None:
    """A note where all long answers that base does not give are the same."""
    first, second = (trials.answers(trial["trial_id"]) for trial in (one, two))
    base = trials.base(two)
    same = trials.answers(base) if base else {}
    long = [
        (first[key], second[key])
        for key in first.keys() & second.keys()
        if min(len(first[key]), len(second[key])) >= LONG and first[key] != same.get(key)
    ]
    if len(long) < LEAST or any(a != b for a, b in long):
        return None
    return (
        f"{_place('probes', two)}: all {len(long)} long answers that base does not give are those of "
        f"{_named(one)}; what they measured differs, so greedy answers may be alike, and --retrain settles it"
    )


def _same_weights(folder: RunFolder, pairs: list[tuple[Row, Row]]) -> Iterator[str]:
    """Adapters of two seeds begin with other random weights, so they never end with the same ones."""
    sealed = state_of(chain_of(folder).entries).files

    @cache
    def weights(trial_id: str) -> str | None:
        path = f"{ADAPTERS}/{trial_id}/{WEIGHTS}"
        if folder.exists(path):
            return tensors_digest(folder, path)
        return sealed[path].sha256 if path in sealed else None

    for one, two in pairs:
        if one["arm"] == "full":
            continue
        first, second = weights(one["trial_id"]), weights(two["trial_id"])
        if first is not None and first == second:
            yield (
                f"{ADAPTERS}/{two['trial_id']} (trial {two['trial_id']}, seed {two['seed']}): holds the "
                f"weights of {_named(one)}; adapters of two seeds begin with other random ones"
            )


def tensors_digest(folder: RunFolder, path: str) -> str:
    """SHA-256 of the tensors in a safetensors file, in the order of their names; its notes do not count."""
    with folder.fs.open(folder.path(path), "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(size))
            places = [tuple(one["data_offsets"]) for name, one in sorted(header.items()) if name[:2] != "__"]
        except (ValueError, KeyError, TypeError, AttributeError):  # no such file: compared as it is
            file.seek(0)
            return file_digest(file, "sha256").hexdigest()
        found = sha256()
        for start, end in places:
            file.seek(8 + size + start)
            found.update(file.read(end - start))
        return found.hexdigest()


def _place(table: str, trial: Row) -> str:
    return f"{table}/{trial['trial_id']}.parquet (trial {trial['trial_id']}, seed {trial['seed']})"


def _named(trial: Row) -> str:
    return f"trial {trial['trial_id']} of seed {trial['seed']}"
