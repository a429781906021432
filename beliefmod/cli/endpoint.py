"""The OpenAI-compatible server that options such as --judge-url and --writer-url name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.judge.client import Endpoint


def endpoint_of(role: str, url: str, key_env: str | None, timeout: float = 60.0) -> Endpoint:
    """The server at an address, with the key in an environment variable.

    Args:
        role: judge or writer, as the options begin.
        timeout: seconds for one whole request.

    Raises:
        UserError: no such variable, or no address.
    """
    from beliefmod.judge.client import Endpoint

    key = None
    if key_env is not None and not (key := os.environ.get(key_env)):
        raise UserError(
            f"--{role}-key-env {key_env}: there is no such environment variable; export the key in it"
        )
    return Endpoint(url, key, timeout=timeout, role=role)


def only_model(endpoint: Endpoint) -> str:
    """The one model that a server has. Raises UserError where it has none or several."""
    models = endpoint.models()
    if len(models) != 1:
        known = ", ".join(models[:8]) or "none"
        raise UserError(
            f"--{endpoint.role}-url {endpoint.url}: serves {len(models)} models ({known}); name one with "
            f"--{endpoint.role}-model"
        )
    return models[0]
