"""What people look at: the report, and kedro-viz in a real browser."""

import http.server
import json
import subprocess
import threading
from functools import partial

import pandas as pd
import pytest

from tests.browser import CHROMIUM, opened
from tests.conftest import BIN, environment

pytestmark = pytest.mark.slow
LAYERS = ["raw", "intermediate", "primary", "feature", "language_model", "embeddings", "models", "model_output"]
LAYERS += ["reporting", "registry", "inference"]
PIPELINES = ["data_processing", "feature_engineering", "lm_finetuning", "hybrid_cf", "evaluation", "reranking"]
PIPELINES += ["registration", "promotion", "reporting", "inference"]

#: What is wider than its room: the page itself, and boxes that would scroll or cut.
WIDER = """[document.documentElement, ...document.querySelectorAll(".scroll, .plot")]
    .filter(one => one.scrollWidth > one.clientWidth + 1)
    .map(one => one.tagName + " " + one.className + ": " + one.scrollWidth + " > " + one.clientWidth)"""
#: The labels of the rows of a plot.
NAMED = """[...document.querySelectorAll("#%s .ytick text")].map(one => one.textContent)"""


def test_the_report_is_one_self_contained_page(finished):
    page = (finished.data / "08_reporting" / "report.html").read_text()
    assert "hybrid_lora" in page
    assert "src=" not in page.split("<body>")[1]  # nothing is fetched
    assert 'name="viewport"' in page
    for words in (
        "Is it better?",
        "Against the best baseline",
        "plain collaborative filtering (ials)",
        "A new user: 3 known items",
        "A cold item: ",
        "A lover of the tail: ",
        "a fabricated catalogue",
        "peak GiB",
        "balance",
        "git_commit",
    ):
        assert words in page, words
    assert "no difference shown" in page or "better" in page
    users = pd.read_parquet(finished.data / "03_primary" / "users.parquet")["user_id"]
    assert not any(f">{user}<" in page for user in users)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_the_report_draws_in_a_browser_and_nothing_scrolls_sideways(finished, tmp_path, width):
    url = (finished.data / "08_reporting" / "report.html").as_uri()
    models = pd.read_parquet(finished.data / "08_reporting" / "summary.parquet")["model"].tolist()
    shot = tmp_path / "report.png"
    with opened(url, 1300) as page:
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        # Comparison, heat map, trade-offs, frontier, calibration, training: each is drawn.
        drawn = page.wait('document.querySelectorAll(".main-svg").length >= 6')
        page.evaluate('document.querySelectorAll("details").forEach(one => { one.open = true; })')
        wide = page.evaluate(WIDER)
        named = {name: page.evaluate(NAMED % name) for name in ("comparison", "heat_map")}
        page.screenshot(shot)
    assert drawn
    assert wide == [], f"wider than the window of {width} px: {wide}"
    assert {name: sorted(labels) for name, labels in named.items()} == dict.fromkeys(named, sorted(models))
    assert shot.stat().st_size > 20_000


@pytest.fixture(scope="module")
def viz(finished):
    """``kedro viz build --include-previews`` of the project, served on loopback."""
    command = [str(BIN / "kedro"), "viz", "build", "--include-previews"]
    done = subprocess.run(
        command,
        cwd=finished.project,
        env=environment() | {"KEDRO_ENV": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    build = finished.project / "build"
    # A preview that cannot be written stops the build before its pages, with exit status 0.
    assert done.returncode == 0, done.stdout + done.stderr
    assert (build / "index.html").is_file(), done.stdout + done.stderr
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(build))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield build, f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


def test_viz_knows_layers_and_previews(viz):
    build, _ = viz
    graph = json.loads((build / "api" / "main").read_text())
    assert [layer for layer in LAYERS if layer in graph["layers"]] == LAYERS
    persisted = [n for n in graph["nodes"] if n["type"] == "data" and n.get("dataset_type")]
    bare = {n["name"] for n in persisted if not n["layer"] and "MemoryDataset" not in n["dataset_type"]}
    assert not bare, f"datasets without a layer: {bare}"
    previewed = [json.loads(path.read_text()) for path in (build / "api" / "nodes").iterdir()]
    assert sum(bool(node.get("preview")) for node in previewed) >= 10


def test_viz_opens_on_the_pipelines_as_boxes(viz):
    build, _ = viz
    graph = json.loads((build / "api" / "main").read_text())
    root = graph["modular_pipelines"]["__root__"]["children"]
    boxes = {child["id"] for child in root if child["type"] == "modularPipeline"}
    assert boxes == set(PIPELINES)
    assert not [child for child in root if child["type"] == "task"], "nodes outside every box"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_viz_draws_the_layers_in_a_browser(viz, tmp_path):
    _, url = viz
    shot = tmp_path / "flowchart.png"
    # The tables of this layer are read by data_processing alone: they are drawn once its box is opened.
    layers = [layer for layer in LAYERS if layer != "intermediate"]
    with opened(url, 1800, 1200) as page:
        html = page.html(*(f">{layer}<" for layer in layers))
        page.screenshot(shot)
    missing = [layer for layer in layers if f">{layer}<" not in html]
    assert not missing, f"layers not drawn: {missing}"
    assert shot.stat().st_size > 20_000
