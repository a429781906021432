"""Real weights for the oracles, fetched once into the user's cache; without them the tests are skipped."""

from pathlib import Path

import pytest

from beliefmod.catalog.entries import CATALOG
from beliefmod.errors import UserError

SMOLLM2 = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of SmolLM2-135M-Instruct."""
    from beliefmod.model.catalog_models import fetch

    try:
        return fetch(CATALOG[SMOLLM2], lambda line: None)
    except UserError as error:
        pytest.skip(str(error))
