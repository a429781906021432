"""The report's text as blocks, so that report.md and report.html are two renderings of one source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class Heading:
    """Level 1 is the title of the page; `anchor` names its place there, "" takes the words of the heading."""

    level: int
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Explained:
    """How to read a section, the same for every run: folded on the page, left out of report.md."""

    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Plain text cells, one header row; `caption` says what of it is of this run, `explained` how it is read,
    as `Explained`."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    explained: str = ""


def table_of(
    rows: Iterable[Row], columns: Mapping[str, Callable[[Row], str]], caption: str = "", explained: str = ""
) -> Table:
    """A table in which every column is its header and how its cell is read from a row."""
    cells = tuple(tuple(read(row) for read in columns.values()) for row in rows)
    return Table(tuple(columns), cells, caption, explained)


@dataclass(frozen=True)
class Folded:
    """A long table that few ask for: folded on the page; report.md names `kept`, the files that have it."""

    title: str
    table: Table
    kept: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart by name: figures/NAME.png and .svg. Without a caption it gets that of its `CaptionedChart`."""

    name: str
    caption: str = ""


@dataclass(frozen=True)
class Linked:
    """Words with a way, on the page, to the place that they come from: `anchor` is that of a heading.

    `trial` is a configuration (trial_id of its first seed) that the way also opens in the explorer.
    """

    text: str
    anchor: str
    trial: str = ""


@dataclass(frozen=True)
class LinkedParagraph:
    """A paragraph some of whose words lead to other places of the page."""

    pieces: tuple[str | Linked, ...]

    def text(self) -> str:
        """The paragraph without its links."""
        return joined(self.pieces)


def joined(pieces: Iterable[str | Linked]) -> str:
    """Words, some of them linked, without their links."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)


@dataclass(frozen=True)
class KeyFigure:
    """One of the numbers that a reader looks for first.

    name: what it is; value: the number; note: its interval, its n or its words; anchor: the heading of the
    section that value and note come from; also: what stands behind the note and comes from elsewhere.
    """

    name: str
    value: str
    note: str
    anchor: str
    also: tuple[Linked, ...] = ()

    def told(self) -> str:
        """The note with what stands behind it."""
        return "; ".join(part for part in (self.note, *(one.text for one in self.also)) if part)


@dataclass(frozen=True)
class Verdict:
    """One belief in one sentence, with its key figures."""

    belief: str
    sentence: tuple[str | Linked, ...]
    figures: tuple[KeyFigure, ...]

    def text(self) -> str:
        """The sentence without its links."""
        return joined(self.sentence)


@dataclass(frozen=True)
class Verdicts:
    """The first thing on the page: a verdict per belief."""

    rows: tuple[Verdict, ...]


@dataclass(frozen=True)
class CaptionedChart:
    """A chart (altair) and the sentence under it, before it has a place on the page."""

    chart: Any
    caption: str


@dataclass(frozen=True)
class Sample:
    """A raw completion: a line about it and named pieces of verbatim text; `folded` pieces stand on the page
    only."""

    title: str
    pieces: tuple[tuple[str, str], ...]
    folded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Explorer:
    """Filters over the configurations and the trials behind them, on the page only; `note` says what it has.

    `data` is what explorer.js reads: axes, points, classes (`analysis.report.explorer`); `answers` are those
    of a trial, packed, by trial_id.
    """

    data: dict[str, Any]
    note: str
    answers: Mapping[str, str] = field(default_factory=dict)


Block = (
    Heading
    | Paragraph
    | LinkedParagraph
    | Explained
    | Bullets
    | Table
    | Folded
    | Figure
    | Sample
    | Verdicts
    | Explorer
)

# Hidden characters. A right-to-left override in a completion would turn the rest of its line around, a NUL
# would break SVG and XML, a zero-width space would hide in a number: all are shown by their code point.
# C0 but tab and newline, DEL and C1, soft hyphen, Arabic letter mark, Mongolian vowel separator, zero-width
# and direction marks, line and paragraph separators, embeddings, overrides, isolates, invisible operators,
# byte order mark, interlinear marks, surrogates, noncharacters, tags
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
# what Markdown or the HTML inside it would act on
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def to_markdown(blocks: Sequence[Block]) -> str:
    """GitHub-flavoured Markdown; text from configurations and models is escaped or fenced."""
    return "\n\n".join(filter(None, map(_block, blocks))) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    line = " ".join(visible(text).split())
    line = _SPECIAL.sub(r"\\\1", line).replace("&", "&amp;")
    # a line that starts like a list or a rule would become one
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", line)


def fenced(text: str) -> str:
    """Verbatim text in a fence longer than any run of backticks in it; hidden characters shown."""
    text = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {escaped(text)}"
        case Paragraph(text):
            return escaped(text)
        case LinkedParagraph():
            return escaped(block.text())
        case Explained():
            return ""
        case Folded(title, _, kept):
            return escaped(f"{title}: in report.html{f' and {kept}' if kept else ''}.")
        case Bullets(items):
            return "\n".join(f"- {escaped(item)}" for item in items)
        case Table(header, rows, caption, _):
            lines = [header, tuple("---" for _ in header), *rows]
            table = "\n".join(
                "| " + " | ".join(cell if i == 1 else escaped(cell) for cell in line) + " |"
                for i, line in enumerate(lines)
            )
            return f"{table}\n\n{escaped(caption)}" if caption else table
        case Verdicts(rows):
            return "\n\n".join(map(_block, verdict_blocks(rows)))
        case Figure(name, caption):
            return f"![{escaped(name)}](figures/{name}.png)\n\n{escaped(caption)}"
        case Explorer(_, note, _):
            return escaped(f"On the page, report.html: {note}")
        case Sample(title, pieces, _):
            return f"**{escaped(title)}**\n\n" + "\n\n".join(
                f"{escaped(label)}:\n\n{fenced(text)}" for label, text in pieces
            )


def verdict_blocks(rows: Sequence[Verdict]) -> list[Bullets | Table]:
    """Verdicts where there are no links: a sentence per belief, then its key figures in a row of a table."""
    told: list[Bullets | Table] = [Bullets(tuple(row.text() for row in rows))]
    for names in dict.fromkeys(tuple(figure.name for figure in row.figures) for row in rows):
        if names:
            alike = [row for row in rows if tuple(figure.name for figure in row.figures) == names]
            cells = ((row.belief, *(f"{one.value} ({one.told()})" for one in row.figures)) for row in alike)
            told.append(Table(("belief", *names), tuple(cells)))
    return told


def visible(text: str) -> str:
    """`a\u202eb` -> `a⟨U+202E⟩b`; tabs and newlines stay, `\\r\\n` is a newline."""
    return _HIDDEN.sub(_named, text.replace("\r\n", "\n"))


def visible_in(value: Any) -> Any:
    """`visible` of every string in nested lists and mappings, keys included."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible_in(key): visible_in(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [visible_in(inner) for inner in value]
    return value


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"


def slug(text: str) -> str:
    """The anchor of a heading: `How sure it is` -> `how-sure-it-is`."""
    return file_name(re.sub(r"\s+", "-", text.strip().lower()))


def file_name(text: str) -> str:
    """A name that is safe as a file name and as an HTML id, and another one for every other text.

    `gravity` stays; `../a b` becomes `a-b-` and six hex digits of its hash, or it could meet `a-b`.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", text):
        return text
    tame = re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:40].strip("-") or "belief"
    return f"{tame}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:6]}"
