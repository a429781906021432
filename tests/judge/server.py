"""A small OpenAI-compatible server on this machine, as well or ill behaved as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, str]


def completion(text: str) -> Reply:
    """A well-formed reply."""
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


class Server:
    """Attributes: url; requests: bodies received, as text; headers: of the same requests."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply], models: list[str]) -> None:
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._reply(200, json.dumps({"data": [{"id": name} for name in models]}))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.requests.append(body)
                outer.headers.append(dict(self.headers))
                self._reply(*answer(json.loads(body)))

            def _reply(self, code: int, text: str) -> None:
                data = text.encode()
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", text)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(OSError):  # the client has given up, as the test wants
                    self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"


@contextmanager
def serve(
    answer: Callable[[dict[str, Any]], Reply], models: tuple[str, ...] = ("reader",)
) -> Iterator[Server]:
    """Run a server in a thread while the block lasts."""
    server = Server(answer, list(models))
    thread = threading.Thread(target=server._server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server._server.shutdown()
        thread.join()
        server._server.server_close()
