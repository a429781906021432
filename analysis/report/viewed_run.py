"""A run as `beliefmod view` shows it: its page, its configurations, the answers of one trial at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from analysis.report.configuration_list import ConfigurationList
from analysis.report.page import embedded_json
from analysis.report.served_page import list_page, served_copy
from analysis.report.trial_answers import answers_of, marker_of
from analysis.report.write import planned_limit
from analysis.told_apart import told_apart
from beliefmod.run.read_run import Run

PAGE = "report.html"
LARGEST = 64_000_000
"""Bytes of a written page that is shown; it is as large with about 5,000 configurations."""


class ViewedRun:
    """What the server answers with; the trial table is read once, answers when they are asked for.

    Attributes:
        page: the HTML, UTF-8.
        trial_ids: the trials of the run's table, finished or not.
    """

    def __init__(self, run: Run) -> None:
        self._run = told_apart(run)
        self.trial_ids = frozenset(self._run.trials["trial_id"])
        written = self._written()
        self._list: ConfigurationList | None = None
        if isinstance(written, str):
            self._list = ConfigurationList(self._run.trials)
            name = run.folder.root.rstrip("/").rsplit("/", 1)[-1]
            page = list_page(name, written, self._list, planned_limit(run))
            self.page = page.encode(errors="replace")
        else:
            self.page = written

    def answers(self, trial_id: str) -> bytes:
        """All answers of a trial as JSON, read from its parquet file; `[]` of one that has none."""
        rows = [row for _, found in answers_of(self._run, [trial_id], self._marker) for row in found]
        return embedded_json(rows).encode(errors="replace")

    def select(self, filters: Mapping[str, Mapping[str, Any]], start: int) -> dict[str, Any] | None:
        """Some configurations (`ConfigurationList.select`); None where the page holds them itself."""
        return None if self._list is None else self._list.select(filters, start)

    def configuration(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of a trial; None for no trial, or where the page holds them itself."""
        return None if self._list is None else self._list.of_trial(trial_id)

    @cached_property
    def _marker(self) -> Any:
        return marker_of(self._run)

    def _written(self) -> bytes | str:
        """The run's own report to be served, or in a sentence why it is not."""
        folder = self._run.folder
        again = f"beliefmod report {self._run.location} writes it"
        if not folder.exists(PAGE):
            return f"This run has no {PAGE} ({again}): here are its configurations and answers."
        size = int(folder.fs.size(folder.path(PAGE)) or 0)
        if size > LARGEST:
            return (
                f"{PAGE} has {size / 1e6:,.0f} MB, more than a browser shows well: here are the "
                "configurations and answers."
            )
        page = served_copy(folder.read_bytes(PAGE).decode("utf-8", "replace"))
        if page is None:
            return (
                f"{PAGE} was written by another version of beliefmod ({again} again): here are the "
                "configurations and answers."
            )
        return page.encode(errors="replace")
