"""PDF figures of a paper are those of the drawings, whose bytes differ from one rendering to the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.report.write import _pdf, _png
from analysis.verify.verify_page import drawn_otherwise, same_pdf, verify_page
from analysis.verify.verify_trials import Verification
from beliefmod.run.folder import RunFolder

PDF = "tex/figures/dots.pdf"


def drawing(at: float) -> str:
    """Dots, half transparent as the charts' are: each is an object of its own in the PDF."""
    dots = "".join(f'<circle cx="{10 * n}" cy="{at}" r="3" opacity="0.{n}"/>' for n in range(1, 9))
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50">{dots}</svg>'


def files(at: float) -> dict[str, bytes]:
    svg = drawing(at)
    return {
        "report.html": b"<html></html>",
        "figures/dots.svg": svg.encode(),
        "figures/dots.png": _png(svg),
        PDF: _pdf(svg),
    }


@pytest.fixture(scope="module")
def given() -> dict[str, bytes]:
    return files(20)


@pytest.fixture
def run(tmp_path: Path, given: dict[str, bytes]) -> Path:
    for name, content in given.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def found(run: Path) -> list[str]:
    """What is said of the folder, the drawing rendered once more."""
    done = Verification()
    verify_page(RunFolder(str(run)), files(20), {}, done)
    assert done.page == (run / "report.html").exists()
    return done.mismatches


def test_another_rendering_of_the_same_drawing_is_the_same(run: Path, given: dict[str, bytes]):
    assert found(run) == []
    # what a page uses is listed in an order that changes by chance: reversed, it is the same drawing
    lines = given[PDF].splitlines(keepends=True)
    used = [n for n, line in enumerate(lines) if line.startswith(b"      /xo")]
    assert len(used) == 8
    lines[used[0] : used[-1] + 1] = reversed(lines[used[0] : used[-1] + 1])
    (run / PDF).write_bytes(b"".join(lines))
    assert found(run) == []


@pytest.mark.parametrize("what", ["replaced", "swapped inside", "deleted", "put beside"])
def test_a_pdf_that_the_data_do_not_give(run: Path, given: dict[str, bytes], what: str):
    path = run / PDF
    if what == "replaced":
        path.write_bytes(_pdf(drawing(30)))
        words = f"{PDF}: is not the picture of figures/dots.svg"
    elif what == "swapped inside":  # two objects take each other's place
        content = given[PDF]
        one, two = (
            next(line for line in content.splitlines() if f"/xo{n} ".encode() in line) for n in (0, 1)
        )
        number = one.split()[1], two.split()[1]
        path.write_bytes(
            content.replace(one, one.replace(number[0], number[1])).replace(
                two, two.replace(number[1], number[0])
            )
        )
        assert not same_pdf(path.read_bytes(), content)
        words = f"{PDF}: is not the picture of figures/dots.svg"
    elif what == "deleted":
        path.unlink()
        words = f"{PDF}: is gone; main.tex shows it"
    else:
        shutil.copy(path, run / "tex" / "figures" / "better.pdf")
        words = "tex/figures/better.pdf: is a figure that the report does not have"
    assert found(run) == [words]


def test_a_drawing_and_its_pdf_replaced_together(run: Path):
    (run / "figures" / "dots.svg").write_text(drawing(30))
    (run / PDF).write_bytes(_pdf(drawing(30)))
    assert found(run) == ["figures/dots.svg: has marks elsewhere than the data have them"]


def test_figures_are_compared_where_the_page_was_deleted(run: Path):
    (run / "report.html").unlink()
    (run / PDF).unlink()  # nothing says that it should be there
    assert found(run) == []
    path = run / "figures" / "dots.svg"
    path.write_text(drawing(30))
    [said] = found(run)
    assert said.startswith("figures/dots.svg: ")


def test_a_colour_scale_may_have_another_number():
    svg = '<linearGradient id="gradient_{0}"/><path d="M0,{1}" fill="url(#gradient_{0})"/>'
    assert drawn_otherwise(svg.format(0, 10), svg.format(17, 10)) is None
    assert drawn_otherwise(svg.format(0, 10), svg.format(17, 20)) is not None
