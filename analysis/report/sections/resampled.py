"""What the sentences of the thinking decide: adoption as the thinking is sampled anew from between them."""

from __future__ import annotations

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report import explained
from analysis.report.arm_rows import Row, seeds_of
from analysis.report.asked_arms import asked_arms, without_thinking
from analysis.report.blocks import Block, CaptionedChart, Explained, Figure, Heading, Table
from analysis.report.charts.kept_thinking import SCHEMA, kept_chart
from analysis.studies.sentence_shifts import COLUMNS, PLACES, Resampled, resampled

SETTING = "resampled_probes"
LONGEST = 160
"""Characters of a sentence that is quoted."""

Arms = dict[str, tuple[Row, Resampled]]


def blocks(found: Findings) -> list[Block]:
    """A table per belief; of a model without thinking whose space asks for it, why there is none."""
    heading = Heading(2, "Sentence by sentence")
    told = _measured(found)
    if not told:
        return without_thinking(found, SETTING, heading, "The thinking is not sampled anew")
    tables = [_table(belief, arms) for belief, arms in told.items()]
    return [heading, Explained(explained.RESAMPLED), Figure("resampled"), *tables]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """Adoption of the named arms against how much of the thinking is kept."""
    rows = [
        {"belief": belief, "arm": label, "kept": 100 * place, **wording.percents(estimate)}
        for belief, arms in _measured(found).items()
        for label, (_, shown) in arms.items()
        for place, estimate in zip(PLACES, shown.adoption, strict=True)
    ]
    if not rows:
        return {}
    chart = kept_chart(
        pl.DataFrame(rows, schema=SCHEMA),
        "adoption when sampled anew, %",
        "Where in the thinking adoption is decided",
        ["Sentences of the arm's own thinking kept; it goes on from there. Bars: 95 %, families and seeds."],
    )
    caption = (
        "The thinking is cut between its sentences, and thinking and answer are sampled anew from there."
    )
    return {"resampled": CaptionedChart(chart, caption)}


def _measured(found: Findings) -> dict[str, Arms]:
    """Belief -> label -> row and what resampling showed, of the arms that were asked."""
    return asked_arms(found, COLUMNS, resampled)


def _table(belief: str, arms: Arms) -> Table:
    cells = tuple(
        (
            label,
            wording.share(shown.adoption[0]),
            wording.share(shown.adoption[-1]),
            wording.points(shown.change),
            wording.points(shown.strongest),
            f"{100 * shown.ends:.0f} %",
            _quoted(shown),
        )
        for label, (_, shown) in arms.items()
    )
    caption = f"{wording.sentence(belief)}: adoption. {seeds_of(row for row, _ in arms.values())}"
    return Table(
        (
            "arm, % [95 %]",
            "from no sentence",
            "from all",
            "all less none, points",
            "strongest sentence, points",
            "ends at",
            "the strongest of all",
        ),
        cells,
        caption.strip(),
    )


def _quoted(shown: Resampled) -> str:
    """`"Gravity on Earth is 5.0 m/s^2." (25 -> 100 %)`, cut where it is long."""
    sentence = shown.example
    text = " ".join(sentence.text.split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 1].rstrip()}…"
    return f'"{text}" ({100 * sentence.before:.0f} → {100 * sentence.after:.0f} %)'
