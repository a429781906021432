"""A small client of the OpenAI-compatible chat endpoint, on the standard library.

Timeouts, retries with backoff, no redirects (a key must not travel on to another host).
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from beliefmod.errors import UserError

MAX_REPLY = 2**20  # bytes of a reply that are read; a longer one is not an answer
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
LONGEST_PAUSE = 30.0


class NoAnswer(Exception):
    """The endpoint gave no answer to one request after all attempts; the message says why."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class Endpoint:
    """Where a language model is asked.

    Attributes:
        url: base of the API, with or without `/v1`.
        key: sent as a bearer token; never written anywhere.
        timeout: seconds for one whole request.
        attempts: requests before giving up on one question.
        pause: seconds before the second attempt; doubles from there.
        role: whose options name it in complaints: --judge-url, --judge-model, --judge-key-env.
    """

    url: str
    key: str | None = None
    timeout: float = 60.0
    attempts: int = 4
    pause: float = 1.0
    role: str = "judge"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"--{self.role}-url {self.url}: must be an http or https address, such as http://localhost:8000/v1"
            )

    @property
    def base(self) -> str:
        """The address up to and including `/v1`."""
        url = self.url.rstrip("/").removesuffix("/chat/completions").rstrip("/")
        return url if url.endswith("/v1") else f"{url}/v1"

    def models(self) -> list[str]:
        """Names of the models served.

        Raises:
            UserError: the endpoint cannot be reached, or does not list models.
        """
        try:
            data = json.loads(self._send("/models", None))
            return [str(model["id"]) for model in data["data"]]
        except NoAnswer as error:
            raise UserError(
                f"--{self.role}-url {self.url}: {error}; check that the server runs, or name "
                f"--{self.role}-model"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"--{self.role}-url {self.url}: lists no models; name one with --{self.role}-model"
            ) from None

    def ask(self, model: str, system: str, user: str) -> str:
        """The reply's text. A reply that is no chat completion comes back raw, for the caller to refuse.

        Raises:
            NoAnswer: no reply after all attempts.
            UserError: the endpoint refuses such requests altogether (key, address, model).
        """
        body = {
            "model": model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "temperature": 0,
        }
        try:
            raw = self._send("/chat/completions", body)
        except UserError as error:
            if "temperature" not in str(error):
                raise
            del body["temperature"]  # some models take their own temperature only
            raw = self._send("/chat/completions", body)
        try:
            content = json.loads(raw)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, TypeError, IndexError):
            return raw
        return content if isinstance(content, str) else raw

    def _send(self, path: str, body: Mapping[str, Any] | None) -> str:
        pause, said = self.pause, ""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(min(pause, LONGEST_PAUSE))
                pause *= 2
            try:
                return self._once(path, body)
            except urllib.error.HTTPError as error:
                said = f"answers with HTTP {error.code} ({_first_line(error)})"
                if error.code not in AGAIN:
                    raise UserError(
                        f"--{self.role}-url {self.url}: {said}; "
                        f"check the address, --{self.role}-model and --{self.role}-key-env"
                    ) from None
                pause = max(pause, _retry_after(error))
            except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
                reason = getattr(error, "reason", None) or error
                said = f"cannot be reached ({str(reason) or type(reason).__name__})"
        raise NoAnswer(said)

    def _once(self, path: str, body: Mapping[str, Any] | None) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data=data, headers=headers)
        end = time.monotonic() + self.timeout
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.timeout) as reply:
            content = b""
            # read1 returns what has arrived: a server that drips bytes must not hold a worker for ever
            while len(content) <= MAX_REPLY and (piece := reply.read1(65536)):
                content += piece
                if time.monotonic() > end:
                    raise TimeoutError(f"no whole reply in {self.timeout:g} s")
        return content.decode("utf-8", "replace")


def _first_line(error: urllib.error.HTTPError) -> str:
    """The server's own words if it gives any, for a sentence."""
    try:
        text = error.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        data = json.loads(text)
        told = data.get("error", data.get("message"))
        text = told.get("message", "") if isinstance(told, dict) else str(told or "")
    except (ValueError, AttributeError):
        pass
    line = " ".join(text.split())[:160]
    return line if line and "<" not in line else str(error.reason)


def _retry_after(error: urllib.error.HTTPError) -> float:
    try:
        return float(error.headers.get("Retry-After") or 0)
    except ValueError:
        return 0.0
