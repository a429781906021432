"""A few raw completions per belief, so that a reader sees what the numbers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.findings import Findings
from analysis.frontier.quoted import Choice
from analysis.report.blocks import Block, Heading, Paragraph, Sample
from analysis.stats.resample import adoption_hits
from analysis.wording import sentence

COLUMNS = (
    "trial_id",
    "arm",
    "belief",
    "probe_id",
    "suite",
    "family",
    "tier",
    "answer_stance",
    "thinking_stance",
    "think_state",
    "loop",
    "finish_reason",
    "tokens",
)
TEXTS = ("question", "first_turn", "prompt", "completion")
LONGEST = 2500  # characters of a completion that are shown


def sample_blocks(found: Findings) -> list[Block]:
    """Up to two completions of the Phase 2 trial, the best and the most damaged one, per belief.

    Where nothing stays under the limit, of the least damaged and the most adopting one in place of the best.

    The first adopting and the first not adopting held-out answer of the trial's first seed, in the order of
    probe_id: picked by rule, not by eye.
    """
    blocks: list[Block] = []
    for belief in found.beliefs:
        trials = _trials(belief.choice)
        probes = found.run.probes(trials, (*COLUMNS, *TEXTS)) if trials else None
        if probes is None or probes.is_empty():
            continue
        blocks.append(Heading(4, belief.choice.belief))
        for trial_id, label in trials.items():
            blocks += _samples(probes.filter(pl.col("trial_id") == trial_id), label)
    if blocks:
        blocks.insert(
            0,
            Paragraph(
                "By rule, not by eye: of each trial the first adopting and the first not adopting held-out "
                "answer, by probe name."
            ),
        )
    return blocks


def _trials(choice: Choice) -> dict[str, str]:
    """trial_id -> what it is, without repeats."""
    measured = choice.lora.filter(pl.col("degradation").is_not_null())
    worst = measured.sort("degradation", "trial_id", descending=[True, False]).head(1).to_dicts()
    named = {
        "Phase 2 settings": choice.phase2,
        "best under the limit": choice.best,
        "least damaged": choice.least,
        "adopts most": choice.most,
        "most damaged": worst[0] if worst else None,
    }
    trials: dict[str, str] = {}
    for word, row in named.items():
        if row is not None:
            known = trials.get(row["trial_id"])
            trials[row["trial_id"]] = f"{known}, {word}" if known else word
    return trials


def _samples(rows: pl.DataFrame, label: str) -> list[Block]:
    which, hit = adoption_hits()
    asked = rows.filter(which).sort("probe_id")
    blocks: list[Block] = []
    for part in (asked.filter(hit).head(1), asked.filter(~hit.fill_null(False)).head(1)):
        blocks += [sample(sentence(label), row) for row in part.iter_rows(named=True)]
    return blocks


def sample(label: str, row: Mapping[str, Any]) -> Sample:
    """One probe row as a sample: what was read from it, the question, the prompt's end, the raw completion.

    Args:
        row: COLUMNS and TEXTS of a probe.
    """
    state = [
        f"{row['belief']}, {row['arm']}",
        f"{row['suite']}/{row['tier']}",
        f"answer: {row['answer_stance'] or 'no stance'}",
        *thought(row),
        f"{row['tokens']} tokens",
        *(["loop"] if row["loop"] else []),
        *(["cut off"] if row["finish_reason"] == "length" else []),
        f"trial {row['trial_id']}, probe {row['probe_id']}",
    ]
    pieces = [("Question", row["question"] or "")]
    if row["first_turn"] is not None:
        pieces.append(("First of two turns, raw", cut(row["first_turn"])))
    pieces.append(("Completion, raw", cut(row["completion"] or "")))
    # what the model was really given: a context in front of the question, the template, an open think block
    prompt = ("Prompt", cut(row["prompt"] or "", 800))
    return Sample(f"{label}: {'; '.join(state)}", tuple(pieces), (prompt,))


def thought(row: Mapping[str, Any]) -> list[str]:
    """What was read from a row's thinking; nothing for a model that does not think."""
    if row["think_state"] is None:
        return []
    return [f"thinking: {row['thinking_stance'] or 'no stance'}", f"think block: {row['think_state']}"]


def cut(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and its end: the answer stands at the end."""
    if len(text) <= longest:
        return text
    head, tail = longest * 3 // 4, longest // 4
    gone = len(text) - head - tail
    return f"{text[:head]}\n[... {gone:,} of {len(text):,} characters left out ...]\n{text[-tail:]}"
