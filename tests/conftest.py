"""Settings for all tests."""

import os

import pytest
from hypothesis import settings

from beliefmod.run.folder import RunFolder

# in CI the same examples every time, so that a change is never blamed for an example it did not cause
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """An empty run folder."""
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    return folder
