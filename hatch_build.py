"""What a wheel holds beside the packages: the spaces and the pages of documentation of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = ("*.md", "docs/*.md", "docs/recipes/*.md")


class Shipped(BuildHookInterface):
    """Puts `sweeps/` into `beliefmod/space/sweeps` and the pages into `beliefmod/pages`.

    An editable installation finds them in its checkout. Pages that are not there, as where a machine of a
    cluster installs what it was sent, are left out.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; version: standard or editable."""
        if version == "editable":
            return
        top = Path(self.root)
        spaces = {path: f"beliefmod/space/{path.relative_to(top)}" for path in top.glob("sweeps/*.yaml")}
        pages = {
            path: f"beliefmod/pages/{path.relative_to(top)}" for each in PAGES for path in top.glob(each)
        }
        build_data["force_include"] |= {str(path): target for path, target in (spaces | pages).items()}
