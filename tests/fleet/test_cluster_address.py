"""Where an address leads: to a cluster, or to one sentence within seconds."""

from __future__ import annotations

import socket
import threading
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

from beliefmod.errors import UserError
from beliefmod.fleet.cluster_address import check_address


@contextmanager
def answering(what: bytes | None):
    """A server that says this to whoever connects, or nothing at all; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                if what is None:
                    over.wait(10)
                else:
                    connection.sendall(what)

        over = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


@pytest.mark.parametrize("before", ["", "ray://"])
def test_what_speaks_as_ray_does_is_fine(before):
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    check_address(f"{before}127.0.0.1:{port}", {})
    server.stop(None)
    check_address("auto", {})  # left to Ray


@pytest.mark.parametrize(
    ("says", "complaint"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "something else"), (b"", "something else"), (None, "timed out")],
)
def test_what_answers_but_is_no_cluster_is_a_sentence(says, complaint):
    with answering(says) as address:
        named = rf"RAY_ADDRESS\) {address}: no Ray cluster answers \(.*{complaint}.*; start one"
        with pytest.raises(UserError, match=named):
            check_address(address, {}, seconds=0.3)


def test_with_tls_a_connection_is_all_that_is_asked_for():
    with answering(b"") as address:
        check_address(address, {"RAY_USE_TLS": "1"}, seconds=0.3)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("nowhere", "is no address; give auto, local or HOST:PORT"),
        (":6379", "is no address"),
        ("head:", "is no address"),
        ("head:99999", "is no address"),
        ("http://127.0.0.1:8265", "where jobs are submitted"),
        ("[::1]:1", "no Ray cluster answers"),
        ("127.0.0.1:1", "no Ray cluster answers"),
    ],
)
def test_addresses_that_lead_nowhere_are_sentences(address, complaint):
    with pytest.raises(UserError, match=complaint):
        check_address(address, {})
