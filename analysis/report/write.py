"""`write_report`: one offline page, its Markdown twin and the figures, out of a run folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from analysis.find import find
from analysis.report.blocks import to_markdown, visible_in
from analysis.report.compose import compose
from analysis.report.page import to_html
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import Run, read_run

SCALE = 2  # pixels per unit in the PNG files


@dataclass(frozen=True)
class ReportPaths:
    """What was written; paths or URLs as the run was given."""

    html: str
    markdown: str
    figures: tuple[str, ...]


def write_report(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    limit: float = DAMAGE_BUDGET,
    progress: Callable[[str], None] = lambda message: None,
) -> ReportPaths:
    """Write report.html, report.md and figures/*.png, *.svg into `out` (default: the run folder itself).

    Args:
        run: a run folder, local or any fsspec URL; it may be unfinished.
        out: another folder or URL.
        limit: the degradation, 0 to 1, under which the best configuration is named.
        progress: called with a short sentence before each longer piece of work.

    Raises:
        UserError: `run` is not a run folder or cannot be read, or `out` cannot be written; said before
            anything is computed.
    """
    opened = read_run(os.fspath(run))
    target = os.fspath(out) if out is not None else opened.location
    RunFolder(target).try_writing()
    progress("computing intervals and the frontier")
    found = find(opened, limit)
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
    progress("writing the page")
    files["report.md"] = to_markdown(report.blocks).encode()
    # last: who sees the page sees its figures too
    files["report.html"] = to_html(report.blocks, specs, svgs).encode()
    paths = {name: write_whole(target, name, content) for name, content in files.items()}
    return ReportPaths(
        paths["report.html"], paths["report.md"], tuple(paths[n] for n in files if n.startswith("figures/"))
    )


def report_markdown(run: Run, limit: float = DAMAGE_BUDGET) -> str:
    """What `write_report` would put into report.md; nothing is drawn and nothing written."""
    return to_markdown(compose(find(run, limit)).blocks)


def _png(svg: str) -> bytes:
    import vl_convert

    return vl_convert.svg_to_png(svg, scale=SCALE)


def _svg(spec: dict[str, Any]) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(spec)


def write_whole(folder: str, name: str, content: bytes) -> str:
    """Write `folder/name`: a reader sees the old file or the new one, never a part. Returns its path or URL.

    Local files go through a temporary name in the same folder; object stores publish a file only when it is
    whole.
    """
    files, root = fsspec.core.url_to_fs(folder)
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
