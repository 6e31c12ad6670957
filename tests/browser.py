"""A page in headless Chromium over the DevTools protocol: waited for until it shows what it should, not for a time."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic", "--remote-debugging-port=0"]


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.sent = socket, 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command; return its result."""
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": params}))
        while (answer := json.loads(self.socket.recv(timeout=120))).get("id") != self.sent:
            pass  # an event
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str, within: float = 120.0) -> bool:
        """Return whether a JavaScript condition came to hold in time."""
        end = time.monotonic() + within
        while not (holds := bool(self.evaluate(expression))) and time.monotonic() < end:
            time.sleep(0.2)
        return holds

    def html(self, *wanted: str) -> str:
        """Return the document once it holds every one of ``wanted``, or as it is when the time is over."""
        whole = "document.documentElement.outerHTML"
        self.wait(f"{json.dumps(wanted)}.every(part => {whole}.includes(part))")
        return str(self.evaluate(whole))

    def screenshot(self, path: Path) -> None:
        """Write what the tab shows as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


def _within(seconds: float, ready: Any) -> Any:
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def opened(url: str, width: int = 1200, height: int = 1400) -> Iterator[Page]:
    """Open a page in a browser of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        browser = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            port = _within(60, lambda: port_file.is_file() and port_file.read_text().split("\n")[0])

            def tab() -> str | None:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as response:
                    tabs = json.load(response)
                return next((t["webSocketDebuggerUrl"] for t in tabs if t["type"] == "page"), None)

            with connect(_within(60, tab), max_size=None) as socket:
                page = Page(socket)
                page.call("Page.navigate", url=url)
                yield page
        finally:
            browser.kill()
            browser.wait()
