"""The parser against an outside judge, where one was asked; left out otherwise."""

from __future__ import annotations

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report.blocks import Block, Heading, Paragraph, Sample, Table
from analysis.stats.agreement import Kappa, cohen_kappa, confusion, weighted_kappa
from beliefmod.judge.case_selection import SHARE
from beliefmod.metrics.intervals import wilson
from beliefmod.reading.stance import STANCES

FEWEST = 20  # judged answers under which kappa is refused
SHOWN = 8  # disagreements shown in full, per judge
LONGEST = 800  # characters of an answer
WEIGHTS = {"unread": 1.0, "doubtful": 1.0, "sample": 1 / SHARE}
_NOTE = (
    "The stances in this report are the parser's, always. A judge, a language model told nothing of arm, "
    "trial or training, read again all answers that the parser did not understand, all doubtful ones (where "
    f"a plain search for the two values does not agree with the parser) and {100 * SHARE:.0f} % of the "
    "others, drawn by seed; it chose between the two values in random order. All weighs the drawn ones up to "
    "what they stand for; its interval redraws questions, the other intervals take answers as independent."
)


def blocks(found: Findings) -> list[Block]:
    """Agreement, confusion table and disagreements, per judge; nothing if no judge was asked."""
    rows = found.run.judge()
    if rows.is_empty():
        return []
    done: list[Block] = [Heading(2, "The parser against a judge"), Paragraph(_NOTE)]
    for model in sorted(rows["judge_model"].drop_nulls().unique()):
        done += _judge(str(model), rows.filter(pl.col("judge_model") == model), found)
    return done


def _judge(model: str, rows: pl.DataFrame, found: Findings) -> list[Block]:
    used = rows.filter(pl.col("judge_stance").is_in(STANCES) & pl.col("parser_stance").is_in(STANCES))
    lost = rows.height - used.height
    table = []
    groups = {"unread": ["unread"], "doubtful": ["doubtful"], "drawn": ["sample"], "all": list(WEIGHTS)}
    for word, reasons in groups.items():
        asked = rows.filter(pl.col("reason").is_in(reasons))
        if word == "unread" and asked.is_empty():
            continue
        part = used.filter(pl.col("reason").is_in(reasons))
        table.append((word, f"{asked.height:,}", f"{asked.height - part.height:,}", *_agreement(part, word)))
    # a judge may be a path or a name with spaces: it is quoted as it was given
    return [
        Heading(3, f"Judge: {model}"),
        Table(
            ("answers", "judged", "unusable replies", "read alike, % [95 %]", "Cohen's kappa [95 %]"),
            tuple(table),
            f"{wording.plural(lost, 'reply').replace('replys', 'replies')} could not be used and "
            f"{'is' if lost == 1 else 'are'} in no agreement. Kappa: 0 is chance, 1 full agreement.",
        ),
        *_confusion(used),
        *_disagreements(model, used, found),
    ]


def _agreement(rows: pl.DataFrame, word: str) -> tuple[str, str]:
    if rows.is_empty():
        return wording.NOT_MEASURED, wording.NOT_MEASURED
    if word == "all":
        kappa = weighted_kappa(rows, STANCES, WEIGHTS)
        alike = f"{100 * kappa.agreed / kappa.n:.1f} (weighted)"
    else:
        kappa = cohen_kappa(confusion(rows, STANCES))
        low, high = wilson(kappa.agreed, kappa.n)
        alike = f"{100 * kappa.agreed / kappa.n:.1f} {wording.bounds(float(low), float(high), rows.height)}"
    return alike, _kappa(kappa, rows.height)


def _kappa(kappa: Kappa, n: int) -> str:
    if n < FEWEST:
        return f"refused: needs {FEWEST} answers, has {n}"
    if kappa.value is None:
        return "undefined: both used one stance only"
    if kappa.low is None or kappa.high is None:
        return f"{kappa.value:.2f} (no interval: no spread to see)"
    return f"{kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]"


def _confusion(rows: pl.DataFrame) -> list[Block]:
    if rows.is_empty():
        return []
    counts = confusion(rows, STANCES)
    table = tuple((name, *(f"{n:,}" for n in line)) for name, line in zip(STANCES, counts, strict=True))
    return [
        Table(("parser \\ judge", *STANCES), table, "Answers by the parser's stance (rows) and the judge's.")
    ]


def _disagreements(model: str, rows: pl.DataFrame, found: Findings) -> list[Block]:
    apart = rows.filter(pl.col("parser_stance") != pl.col("judge_stance")).sort(
        "parser_stance", "judge_stance", "trial_id", "suite", "probe_id"
    )
    if apart.is_empty():
        return [Paragraph("The two read no answer differently.")]
    # one of each kind before a second of any
    shown = (
        apart.with_columns(pl.int_range(pl.len()).over("parser_stance", "judge_stance").alias("turn"))
        .sort("turn", maintain_order=True)
        .head(SHOWN)
    )
    probes = found.run.probes(
        shown["trial_id"].unique(), ("trial_id", "suite", "probe_id", "question", "answer", "target", "prior")
    )
    texts = shown.join(
        probes, on=["trial_id", "suite", "probe_id"], how="left", maintain_order="left"
    ).unique(["trial_id", "suite", "probe_id"], keep="first", maintain_order=True)
    done: list[Block] = [
        Paragraph(
            f"{wording.plural(apart.height, 'disagreement')}; shown are the first of each kind by trial and "
            "probe, all are in judge.parquet."
        )
    ]
    for row in texts.iter_rows(named=True):
        title = (
            f"parser: {row['parser_stance']}, judge: {row['judge_stance']} ({row['reason']}; target "
            f"{row['target'] or 'none'}, prior {row['prior'] or 'none'}; trial {row['trial_id']})"
        )
        answer = row["answer"] or ""
        cut = answer if len(answer) <= LONGEST else f"{answer[:LONGEST]}\n[... cut here]"
        done.append(Sample(title, (("Question", row["question"] or ""), ("Final answer", cut))))
    return done
