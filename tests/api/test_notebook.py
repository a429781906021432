"""docs/notebook.ipynb runs from its first cell to its last, and shows what its text says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.long
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    shutil.copytree(DOCS / "example", tmp_path / "example", ignore=shutil.ignore_patterns("figures"))
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    shown = [{kind for output in found for kind in output.get("data", {})} for found in outputs]
    assert all("text/html" in kinds for kinds in (shown[0], shown[1], shown[3], shown[4]))
    assert "vegaEmbed" in "".join(outputs[2][0]["data"]["text/html"])
    assert "its adapters were deleted on" in outputs[5][0]["text"]
