"""The pictures of the documentation: ``python -m tests.pictures`` (`make pictures`), of what `make run` left here.

Each is what a person sees: the page that `make serve` shows, the report, MLflow's pages, kedro-viz. Look at them before
they are committed.
"""

import contextlib
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

from tailor.errors import BadInputError, TailorError
from tests.browser import CHROMIUM, Page, opened
from tests.conftest import BIN, ROOT, environment

FOLDER = ROOT / "docs" / "images"
REPORT = ROOT / "data" / "08_reporting" / "report.html"
WISH, LIKED = "slow space opera, no romance, before 1990", "Star Wars"


def shoot(page: Page, name: str, width: int, height: int) -> None:
    """Write what the tab shows in a window of this size."""
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
    page.screenshot(FOLDER / f"{name}.png")
    print(f"docs/images/{name}.png", flush=True)


def wait(page: Page, condition: str) -> None:
    """Wait for what the picture must show.

    Raises:
        BadInputError: it did not come in two minutes.
    """
    if not page.wait(condition):
        raise BadInputError(f"The page never showed what the picture is of: {condition}")


@contextlib.contextmanager
def started(module: str, *args: str, path: str) -> Iterator[str]:
    """Run a server of the project on a free port until the block ends; its address, once ``path`` answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", module, *args, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/{path}", timeout=2)
                break
            if process.poll() is not None:
                raise BadInputError(f"{module} stopped before it answered: does `make run` go through here?")
            time.sleep(0.5)
        else:
            raise BadInputError(f"{module} did not answer within two minutes")
        yield address
    finally:
        process.terminate()
        process.wait()


def page_of(address: str, state: dict[str, Any]) -> str:
    """Return the address of the page with fields filled."""
    return f"{address}/#{urllib.parse.quote(json.dumps(state))}"


def take_page() -> None:
    """A wish after one like, on a desk and on a phone; a new visitor."""
    with started("tailor.serving.server", "--model", "tailor", path="health") as address:
        found = urllib.request.urlopen(f"{address}/items?q={urllib.parse.quote(LIKED)}", timeout=30)
        liked = [item["item_id"] for item in json.load(found) if item["title"] == LIKED]
        wish = {"query": WISH, "history": liked[:1], "explain": True}
        for name, state, width, height in (
            ("page-wish", wish, 900, 825),
            ("page-phone", wish, 390, 844),
            ("page-visitor", {}, 900, 825),
        ):
            with opened(page_of(address, state), width, height) as page:
                page.call(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                wait(page, "document.querySelectorAll('#list .title').length == 20")
                if state:
                    wait(page, "document.querySelectorAll('#list .why').length > 20")
                else:
                    wait(page, "document.querySelectorAll('#asked button').length == 12")
                shoot(page, name, width, height)


def take_report() -> None:
    """What a run is worth, at a glance."""
    with opened(REPORT.as_uri(), 1280, 1000) as page:
        wait(page, 'document.querySelectorAll(".main-svg").length >= 6')
        shoot(page, "report", 1280, 1000)


def take_mlflow() -> None:
    """The page of the latest version of the registered model."""
    with started("tailor.mlflow_page", path="health") as address:
        asked = urllib.request.Request(
            f"{address}/api/2.0/mlflow/registered-models/get?name=tailor", headers={"Accept": "application/json"}
        )
        model = json.load(urllib.request.urlopen(asked, timeout=60))["registered_model"]
        version = next(alias["version"] for alias in model["aliases"] if alias["alias"] == "champion")
        with opened(f"{address}/#/models/tailor/versions/{version}", 1280, 1100) as page:
            wait(
                page, "document.body.innerText.includes('Registered At') || document.body.innerText.includes('Aliases')"
            )
            wait(page, "document.body.innerText.includes('NDCG')")
            page.evaluate(
                "[...document.querySelectorAll('button')].find(one => /close/i.test(one.ariaLabel ?? ''))?.click()"
            )
            time.sleep(1)
            shoot(page, "mlflow-version", 1280, 1100)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what is fetched."""

    def log_message(self, *_: object) -> None:
        """Drop the line."""


def take_viz() -> None:
    """The pipelines of a run as boxes."""
    done = subprocess.run([str(BIN / "kedro"), "viz", "build"], cwd=ROOT, env=environment(), check=False)
    if done.returncode:
        raise BadInputError("`kedro viz build` failed: see above")
    handler = partial(_Quiet, directory=str(ROOT / "build"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with opened(f"http://127.0.0.1:{server.server_address[1]}/?types=nodes", 1800, 1200) as page:
        wait(page, "document.documentElement.outerHTML.includes('lm_finetuning')")
        time.sleep(3)  # the layout is animated
        page.evaluate("document.querySelectorAll('[class*=hint]').forEach(one => one.remove())")
        shoot(page, "kedro-viz", 1800, 1200)
    server.shutdown()


def main() -> None:
    """Take them all.

    Raises:
        BadInputError: there is no browser, or no run.
    """
    if CHROMIUM is None:
        raise BadInputError("Pictures need Chromium: apt install chromium")
    if not REPORT.is_file():
        raise BadInputError(f"{REPORT.relative_to(ROOT)} is missing: pictures are of what `make run` leaves.")
    for take in (take_page, take_report, take_mlflow, take_viz):
        take()


if __name__ == "__main__":
    try:
        main()
    except TailorError as error:
        sys.exit(str(error))
