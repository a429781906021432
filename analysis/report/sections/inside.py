"""Inside the model: when the answer forms, which blocks and states carry it, and whether what is inside goes
with what is answered. Left out where nobody looked.
"""

from __future__ import annotations

from analysis.findings import Findings
from analysis.read_lens import Lens, read_lens
from analysis.report.blocks import Block, Bullets, Drawn, Figure, Heading, Paragraph
from analysis.report.inside.inside_figures import FIGURES, draw, figure_name
from analysis.report.inside.inside_tables import commitment_table, relation_table
from analysis.report.inside.words import verdicts
from analysis.studies.internal_belief import cells, relations

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
        ("When the answer forms", ("entries", "lenses", "tokens")),
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
        drawn |= draw(kind, lens, found)
    return drawn


def _names(lens: Lens, kind: str) -> list[str]:
    """Names that a chart of this kind may have; `compose` leaves out those that were not drawn."""
    if kind in lens.tables and lens.tables[kind].is_empty():
        return []
    if kind in ("tokens", "patching"):
        return [figure_name(kind, shown) for shown in lens.shown]
    return [f"inside-{kind}"]
