"""The server of `beliefmod view`: one run's page, configurations and answers, on 127.0.0.1, read-only."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from analysis.report.page import embedded_json
from analysis.report.viewed_run import ViewedRun
from beliefmod.errors import UserError

ADDRESS = "127.0.0.1"
LAST_PORT = 65535
KEPT = 16
"""Replies that are kept: base's and in context's answers are asked for with every configuration."""
SILENT = 30.0
"""Seconds after which a connection that says nothing is closed."""
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # the page's own policy, in its head, says what its scripts may do
    "Content-Security-Policy": "frame-ancestors 'none'",
}
JSON = "application/json; charset=utf-8"
Reply = tuple[str, bytes]
"""Media type and body."""


class RunServer(ThreadingHTTPServer):
    """Answers requests for one run; `port` 0 takes a free one.

    Raises:
        UserError: there is no such port, it is taken, or not this user's to take.
    """

    daemon_threads = True

    def __init__(self, viewed: ViewedRun, port: int) -> None:
        if not 0 <= port <= LAST_PORT:
            raise UserError(
                f"--port {port}: ports go from 1 to {LAST_PORT}; give one, or none for a free one"
            )
        self._one_at_a_time = Lock()
        self._answers = lru_cache(maxsize=KEPT)(viewed.answers)
        self.viewed = viewed
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise UserError(
                f"--port {port}: cannot be used ({error.strerror}); give another, or none for a free one"
            ) from None

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which can take seconds without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def is_own(self, host: str | None) -> bool:
        """Whether a request was meant for this server: a name that another page made resolve to 127.0.0.1 is
        another page's."""
        return host in {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    def reply(self, target: str) -> Reply | None:
        """What a path with its query leads to; None for nothing. No path reaches the file system: trials are
        looked up among those that the run's own table names.

        Raises:
            ValueError: a query that cannot be read.
            UserError: a table of the run that cannot be read.
        """
        url = urlsplit(target)
        first, _, rest = url.path.removeprefix("/").partition("/")
        trial_id = unquote(rest)
        with self._one_at_a_time:
            if not first and not rest:
                return "text/html; charset=utf-8", self.viewed.page
            if first == "answers" and trial_id in self.viewed.trial_ids:
                return JSON, self._answers(trial_id)
            if first == "configuration" and (point := self.viewed.configuration(trial_id)):
                return JSON, embedded_json(point).encode(errors="replace")
            if first == "configurations" and not rest:
                filters, start = _asked(url.query)
                found = self.viewed.select(filters, start)
                return (JSON, embedded_json(found).encode(errors="replace")) if found else None
        return None


def _asked(query: str) -> tuple[dict[str, dict[str, Any]], int]:
    """Filters and the first configuration that a query asks for."""
    given = parse_qs(query)
    filters: Any = json.loads(given.get("filters", ["{}"])[0])
    if not isinstance(filters, dict) or not all(isinstance(one, dict) for one in filters.values()):
        raise ValueError("filters is a JSON object of objects")
    return filters, int(given.get("start", ["0"])[0])


class _Handler(BaseHTTPRequestHandler):
    server: RunServer
    timeout = SILENT

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, ("text/plain", b"read-only: GET and HEAD\n"))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def _answer(self) -> None:
        if not self.server.is_own(self.headers.get("Host")):
            self._send(HTTPStatus.FORBIDDEN, _text(f"this is {self.server.url}"))
            return
        try:
            reply = self.server.reply(self.path)
        except UserError as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _text(str(error)))
        except (ValueError, TypeError) as error:
            self._send(HTTPStatus.BAD_REQUEST, _text(str(error)))
        else:
            if reply is None:
                self._send(HTTPStatus.NOT_FOUND, _text("there is no such page or trial"))
            else:
                self._send(HTTPStatus.OK, reply)

    def _send(self, status: HTTPStatus, reply: Reply) -> None:
        kind, body = reply
        self.send_response(status)
        more = {"Allow": "GET, HEAD"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
        for name, value in {**HEADERS, **more, "Content-Type": kind, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who looks at a page does not want a line for each request."""


def _text(words: str) -> Reply:
    return "text/plain; charset=utf-8", f"{words}\n".encode(errors="replace")


def serve(server: RunServer, say: Callable[[str], None]) -> None:
    """Answer until Ctrl-C; `say` gets the address once the server listens."""
    say(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
