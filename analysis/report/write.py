"""`write_report`: one offline page, its Markdown twin and the figures, out of a run folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from analysis.find import find
from analysis.report.blocks import to_markdown, visible_in
from analysis.report.compose import compose
from analysis.report.latex.methods_paragraph import methods_paragraph
from analysis.report.latex.paper import NOTICE, document_files
from analysis.report.page import to_html
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import Run, read_run
from beliefmod.run.seal.ledger import seal_files
from beliefmod.run.seal.sealed_state import REPORT
from beliefmod.run.storage import file_system

SCALE = 2  # pixels per unit in the PNG files
COLOURS = 128
TEX = "tex"
"""The folder of what a paper takes: main.tex, methods.tex, tables.tex and figures/*.pdf."""


@dataclass(frozen=True)
class ReportPaths:
    """What was written; paths or URLs as the run was given."""

    html: str
    markdown: str
    figures: tuple[str, ...]
    tex: tuple[str, ...] = ()


def write_report(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    limit: float | None = None,
    progress: Callable[[str], None] = lambda message: None,
    tex: bool = False,
) -> ReportPaths:
    """Write report.html, report.md and figures/*.png, *.svg into `out` (default: the run folder itself).

    With `tex`, and where there is a folder tex from an earlier time, that is written too, so that it never
    says anything else than the report.

    Args:
        run: a run folder, local or any fsspec URL; it may be unfinished.
        out: another folder or URL.
        limit: the degradation, 0 to 1, under which the best configuration is named; None: the planned one.
        progress: called with a short sentence before each longer piece of work.

    Raises:
        UserError: `run` is not a run folder or cannot be read, or `out` cannot be written; said before
            anything is computed.
    """
    opened = read_run(os.fspath(run))
    target = os.fspath(out) if out is not None else opened.location
    RunFolder(target).try_writing()
    limit = planned_limit(opened) if limit is None else limit
    tex = tex or has_tex(RunFolder(target))
    files = report_files(opened, limit, progress, tex)
    paths = {name: write_whole(target, name, content) for name, content in files.items()}
    if RunFolder(target).root == opened.folder.root:
        seal_files(opened.folder, REPORT, files, limit=limit)
    return ReportPaths(
        paths["report.html"],
        paths["report.md"],
        tuple(paths[name] for name in files if name.startswith("figures/")),
        tuple(paths[name] for name in files if name.startswith(f"{TEX}/")),
    )


def has_tex(folder: RunFolder) -> bool:
    """Whether a report was written there for a paper too; a main.tex of somebody's own is not one."""
    return folder.exists(TEX, "main.tex") and folder.read_bytes(TEX, "main.tex").startswith(NOTICE.encode())


def planned_limit(run: Run) -> float:
    """The limit of D that the run's space names; the default one in runs from before spaces could."""
    space: Any = run.manifest.get("space")
    return float(space.get("damage_limit", DAMAGE_BUDGET)) if isinstance(space, Mapping) else DAMAGE_BUDGET


def report_files(
    run: Run,
    limit: float = DAMAGE_BUDGET,
    progress: Callable[[str], None] = lambda message: None,
    tex: bool = False,
) -> dict[str, bytes]:
    """Everything that `write_report` writes, by its path below the run folder; nothing is written."""
    progress("computing intervals and the frontier")
    found = find(run, limit)
    report = compose(found)
    files: dict[str, bytes] = {}
    specs: dict[str, dict[str, Any]] = {}
    svgs: dict[str, str] = {}
    for name, figure in report.drawn.items():
        progress(f"drawing {name}")
        specs[name] = visible_in(figure.chart.to_dict())
        svgs[name] = _svg(specs[name])
        files[f"figures/{name}.svg"] = svgs[name].encode()
        files[f"figures/{name}.png"] = _png(svgs[name])
        if tex:
            files[f"{TEX}/figures/{name}.pdf"] = _pdf(svgs[name])
    progress("writing the page")
    files["report.md"] = to_markdown(report.blocks).encode()
    # last: who sees the page sees its figures too
    files["report.html"] = to_html(report.blocks, specs, svgs).encode()
    if tex:
        written = document_files(report.blocks, methods_paragraph(found))
        files |= {f"{TEX}/{name}": text.encode() for name, text in written.items()}
    return files


def report_markdown(run: Run, limit: float = DAMAGE_BUDGET) -> str:
    """What `write_report` would put into report.md; nothing is drawn and nothing written."""
    return to_markdown(compose(find(run, limit)).blocks)


def _png(svg: str) -> bytes:
    """A drawing as PNG with at most `COLOURS` colours: a tenth of the size, for figures are flat areas."""
    import vl_convert
    from PIL import Image

    whole = Image.open(BytesIO(vl_convert.svg_to_png(svg, scale=SCALE))).convert("RGB")
    few = whole.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _pdf(svg: str) -> bytes:
    """A drawing as PDF; its bytes differ from one time to the next."""
    import vl_convert

    return vl_convert.svg_to_pdf(svg)


def _svg(spec: dict[str, Any]) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(spec)


def write_whole(folder: str, name: str, content: bytes) -> str:
    """Write `folder/name`: a reader sees the old file or the new one, never a part. Returns its path or URL.

    Local files go through a temporary name in the same folder; object stores publish a file only when it is
    whole.
    """
    files, root = file_system(folder)
    path = f"{root.rstrip('/')}/{name}"
    parent = path.rsplit("/", 1)[0]
    files.makedirs(parent, exist_ok=True)
    if "file" not in (files.protocol if isinstance(files.protocol, (tuple, list)) else (files.protocol,)):
        files.pipe_file(path, content)
        return files.unstrip_protocol(path)
    handle, temporary = tempfile.mkstemp(dir=parent, prefix=f".{Path(name).name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files that only the owner can read
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
