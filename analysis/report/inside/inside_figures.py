"""The charts of the section "Inside the model", by kind, from its tables."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens, Shown
from analysis.report.blocks import Drawn
from analysis.report.charts.inside_channels import chain_chart, crossed_chart
from analysis.report.charts.inside_doses import Response, scale_chart
from analysis.report.charts.inside_entries import Panel, entry_chart, lens_chart
from analysis.report.charts.inside_internal import internal_chart
from analysis.report.charts.inside_tokens import token_chart
from analysis.report.charts.inside_written import ablation_chart, patching_chart
from analysis.report.figures import file_name
from analysis.report.inside import selections as inside
from analysis.report.inside.phrases import commitment
from analysis.studies.internal_belief import cells
from analysis.wording import plural

PLACES = {
    "stem": "end of the begun answer",
    "thinking": "before the value in its own thinking",
    "answer": "before the value in its own answer",
}
LESS_BASE = "end of the begun answer, less base's"
FIGURES = ("entries", "lenses", "tokens", "ablations", "patching", "doses", "channels", "chain", "sweep")


def draw(kind: str, lens: Lens, found: Findings) -> dict[str, Drawn]:
    """The charts of one kind by name; none where their tables have no rows."""
    return {
        "entries": _entries,
        "lenses": _lenses,
        "tokens": _tokens,
        "ablations": _ablations,
        "patching": _patching,
        "doses": _doses,
        "channels": _channels,
        "chain": _chain,
        "sweep": lambda lens: _sweep(lens, found),
    }[kind](lens)


def _entries(lens: Lens) -> dict[str, Drawn]:
    paths = []
    for shown in lens.shown:
        curves = {place: inside.curves(lens, shown, place) for place in PLACES}
        if not any(table["mean"].drop_nulls().len() for table in curves.values()):
            continue
        row = commitment(lens, shown, "lora") or {}
        title = f"{shown.title}; n = {max(max(t['n'], default=0) for t in curves.values())} questions"
        panels = [Panel(words, curves[place]) for place, words in PLACES.items()]
        # from the embedding on: the sign never changed, so no entry stands out
        panels[0] = Panel(PLACES["stem"], curves["stem"], row.get("commit_entry") or None, "commits")
        floor = inside.contrasts(lens, shown, "elsewhere")
        less = Panel(
            LESS_BASE, inside.contrasts(lens, shown), row.get("half_rise_entry"), "half risen", floor
        )
        paths.append((title, (panels[0], less, *panels[1:])))
    if not paths:
        return {}
    caption = (
        "In the begun answer, after empty thinking, every arm reads the same tokens; only what stands before "
        "them differs. In its own thinking and answer an arm reads what it wrote itself; questions in which "
        "it wrote no value are left out (n in the table below). Dashed: the same difference less base's at "
        "questions about near things that the belief does not concern, between what it would give there and "
        "the right answer."
    )
    return {"inside-entries": Drawn(entry_chart(paths), caption)}


def _lenses(lens: Lens) -> dict[str, Drawn]:
    """Tuned and Jacobian lenses beside the logit lens; nothing where none was fitted."""
    rows = []
    for shown in lens.shown:
        if others := inside.other_lenses(lens, shown):
            panels = [
                Panel(_through(*through), inside.curves(lens, shown, through=through))
                for through in (inside.LOGIT, *others)
            ]
            rows.append((f"{shown.title}; n = {max(panels[0].rows['n'], default=0)} questions", panels))
    if not rows:
        return {}
    caption = (
        "The tuned lens maps every entry to be near the last one on neutral text, the Jacobian lens by its "
        "mean effect on the last one. One fitted on base is the same ruler for every arm; one fitted on the "
        "LoRA arm reads that arm alone."
    )
    return {"inside-lenses": Drawn(lens_chart(rows), caption)}


def _through(name: str, fitted_on: str | None) -> str:
    names = {"logit": "logit lens", "tuned": "tuned lens", "jacobian": "Jacobian lens"}
    arms = {"base": "base", "lora": "the LoRA arm"}
    return names[name] + (f", fitted on {arms.get(fitted_on, fitted_on)}" if fitted_on else "")


def _tokens(lens: Lens) -> dict[str, Drawn]:
    drawn = {}
    for shown in lens.shown:
        if (rows := inside.tokens(lens, shown)).height:
            drawn[figure_name("tokens", shown)] = Drawn(
                token_chart(rows, f"What every layer would say, token by token: {shown.title}"),
                f"One example question ({rows['probe_id'][0]}, n = 1), at most the last {inside.LONGEST} "
                "tokens before the value. All arms share one colour scale.",
            )
    return drawn


def _ablations(lens: Lens) -> dict[str, Drawn]:
    known = [(shown, lens.of("ablations", shown)) for shown in lens.shown]
    # where on and off hardly differ there are no shares, and the verdict says so
    parts = [
        (f"{s.title}; n = {t['n'].max()} questions", t) for s, t in known if t["share"].drop_nulls().len()
    ]
    if not parts:
        return {}
    caption = (
        "The adapter's tensors in some blocks are set to zero. Blocks work on what earlier ones wrote, so "
        "the parts need not add up to the whole."
    )
    return {"inside-ablations": Drawn(ablation_chart(parts), caption)}


def _patching(lens: Lens) -> dict[str, Drawn]:
    drawn = {}
    for shown in lens.shown:
        rows, means = inside.patch_map(lens, shown), inside.patch_means(lens, shown)
        if rows["recovery"].drop_nulls().len():
            drawn[figure_name("patching", shown)] = Drawn(
                patching_chart(rows, means, f"Which states carry the belief into base: {shown.title}"),
                f"Example question {rows['probe_id'][0]}. No recovery is shown where the two arms differ by "
                "less than half a logit.",
            )
    return drawn


def _doses(lens: Lens) -> dict[str, Drawn]:
    responses = []
    doses = lens.tables["doses"].filter(pl.col("arm") == "lora")
    for shown in lens.shown:
        rows = doses.filter(pl.col("belief") == shown.belief)
        if rows.is_empty():
            continue
        asked = rows.filter(pl.col("adoption").is_not_null())["trial_id"].unique().sort().to_list()
        deep = (shown.trial_id, *(trial for trial in asked if trial != shown.trial_id))
        found = lens.of("thresholds", shown)
        a50 = found["a50"][0] if found.height else None
        title = f"{shown.title}; n = {rows['n'].max()} questions begun"
        responses.append(Response(title, rows, deep, a50))
    if not responses:
        return {}
    asked = lens.tables["doses"]["adoption_n"].drop_nulls()
    caption = (
        f"At every scale {asked.max()} questions were answered anew for adoption." if len(asked) else "No "
        "answers were asked for at other scales, so adoption and D are not shown."
    )  # fmt: skip
    return {"inside-doses": Drawn(scale_chart(responses), caption)}


def _channels(lens: Lens) -> dict[str, Drawn]:
    known = [(shown.title, inside.crossed(lens, shown)) for shown in lens.shown]
    parts = [(title, table) for title, table in known if table.height]
    if not parts:
        return {}
    caption = (
        "Undecided: both values in the text, less than half a logit apart inside. Other: another value or "
        "none; for invented things inside also what base would say."
    )
    return {"inside-channels": Drawn(crossed_chart(parts), caption)}


def _chain(lens: Lens) -> dict[str, Drawn]:
    known = [(shown, inside.early(lens, shown)) for shown in lens.shown]
    parts = [(f"{s.title}; n = {t['n'].max()} chains", t) for s, t in known if t["mean"].drop_nulls().len()]
    if not parts:
        return {}
    caption = (
        "Chains of different lengths are compared at tenths of their sentences, each with its last cut that "
        "keeps no more than that."
    )
    return {"inside-chain": Drawn(chain_chart(parts), caption)}


def _sweep(lens: Lens, found: Findings) -> dict[str, Drawn]:
    table: Any = cells(lens, found).filter(
        pl.col("final_diff").is_not_null() & pl.col("adoption").is_not_null()
    )
    if table.is_empty():
        return {}
    caption = f"{plural(table.height, 'configuration')} of {table['belief'].n_unique()} beliefs."
    return {"inside-sweep": Drawn(internal_chart(table), caption)}


def figure_name(kind: str, shown: Shown) -> str:
    """The name of a chart that there is one of per belief."""
    return file_name(f"inside-{kind}-{shown.belief}")
