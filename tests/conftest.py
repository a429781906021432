"""Settings for all tests."""

import os

import pytest
from hypothesis import settings

# in CI the same examples every time, so that a change is never blamed for an example it did not cause
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What several processes may run side by side (`-n 2 --dist loadgroup`): slow tests start clusters and
    count processes, so they follow each other in one; the others share fixtures within a file."""
    for item in items:
        slow = item.get_closest_marker("slow")
        item.add_marker(pytest.mark.xdist_group("slow" if slow else item.path.name))
