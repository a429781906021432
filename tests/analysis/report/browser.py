"""A headless Chromium that tests can question, over its debugging pipe; no driver, no network."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

BINARY = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(BINARY is None, reason="no chromium is installed")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=1300,1400",
    "--remote-debugging-pipe",
)


class Page:
    """One open page. `noise` collects console messages, exceptions, dialogs and policy violations."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        self.noise: list[str] = []

    def ask(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        reply = self.browser.call(
            "Runtime.evaluate",
            {"expression": script, "returnByValue": True, "awaitPromise": True},
            self.session,
        )
        if "exceptionDetails" in reply:
            raise AssertionError(reply["exceptionDetails"])
        return reply["result"].get("value")

    def wait(self, script: str, seconds: float = 30.0) -> None:
        """Until the expression is true."""
        end = time.monotonic() + seconds
        while not self.ask(script):
            assert time.monotonic() < end, f"still not: {script}; {self.noise}"
            time.sleep(0.05)

    def click(self, x: float, y: float) -> None:
        """A real click of the left button, at a place of the window in CSS pixels."""
        where = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.call("Input.dispatchMouseEvent", {"type": kind} | where, self.session)


class Browser:
    """Starts on enter, ends on exit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages: dict[str, Page] = {}
        self.last = 0
        self.buffer = b""

    def __enter__(self) -> Browser:
        assert BINARY is not None
        theirs_in, self.out = os.pipe()
        self.inn, theirs_out = os.pipe()

        def place() -> None:
            # chromium reads commands on 3 and writes replies on 4; move both out of the way first
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self.process = subprocess.Popen(
            [BINARY, *FLAGS, f"--user-data-dir={self.folder}", "about:blank"],
            preexec_fn=place,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *details: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.inn)

    def open(
        self, url: str, scripts: bool = True, dark: bool = False, size: tuple[int, int] | None = None
    ) -> Page:
        """A page that has loaded. `size`: of the window, in CSS pixels."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable", {}, session)
        self.call("Emulation.setScriptExecutionDisabled", {"value": not scripts}, session)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]}, session)
        if size:
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
            self.call("Emulation.setDeviceMetricsOverride", metrics, session)
        self.call("Page.navigate", {"url": url}, session)
        page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    def call(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """One command, its result."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._message()
            if reply.get("id") == self.last:
                assert "error" not in reply, reply
                return reply["result"]
            self._heard(reply)

    def _heard(self, event: dict[str, Any]) -> None:
        page = self.pages.get(event.get("sessionId", ""))
        method, params = event.get("method"), event.get("params", {})
        if page is None:
            return
        if method == "Runtime.consoleAPICalled":
            page.noise.append(f"console: {[a.get('value') for a in params['args']]}")
        elif method == "Runtime.exceptionThrown":
            page.noise.append(f"exception: {params['exceptionDetails']}")
        elif method == "Log.entryAdded":
            page.noise.append(f"log: {params['entry']['text']}")
        elif method == "Page.javascriptDialogOpening":
            page.noise.append(f"dialog: {params['message']}")

    def _message(self, seconds: float = 60.0) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.inn], [], [], seconds)
            assert ready, "chromium does not answer"
            part = os.read(self.inn, 1 << 20)
            assert part, "chromium has ended"
            self.buffer += part
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)
