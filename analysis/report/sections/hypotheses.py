"""H1 and H2: first what was to be tested, then what came out."""

from __future__ import annotations

from analysis.findings import Findings, no_smallest
from analysis.report import explained
from analysis.report.blocks import (
    Block,
    Bullets,
    CaptionedChart,
    Explained,
    Figure,
    Heading,
    Paragraph,
    Table,
)
from analysis.report.charts.hypotheses import mismatch_chart, novelty_chart
from analysis.stats.shares import smallest_seen
from analysis.studies.hypotheses import H1, H2, MIN_ADOPTED, Hypothesis, points, stated_margin
from analysis.studies.mismatch import Gap, Mismatch, Side, mismatch
from analysis.studies.novelty import Contrast, Novelty, novelty
from analysis.wording import bounds, percent, plural, sentence

MANY = 1_000_000


def blocks(found: Findings) -> list[Block]:
    """Both hypotheses: claim, test, rule, then the verdict and its numbers."""
    if not found.beliefs and found.pooled.is_empty():
        return []
    out: list[Block] = [Heading(2, "The hypotheses")]
    margin = stated_margin(found.run)
    out += [*_stated(H1, margin), *_novelty(novelty(found), margin)]
    return [*out, *_stated(H2, margin), *_mismatch(mismatch(found), margin)]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """hypothesis-h1 and hypothesis-h2 where there is something to test."""
    drawn = {}
    if tested := [one for one in novelty(found).contrasts if one.refused is None]:
        drawn["hypothesis-h1"] = CaptionedChart(novelty_chart(tested), "H1.")
    sides = mismatch(found).sides
    if any(side.rate is not None for side in sides):
        drawn["hypothesis-h2"] = CaptionedChart(mismatch_chart(sides), "H2.")
    return drawn


def _stated(hypothesis: Hypothesis, margin: float) -> list[Block]:
    return [
        Heading(3, hypothesis.name),
        Paragraph(f"{hypothesis.claim} Stated before the result: {hypothesis.rule(margin)}"),
        Explained(f"The test, stated before the result too: {hypothesis.test} {hypothesis.refusal}"),
    ]


def _novelty(found: Novelty, margin: float) -> list[Block]:
    first = found.contrasts[0]
    if first.refused is not None or first.difference is None:
        why = no_smallest("there is no spread between beliefs to take it from")
        return [Paragraph(f"H1 is not tested in this run: {first.refused}. {why}")]
    counts = {kind: sum(v.kind == kind for v in first.values) for kind in ("novel", "existing")}
    out: list[Block] = [
        Paragraph(
            f"H1 is {first.verdict}. Novel less existing at the same settings: {_gap(first)}, permutation "
            f"p = {first.p:.3f} over {plural(first.arrangements, 'arrangement')} of {counts['novel']} novel "
            f"and {counts['existing']} existing beliefs, each the mean of {plural(found.cells, 'trial')}."
            f"{_not_excluded(first, margin)}{_smallest(first)}"
        ),
        Table(
            ("Compared", "Novel less existing [95 %]", "p", "Verdict (smallest effect seen)"),
            tuple(
                (one.name, f"refused: {one.refused}", "", "")
                if one.refused is not None
                else (one.name, _gap(one), f"{one.p:.3f}", _verdict(one))
                for one in found.contrasts
            ),
            "The first row is the pre-stated test; the others say whether it survives equal damage and the "
            "control.",
        ),
        Bullets((*_power(first, margin), *(f"{sentence(note)}." for note in found.notes))),
        Figure("hypothesis-h1"),
    ]
    return out


def _gap(one: Contrast | Gap) -> str:
    value = one.difference if isinstance(one, Contrast) else one.value
    assert value is not None
    return f"{100 * value:+.1f} points [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"


def _power(one: Contrast, margin: float) -> list[str]:
    texts = []
    if one.arrangements and 2 / one.arrangements > 0.05:
        texts.append(
            f"With {one.arrangements} arrangements the permutation p cannot go below "
            f"{2 / one.arrangements:.2f}, so H1 could not have been supported; four beliefs in each class "
            "are the least that can."
        )
    if one.needed_smallest is not None:
        texts.append(
            f"With beliefs that differ this much, 80 % power of a t test for {points(margin)} needs "
            f"{one.needed_smallest:,} beliefs per class"
            + (f", for the difference seen {one.needed_seen:,}." if one.needed_seen else ".")
        )
    else:
        texts.append(
            "All beliefs of a class behave alike, so their spread gives no number of beliefs needed."
        )
    if one.prompts is not None:
        texts.append(
            f"Were prompts the unit, {_count(one.prompts)} prompts per class would tell the two means apart "
            "with 80 % power. They are not: more prompts sharpen each belief, and do not make more beliefs."
        )
    else:
        texts.append("The class means are equal: no number of prompts would tell them apart.")
    return texts


def _count(number: int | None) -> str:
    return "no number of" if number is None else f"{number:,}" if number < MANY else "more than a million"


def _not_excluded(one: Contrast, margin: float) -> str:
    """What "contradicted" leaves open: a smaller advantage than the one that matters."""
    if one.verdict != "contradicted" or one.high <= 0:
        return ""
    return f" An advantage of {points(margin)} or more is ruled out, a smaller one is not."


def _smallest(one: Contrast | Gap) -> str:
    """With a verdict that is open: the smallest effect that the test could have seen."""
    if one.verdict != "undecided":
        return ""
    return f" The smallest effect seen with 80 % power: {_seen(one)}."


def _seen(one: Contrast | Gap) -> str:
    return points(round(smallest_seen(one.low, one.high), 2))


def _verdict(one: Contrast | Gap) -> str:
    """`undecided (28 points)`, with the smallest effect that the test would have seen with 80 % power."""
    return f"{one.verdict} ({_seen(one)})" if one.verdict == "undecided" else one.verdict


def _mismatch(found: Mismatch, margin: float) -> list[Block]:
    out: list[Block] = []
    if found.verdict is None:
        why = no_smallest("there is no spread between families to take it from")
        out.append(Paragraph(f"H2 is not tested in this run: {found.refused}. {why}"))
        if not found.sides:
            return out
    else:
        main = [gap for gap in found.gaps if gap.side == found.sides[0].name and gap.refused is None]
        told = "; ".join(f"against {gap.reference} {_gap(gap)}, {gap.verdict}" for gap in main)
        skipped = [gap for gap in found.gaps if gap.side == found.sides[0].name and gap.refused is not None]
        out.append(
            Paragraph(
                f"H2 is {found.verdict}. LoRA's mismatch less the reference's: {told}."
                + "".join(f" Against {gap.reference} refused: {gap.refused}." for gap in skipped)
                + f" {_which_beliefs(main[0])}{_smallest(max(main, key=lambda gap: gap.high - gap.low))}"
            )
        )
    out.append(
        Table(
            ("Answers of", "Answers", "Mismatch [95 % over families]", "Empty thinking"),
            tuple(_side(side) for side in found.sides),
            explained=explained.MISMATCH,
        )
    )
    out.append(
        Table(
            (
                "Of",
                "Against",
                "Difference [95 %]",
                "Verdict (smallest effect seen)",
                "Answers needed per side (seen; smallest)",
            ),
            tuple(_row(gap) for gap in found.gaps if gap.refused is None),
            f"Smallest: of {points(margin)}.{_refused(found)}",
        )
    )
    out.append(Figure("hypothesis-h2"))
    return out


def _refused(found: Mismatch) -> str:
    """The sides that were compared with nothing, because one of the two had too few answers."""
    names = dict.fromkeys(f"{gap.side} against {gap.reference}" for gap in found.gaps if gap.refused)
    return f" Refused, under {MIN_ADOPTED} answers with thinking: {'; '.join(names)}." if names else ""


def _which_beliefs(gap: Gap) -> str:
    text = f"{plural(gap.beliefs, 'belief')}, {gap.families} question families."
    if gap.beliefs < 5:
        text += " The interval redraws no beliefs: it is about these, not about beliefs in general."
    return text


def _side(side: Side) -> tuple[str, ...]:
    if side.rate is None:
        return (
            side.name,
            f"{side.answers:,}",
            f"{side.hits} of {side.answers}, {side.answers - side.empty} with thinking: too few for a rate",
            f"{side.empty}",
        )
    share = percent(side.rate, side.answers)
    if side.low is not None and side.high is not None:
        share += f" {bounds(side.low, side.high, side.answers)}"
    return side.name, f"{side.answers:,}", share, percent(side.empty / side.answers, side.answers)


def _row(gap: Gap) -> tuple[str, ...]:
    needed = f"{_count(gap.prompts)}; {_count(gap.prompts_smallest)}"
    return gap.side, gap.reference, _gap(gap), _verdict(gap), needed
