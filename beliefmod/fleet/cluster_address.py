"""Does a Ray cluster answer at an address? Known in seconds, where Ray itself tries for minutes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from ray._private.ray_constants import DEFAULT_PORT

from beliefmod.errors import UserError

SECONDS = 10.0
"""So long a cluster may take to answer."""
ON_THIS_MACHINE = "auto"
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of gRPC begins: the preface of HTTP/2 and an empty SETTINGS frame (RFC 9113, 3.4)."""
SETTINGS = 4
"""The type of the frame that a server begins with, its fourth byte."""


def check_address(address: str, environ: Mapping[str, str] = os.environ, seconds: float = SECONDS) -> None:
    """Raises UserError, naming the address, if no cluster can be there or none answers.

    For "auto" Ray looks on this machine itself, at once.
    """
    if address == ON_THIS_MACHINE:
        return
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"{named(address)}: that is where jobs are submitted, not the cluster itself; give its head as "
            f"HOST:PORT ({DEFAULT_PORT}, unless it was started with another --port)"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise UserError(
            f"{named(address)}: is no address; give auto, local or HOST:PORT, such as head:{DEFAULT_PORT}"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds) as connection:
            # behind TLS a server waits for a client's certificate first
            if environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
                _greet(connection)
    except OSError as error:
        raise no_answer(address, error) from None


def _greet(connection: socket.socket) -> None:
    """Raises OSError if what is at the other end does not speak as a Ray head does."""
    connection.sendall(HELLO)
    answer = b""
    while len(answer) <= 3 and (more := connection.recv(9 - len(answer))):
        answer += more
    if len(answer) <= 3 or answer[3] != SETTINGS:
        raise OSError("something else than Ray answers there")


def no_answer(address: str, why: object) -> UserError:
    """The sentence for an address that leads nowhere."""
    return UserError(f"{named(address)}: no Ray cluster answers ({why}); start one with ray up")


def named(address: str) -> str:
    """An address, and where it may have come from."""
    return f"--address (or RAY_ADDRESS) {address}"
