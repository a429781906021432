"""Settings for all tests."""

import os

from hypothesis import settings

# in CI the same examples every time, so that a change is never blamed for an example it did not cause
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "explore")
