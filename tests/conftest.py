"""Settings for all tests."""

import gc
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from beliefmod.run.folder import RunFolder

# in CI the same examples every time, so that a change is never blamed for an example it did not cause
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


def pytest_collection_finish() -> None:
    """Keep full collections, as the engine asks for when memory runs out, from looking at all that is
    imported: half a second each."""
    gc.freeze()


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """An empty run folder."""
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    return folder


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The run folder of one undisturbed sweep and what its command said; made once, for tests that only look.

    A test that changes it takes `copy_of(run, tmp_path)`.
    """
    from tests.command import beliefmod, only_run
    from tests.finished_run import small_space

    folder = tmp_path_factory.mktemp("sweep")
    space = str(small_space(folder))
    done = beliefmod("sweep", "--space", space, "--out", str(folder / "runs"), "--no-dashboard")
    assert done.returncode == 0, done.stderr
    return only_run(folder / "runs"), done
