"""A headless Chromium over its debugging pipe: opens pages, runs expressions, presses keys, takes screenshots."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 120
"""Seconds until a browser that says nothing is given up; a busy machine takes a few."""


def found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser of its own. Use as a context."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        inward, self._write = os.pipe()
        self._read, outward = os.pipe()
        # Out of the way of 3 and 4, on which the browser talks.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (inward, outward)]

        def connect() -> None:
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            [
                *(str(found()), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--remote-debugging-pipe", f"--user-data-dir={profile}", f"--window-size={width},{height}"),
            ],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (inward, outward, *ends):
            os.close(end)
        os.set_blocking(self._read, False)
        self._waiting = b""
        self._number = 0
        self._session: str | None = None
        self.said: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def open(self, address: str) -> None:
        """Opens and waits until all is loaded; what the page complains about gathers in `said`."""
        self._ask("Page.navigate", url=address)
        self.until("document.readyState == 'complete'")

    def run(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        began = time.monotonic()
        while not self.run(expression):
            assert time.monotonic() - began < PATIENCE, expression
            time.sleep(0.05)

    def press(self, key: str, text: str = "", code: int = 0) -> None:
        """One key of the keyboard, where the focus is."""
        kind = "keyDown" if text else "rawKeyDown"
        self._ask("Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=code)
        self._ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def prefer(self, scheme: str) -> None:
        """ "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", features=features)

    def resize(self, width: int, height: int) -> None:
        """The page's own size in CSS pixels."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._hear(answer)

    def _hear(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Log.entryAdded":
                self.said.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.said.append(str(parameters["exceptionDetails"]))
            case "Page.javascriptDialogOpening":
                self.said.append(f"dialog: {parameters['message']}")
            case "Network.requestWillBeSent" if parameters["request"]["url"].startswith(("http:", "https:")):
                self.said.append(f"network: {parameters['request']['url']}")

    def _next(self) -> dict[str, Any]:
        began = time.monotonic()
        while b"\0" not in self._waiting:
            try:
                part = os.read(self._read, 1 << 20)
                assert part, "the browser has gone"
                self._waiting += part
            except BlockingIOError:
                assert time.monotonic() - began < PATIENCE, "the browser says nothing"
                time.sleep(0.01)
        line, _, self._waiting = self._waiting.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer
