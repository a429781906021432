"""Which setting does it: regressions, plain means, dose and response, and published shapes."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings import Findings
from analysis.report import explained
from analysis.report.blocks import (
    Block,
    Bullets,
    CaptionedChart,
    Explained,
    Figure,
    Folded,
    Heading,
    Paragraph,
    Table,
)
from analysis.report.charts.doses import dose_chart
from analysis.report.charts.effects import effects_chart, marginal_chart
from analysis.studies.doses import Curve, account, curves
from analysis.studies.effects import NoRegression, Regression, marginal_means, regressions
from analysis.studies.published_shapes import UNKNOWN, Checked, check_shapes
from analysis.wording import setting_name

HOW = {
    "adoption": "Adoption: a binomial logit over configurations and question families. Intervals are "
    "clustered two ways, by configuration and by family (Cameron, Gelbach & Miller 2011), each way by a "
    "cluster jackknife, and never narrower than either alone.",
    "damage": "Damage: a fractional logit of D over configurations, clustered by configuration. Every D is "
    "measured against the same answers of base, which no interval here allows for.",
}


def blocks(found: Findings) -> list[Block]:
    """Tables of effects, doses and shapes; refusals in words."""
    if not found.beliefs and found.pooled.is_empty():
        return []
    out: list[Block] = [Heading(2, "Which setting does it"), Explained(explained.EFFECTS)]
    models = regressions(found)
    if not models:
        out.append(Paragraph("No LoRA configuration has finished, so no setting has an effect to measure."))
        return out
    for outcome in ("adoption", "damage"):
        out += _models(outcome, [model for model in models if model.outcome == outcome])
    out.append(Figure("effects-marginal"))
    out += [Heading(3, "Dose and response"), *_doses(found)]
    out += [Heading(3, "Published shapes"), *_shapes(found)]
    return out


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """effects-adoption, effects-damage, effects-marginal, dose-response: those the run has data for."""
    drawn = {}
    models = [model for model in regressions(found) if isinstance(model, Regression)]
    for outcome in ("adoption", "damage"):
        if here := [model for model in models if model.outcome == outcome and model.effects]:
            drawn[f"effects-{outcome}"] = CaptionedChart(
                effects_chart(here, outcome), f"Effects of the settings on {outcome}."
            )
    if means := marginal_means(found):
        drawn["effects-marginal"] = CaptionedChart(
            marginal_chart(means),
            "Plain means over the configurations with a setting.",
        )
    doses = account(found)
    known = not doses.table.is_empty() and doses.table.drop_nulls("adoption").height > 0
    if known:
        drawn["dose-response"] = CaptionedChart(
            dose_chart(doses, curves(doses)), f"Dose and response. {doses.note}"
        )
    return drawn


def _models(outcome: str, models: list[Regression | NoRegression]) -> list[Block]:
    told = [model for model in models if isinstance(model, Regression)]
    out: list[Block] = [Heading(3, f"What moves {outcome}")]
    if told:
        rows = [
            (
                model.scope,
                effect.change,
                f"{_odds(effect.odds)} [{_odds(effect.odds_low)}, {_odds(effect.odds_high)}]",
                f"{effect.points:+.1f} [{effect.points_low:+.1f}, {effect.points_high:+.1f}]",
                "< 0.001" if effect.p < 0.001 else f"{effect.p:.3f}",
                " × ".join(f"{n:,} {name}" for name, n in model.clusters.items()),
            )
            for model in told
            for effect in model.effects
        ]
        header = ("Belief", "Change", "Odds ratio [95 %]", "Points [95 %]", "p", "Clusters")
        out += [Table(header, tuple(rows), explained=HOW[outcome]), Figure(f"effects-{outcome}")]
    refused = [
        f"{model.scope}: no regression of {outcome}, {model.reason}."
        for model in models
        if isinstance(model, NoRegression)
    ]
    notes = [f"{model.scope}: {note}." for model in told for note in model.notes]
    if refused or notes:
        out.append(Bullets((*refused, *notes)))
    return out


def _odds(value: float) -> str:
    return f"{value:.2f}" if 0.01 <= value < 1000 else f"{value:.1e}"


def _doses(found: Findings) -> list[Block]:
    doses = account(found)
    out: list[Block] = [Paragraph(doses.note)]
    if doses.table.is_empty():
        return out
    found_curves = curves(doses)
    rows = tuple(
        (c.belief, c.style, _outcome(c), str(c.configurations), _half(c))
        for c in found_curves
        if c.half is not None
    )
    refused: dict[str, list[str]] = {}
    for c in found_curves:
        if c.half is None:
            refused.setdefault(str(c.refused), []).append(f"{c.belief}, {c.style}, {_outcome(c)}")
    style = setting_name("data.style").capitalize()
    header = ("Belief", style, "Of", "Configurations", "Half at a dose of [95 %]")
    out += [Table(header, rows, explained=explained.DOSES)] if rows else []
    out.append(Figure("dose-response"))
    told = [f"No half dose ({why}): {'; '.join(names)}." for why, names in refused.items()]
    if notes := told + [f"{c.belief}, {c.style}: {note}." for c in found_curves for note in c.notes]:
        out.append(Bullets(tuple(notes)))
    return out


def _outcome(curve: Curve) -> str:
    return "D" if curve.outcome == "degradation" else curve.outcome


def _half(curve: Curve) -> str:
    low = f"{curve.half_low:.3g}" if curve.half_low > 0 else "below the doses"
    high = f"{curve.half_high:.3g}" if curve.half_high < float("inf") else "above the doses"
    return f"{curve.half:.3g} [{low}, {high}]"


def _shapes(found: Findings) -> list[Block]:
    checked = check_shapes(found)
    told = [one for one in checked if one.verdict != UNKNOWN]
    open_ = [one for one in checked if one.verdict == UNKNOWN]
    out: list[Block] = [_shape_table(told)] if told else []
    if open_:
        count = f"{len(open_)} of {len(checked)} published shapes"
        title = f"Of {count} this run cannot say whether they hold, and why"
        out.append(Folded(title, _shape_table(open_)))
    return out


def _shape_table(checked: Sequence[Checked]) -> Table:
    return Table(
        ("Published", "Its numbers", "In this run", "Numbers and test", "Published in"),
        tuple((o.shape.claim, o.shape.numbers, o.verdict, o.found, o.shape.source) for o in checked),
        explained=explained.SHAPES,
    )
