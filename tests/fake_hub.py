"""A Hugging Face hub over HTTP on this machine: one model in versions, which counts what it is asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.hub_cache import NAME


class FakeHub:
    """Answers as the hub does where `huggingface_hub` 2.4 resolves a name, lists files and fetches them.

    Attributes:
        versions: commit -> folder with its files. refs: branch or tag -> commit.
        asked: how often each thing was asked for: `resolve REF`, `list COMMIT`, `file NAME`.
        spared: requests that are answered before refusals begin.
        refusals: answers with `status` instead of what was asked, used up one by one; -1 for ever.
    """

    def __init__(self) -> None:
        self.versions: dict[str, Path] = {}
        self.refs: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.spared, self.refusals, self.status, self.retry_after = 0, 0, 429, None
        self.lock = threading.Lock()
        self.url = ""

    def refused(self) -> bool:
        with self.lock:
            if not self.refusals:
                return False
            if self.spared:
                self.spared -= 1
                return False
            self.refusals -= self.refusals > 0
            self.asked["refused"] += 1
            return True

    def count(self, what: str) -> None:
        with self.lock:
            self.asked[what] += 1

    def files(self, commit: str) -> Sequence[Path]:
        return sorted(path for path in self.versions[commit].iterdir() if path.is_file())


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A hub that answers within the block."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if hub.refused():
                headers = {} if hub.retry_after is None else {"Retry-After": str(hub.retry_after)}
                self.reply(b"{}", hub.status, headers)
                return
            parts = unquote(urlsplit(self.path).path).strip("/")
            if parts.startswith(f"api/models/{NAME}/tree/"):
                commit = parts.split("/tree/")[1].split("/")[0]
                hub.count(f"list {commit[:2]}")
                listed = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _digest(file)}
                    for file in hub.files(commit)
                ]
                self.reply(json.dumps(listed).encode())
            elif parts.startswith(f"api/models/{NAME}"):
                ref = parts.partition("/revision/")[2] or "main"
                hub.count(f"resolve {ref}")
                commit = hub.refs.get(ref, ref)
                if commit not in hub.versions:
                    self.reply(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
                    return
                siblings = [{"rfilename": file.name} for file in hub.files(commit)]
                self.reply(json.dumps({"id": NAME, "sha": commit, "siblings": siblings}).encode())
            elif f"{NAME}/resolve/" in parts:
                commit, _, name = parts.partition("/resolve/")[2].partition("/")
                file = hub.versions[commit] / name
                if self.command == "GET":
                    hub.count(f"file {name}")
                etag = f'"{_digest(file)}"'
                self.reply(file.read_bytes(), 200, {"X-Repo-Commit": commit, "ETag": etag})
            else:
                hub.count(f"{self.command} {parts}")
                self.reply(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

        def reply(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
