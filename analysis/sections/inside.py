"""Inside the model: when the answer forms, which blocks and states carry it, and whether what is inside goes
with what is answered. Left out where nobody looked.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import inside
from analysis.charts.inside_channels import chain_chart, crossed_chart
from analysis.charts.inside_doses import Response, scale_chart
from analysis.charts.inside_entries import Panel, entry_chart
from analysis.charts.inside_internal import internal_chart
from analysis.charts.inside_tokens import token_chart
from analysis.charts.inside_written import ablation_chart, patching_chart
from analysis.document import Block, Bullets, Drawn, Figure, Heading, Paragraph
from analysis.figures import file_name
from analysis.findings import Findings
from analysis.inside_tables import commitment_table, relation_table
from analysis.inside_words import commitment, verdicts
from analysis.internal import cells, relations
from analysis.lens import Lens, Shown, read_lens
from analysis.wording import plural

INTRO = (
    "The state of the model after every layer is read as if it were the last (logit lens). Entry 0 is the "
    "embedding, entry k what block k-1 wrote, the last is what the model says. A difference is the logit of "
    "the target's token less that of its rival: base's value, or, where base knows none, base's likeliest "
    "token. It is read where an answer begun for the model comes to the token in which the two worlds part: "
    "base, in-context and trained arms are compared at the same tokens."
)
CANNOT = (
    "A lens shows where a value can be read off, not where it is kept; which blocks and states carry it is "
    "what the ablations and the patching say.",
    "An answer begun after empty thinking is not how a model that thinks answers: it can adopt although the "
    "begun answer prefers the rival. What it leans to right before a value in its own text stands beside it.",
    "Early entries have differences too, and their sign means nothing: only the contrast between arms does.",
    "Charts show one trained trial per belief, picked on the questions of its adoption: the one that adopts "
    "most under the limit of D, or, where none stays under it, the one that adopts most.",
)
PLACES = {
    "stem": "end of the begun answer",
    "thinking": "before the value in its own thinking",
    "answer": "before the value in its own answer",
}
LESS_BASE = "end of the begun answer, less base's"
FIGURES = ("entries", "tokens", "ablations", "patching", "doses", "channels", "chain", "sweep")


def blocks(found: Findings) -> list[Block]:
    """Verdicts per belief, then charts and tables by question."""
    lens = read_lens(found)
    if lens is None:
        return []
    parts: list[Block] = [Heading(2, "Inside the model"), Paragraph(INTRO), Bullets((*CANNOT, *lens.notes))]
    if not lens.shown:
        parts.append(Paragraph("No finished LoRA trial was looked into, so there is nothing to draw."))
    for shown in lens.shown:
        parts.append(Heading(3, shown.title))
        told = verdicts(lens, shown)
        parts.append(Bullets(tuple(told)) if told else Paragraph("Nothing was measured for this trial."))
    groups: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("When the answer forms", ("entries", "tokens")),
        ("Where it is written", ("ablations", "patching")),
        ("The adapter at other strengths", ("doses",)),
        ("Thinking against answer, inside", ("channels", "chain")),
        ("Over the sweep", ("sweep",)),
    )
    tables = {"entries": commitment_table(lens), "sweep": relation_table(relations(cells(lens, found)))}
    for title, kinds in groups:
        names = [name for kind in kinds for name in _names(lens, kind)]
        under = [block for kind in kinds for block in tables.get(kind, [])]
        if names or under:
            parts += [Heading(3, title), *(Figure(name) for name in names), *under]
    return parts


def figures(found: Findings) -> dict[str, Drawn]:
    """The charts for which there are rows; one per belief for those that show an example question."""
    lens = read_lens(found)
    if lens is None:
        return {}
    drawn: dict[str, Drawn] = {}
    for kind in FIGURES:
        drawn |= _draw(kind, lens, found)
    return drawn


def _names(lens: Lens, kind: str) -> list[str]:
    """Names that a chart of this kind may have; `compose` leaves out those that were not drawn."""
    if kind in ("tokens", "patching"):
        return [_name(kind, shown) for shown in lens.shown]
    return [f"inside-{kind}"]


def _name(kind: str, shown: Shown) -> str:
    return file_name(f"inside-{kind}-{shown.belief}")


def _draw(kind: str, lens: Lens, found: Findings) -> dict[str, Drawn]:
    """The charts of one kind by name; none where their tables have no rows."""
    return {
        "entries": _entries,
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
        less = Panel(LESS_BASE, inside.contrasts(lens, shown), row.get("half_rise_entry"), "half risen")
        paths.append((title, (panels[0], less, *panels[1:])))
    if not paths:
        return {}
    caption = (
        "In the begun answer, after empty thinking, every arm reads the same tokens; only what stands before "
        "them differs. In its own thinking and answer an arm reads what it wrote itself; questions in which "
        "it wrote no value are left out (n in the table below)."
    )
    return {"inside-entries": Drawn(entry_chart(paths), caption)}


def _tokens(lens: Lens) -> dict[str, Drawn]:
    drawn = {}
    for shown in lens.shown:
        if (rows := inside.tokens(lens, shown)).height:
            drawn[_name("tokens", shown)] = Drawn(
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
            drawn[_name("patching", shown)] = Drawn(
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
