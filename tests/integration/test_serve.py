"""The server of `make serve`: a real process, a real registry, a real browser; what it does when it is killed."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import mlflow
import pandas as pd
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tailor.serving.champion import Champion, open_champion
from tailor.serving.http import create_app
from tests.browser import CHROMIUM, opened
from tests.conftest import PATIENCE_S, environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(finished):
    """The first version of the run's model, under a name of its own whose alias can be moved at will."""
    mlflow.set_tracking_uri(finished.tracking_uri)
    mlflow.set_registry_uri(finished.tracking_uri)
    client = mlflow.MlflowClient(finished.tracking_uri, finished.tracking_uri)
    for _ in range(2):
        client.copy_model_version("models:/tailor-test/1", "tailor-reload")
    client.set_registered_model_alias("tailor-reload", "champion", "1")
    return client


@pytest.fixture(scope="module")
def champion(finished, package, tmp_path_factory):
    os.chdir(finished.project)
    return open_champion("tailor-reload", "champion", tmp_path_factory.mktemp("store") / "items.json")


def start(finished, store, *args, log=subprocess.DEVNULL, **env):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tailor.serving.server", "--model", "tailor-test", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--items", str(store), *args],
        env=environment() | {"MLFLOW_TRACKING_URI": finished.tracking_uri} | env,
        cwd=finished.project,
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2)
            return process, url
        except OSError:
            assert process.poll() is None, "the server stopped"
            time.sleep(0.25)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="module")
def server(finished, tmp_path_factory):
    process, url = start(finished, tmp_path_factory.mktemp("items") / "items.json")
    yield url
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) in (0, -signal.SIGTERM)


def send(url, method="GET", body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def recommend(url, **body):
    status, text = send(f"{url}/recommend", "POST", body)
    assert status == 200, text
    return json.loads(text)


def test_the_server_answers_as_the_batch_does(server, finished):
    batch = pd.read_parquet(finished.data / "07_model_output/batch_recommendations.parquet")
    user = batch["user_id"].iloc[0]
    answer = recommend(server, user_id=user)
    expected = batch[batch["user_id"] == user].sort_values("rank")["item_id"].tolist()
    assert [item["item_id"] for item in answer["items"]] == expected
    assert answer["path"] == "known_user"
    why = recommend(server, user_id=user, explain=True)
    named = {item for listed in why["items"] for item in listed["explanation"]["history"]}
    assert named
    assert set(why["titles"]) >= named
    assert all(title != item for item, title in why["titles"].items())
    assert recommend(server, query="spaceship")["path"] == "query"
    assert recommend(server, history=["i1", "i5"])["path"] == "fold_in"


def test_several_processes_answer_as_one(finished, tmp_path):
    process, url = start(finished, tmp_path / "items.json", "--workers", "2")
    parent = psutil.Process(process.pid)
    try:
        wait_for(lambda: len(answering(parent)) == 2)
        item = {"item_id": "late", "title": "Galaxy of quokkas", "genre": "Sci-Fi"}
        assert send(f"{url}/items", "PUT", {"items": [item]})[0] == 200
        # Each is a connection of its own, which any of the processes may take.
        found = [json.loads(send(f"{url}/items?q=quokkas")[1]) for _ in range(30)]
        assert all([one["item_id"] for one in items] == ["late"] for items in found)
        asked = 'tailor_requests_total{route="/items",status="200"} 31.0'
        wait_for(lambda: asked in send(f"{url}/metrics")[1])  # an answer is counted after it has gone out
        first, second = answering(parent)
        first.kill()
        assert all(send(f"{url}/health")[0] == 200 for _ in range(10))
        wait_for(lambda: len(answering(parent)) == 2 and first not in answering(parent))
        assert second in answering(parent)
        assert asked in send(f"{url}/metrics")[1]
    finally:
        children = parent.children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 0
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]


def answering(parent):
    """Return the processes that have the arrays of a package in memory, and so have loaded it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = parent.children()
        return [one for one in children if any("safetensors" in part.path for part in one.memory_maps())]
    return []


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.25)


def test_an_item_put_survives_kill_9(finished, tmp_path):
    process, url = start(finished, tmp_path / "items.json")
    item = {"item_id": "late", "title": "Galaxy of robots", "genre": "Sci-Fi"}
    assert send(f"{url}/items", "PUT", {"items": [item]})[0] == 200
    process.kill()
    process.wait()
    process, url = start(finished, tmp_path / "items.json")
    try:
        listed = recommend(url, query="a galaxy full of robots", candidates=["late"])["items"]
        assert [item["title"] for item in listed] == ["Galaxy of robots"]
    finally:
        process.terminate()
        process.wait()


def test_idle_connections_and_hostile_bodies_keep_nobody_out(finished, tmp_path):
    """More idle connections than earlier versions took at all, and bodies that broke them; nothing of it is logged."""
    users = pd.read_parquet(finished.data / "03_primary" / "users.parquet")["user_id"]
    with (tmp_path / "log").open("w") as log:
        process, url = start(finished, tmp_path / "items.json", log=log)
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        idle = [socket.create_connection(address) for _ in range(200)]
        try:
            for body, status in (
                (b'{"filters": {"year": {"min": 1e400}}}', 422),
                (b'{"query": "\\ud800", "user_id": "%b"}' % users.iloc[0].encode(), 422),
                (b'{"user_id": "%b", "k": 0}' % users.iloc[0].encode(), 422),
                (b"[" * 900_000, 422),
                (b"x" * 1_000_001, 413),
            ):
                request = urllib.request.Request(f"{url}/recommend", body, method="POST")
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=PATIENCE_S)
                assert refused.value.code == status, body[:50]
                assert len(refused.value.read()) < 1000
            with socket.create_connection(address) as one:
                one.sendall(b"PUT /items HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: CHUNKED\r\n\r\n")
                with contextlib.suppress(OSError):
                    for _ in range(3):
                        one.sendall(b"80000\r\n" + b"x" * 0x80000 + b"\r\n")
                assert one.recv(100).startswith(b"HTTP/1.1 413")
            assert len(recommend(url, user_id=users.iloc[0], k=5)["items"]) == 5
        finally:
            process.terminate()
            process.wait()
            for one in idle:
                one.close()
    words = set((tmp_path / "log").read_text().replace("'", " ").replace('"', " ").split())
    assert not words & set(users)


def test_two_servers_and_a_batch_list_what_one_of_them_was_told(finished, tmp_path):
    """A put and a removal through one server are seen by the other after its next look."""
    processes = [start(finished, tmp_path / "items.json", "--poll", "0.2") for _ in range(2)]
    (_, one), (_, two) = processes
    try:
        item = {"item_id": "shared", "title": "Galaxy of robots", "genre": "Sci-Fi"}
        assert send(f"{one}/items", "PUT", {"items": [item]})[0] == 200
        assert send(f"{two}/items/i1", "DELETE")[0] == 200
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            lists = [recommend(url, candidates=["shared", "i1"])["items"] for url in (one, two)]
            if all([item["item_id"] for item in listed] == ["shared"] for listed in lists):
                break
            time.sleep(0.2)
        assert [[item["item_id"] for item in listed] for listed in lists] == [["shared"], ["shared"]]
    finally:
        for process, _ in processes:
            process.terminate()
            process.wait()


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@needs_chromium
@pytest.mark.parametrize("width", [1200, 390], ids=["desk", "phone"])
def test_the_page_answers_in_a_browser(server, width, tmp_path):
    shot = tmp_path / "page.png"
    with opened(f"{server}/?q=wizard+dragon,+no+comedy", width) as page:
        html = page.html('data-path="query"', 'class="title"', "words: ")
        page.screenshot(shot)
        sent = json.loads(page.evaluate("document.body.dataset.sent"))
    assert sent == {"query": "wizard dragon, no comedy", "explain": True}  # no boost before somebody moves it
    assert 'data-path="query"' in html
    assert html.count('class="title"') == 20
    assert "words: " in html
    assert 'id="error" role="alert"></p>' in html
    assert shot.stat().st_size > 20_000


def sent_by(page, condition):
    """What the page sent, once a condition of it holds."""
    assert page.wait(f"(sent => {condition})(JSON.parse(document.body.dataset.sent ?? '{{}}'))", 60), condition
    assert page.wait("document.body.dataset.sent && !document.getElementById('error').textContent", 60)
    return json.loads(page.evaluate("document.body.dataset.sent"))


def slide(page, name, value):
    page.evaluate(
        f"(input => {{ input.value = {value}; input.dispatchEvent(new Event('input')) }})"
        f"(document.getElementById('field-{name}'))"
    )


@needs_chromium
def test_the_page_starts_at_the_operating_point_and_sends_what_was_moved(server):
    start = json.loads(send(f"{server}/model")[1])
    known = {"history": [item["item_id"] for item in json.loads(send(f"{server}/items?k=3")[1])]}
    with opened(f"{server}/#{urllib.parse.quote(json.dumps(known))}") as page:
        assert sent_by(page, "sent.explain") == known | {"explain": True}
        for name, value in start["boosts"].items():
            assert float(page.evaluate(f"document.getElementById('field-{name}').value")) == pytest.approx(
                value, abs=0.03
            )
        assert page.wait("document.querySelectorAll('#list > li').length == 20")
        own = [item["title"] for item in recommend(server, **known)["items"]]
        shown = "[...document.querySelectorAll('#list .title')].map(row => row.textContent)"
        assert page.evaluate(shown) == own
        changes = {name: listed_otherwise(server, name, known) for name in start["boosts"]}
        name, n_came = max(changes.items(), key=lambda change: change[1])
        assert n_came, changes
        slide(page, name, 1)
        assert sent_by(page, f"'{name}' in sent") == known | {"explain": True, name: 1}
        assert page.wait(f"document.getElementById('moved').textContent.startsWith('{n_came} came in')")
        assert page.evaluate("document.querySelectorAll('#list > li.in').length") == n_came
        page.evaluate(f"document.querySelector('label[for=field-{name}] button').click()")
        assert sent_by(page, f"!('{name}' in sent)") == known | {"explain": True}


def listed_otherwise(server, boost, known):
    """How many items come onto a list when a boost is 1."""
    plain, boosted = (recommend(server, **known, **asked)["items"] for asked in ({}, {boost: 1}))
    return len({item["item_id"] for item in boosted} - {item["item_id"] for item in plain})


@needs_chromium
def test_a_new_visitor_is_asked_and_every_row_can_be_answered(server):
    with opened(server) as page:
        assert page.wait("document.querySelectorAll('#asked button').length == 12")
        page.evaluate("document.querySelector('#asked button').click()")
        liked = sent_by(page, "sent.history")["history"]
        assert len(liked) == 1
        assert page.evaluate("document.querySelector('#asked button').ariaPressed") == "true"
        for place, key in ((1, "exclude"), (0, "history")):
            assert page.wait("document.querySelectorAll('#list > li').length == 20")
            page.evaluate(f"document.querySelectorAll('#list .acts button')[{place}].click()")
            assert len(sent_by(page, f"sent.{key}?.length == {2 if key == 'history' else 1}")[key])
            assert page.wait("!!document.activeElement.closest('#list')")  # the keyboard stays in the list
        page.evaluate("document.querySelectorAll('#list .acts button')[2].click()")
        assert page.wait("document.querySelectorAll('#similar .title').length == 6")
        page.evaluate("document.getElementById('beside').click()")
        assert page.wait("document.querySelectorAll('#popular .title').length == 20")
        before, url = json.loads(page.evaluate("document.body.dataset.sent")), page.evaluate("location.href")
    with opened(url) as page:
        assert sent_by(page, "sent.history") == before
        assert page.wait("document.querySelectorAll('#popular .title').length == 20")


@pytest.fixture
def guarded(finished, tmp_path):
    process, url = start(finished, tmp_path / "items.json", **{"TAILOR_TOKEN": "a-token"})
    yield url
    process.terminate()
    process.wait()


@needs_chromium
def test_the_page_asks_for_the_token_and_keeps_it_in_its_tab(guarded):
    with opened(guarded) as page:
        assert page.wait("!document.getElementById('access').hidden")
        assert page.evaluate("document.querySelectorAll('#list .title').length") == 0
        page.evaluate("document.getElementById('token').value = 'a-token'")
        page.evaluate("document.getElementById('access').requestSubmit()")
        assert page.wait("document.querySelectorAll('#list .title').length == 20")
        assert page.evaluate("document.getElementById('access').hidden")
        assert page.evaluate("document.getElementById('error').textContent") == ""
        assert page.evaluate("[sessionStorage.getItem('token'), localStorage.length].join()") == "a-token,0"
        page.evaluate("location.reload()")
        assert page.wait("document.querySelectorAll('#list .title').length == 20")


@needs_chromium
def test_the_docs_are_shown_without_the_internet_to_who_has_the_token(guarded):
    assert send(f"{guarded}/docs")[0] == send(f"{guarded}/openapi.json")[0] == 401
    headers = {"Authorization": f"Basic {base64.b64encode(b'anybody:a-token').decode()}"}
    paths = json.loads(send(f"{guarded}/openapi.json", **headers)[1])["paths"]
    n_operations = sum(len(operations) for operations in paths.values())
    with opened("about:blank") as page:
        page.call("Network.enable")
        page.call("Network.setExtraHTTPHeaders", headers=headers)
        page.call("Page.navigate", url=f"{guarded}/docs")
        assert page.wait(f"document.querySelectorAll('.opblock').length == {n_operations}")
        assert page.wait("document.body.textContent.includes('Add or change items')")


@needs_chromium
def test_what_a_visitor_writes_makes_the_list(server):
    """One text on each line; the words are those of the fabricated users who keep bees."""
    with opened(server) as page:
        assert page.wait("document.querySelectorAll('#list > li').length == 20")
        page.evaluate(
            "(input => { input.value = 'I bake bread\\n\\n and keep bees '; input.dispatchEvent(new Event('input')) })"
            "(document.getElementById('field-user_text'))"
        )
        sent = sent_by(page, "sent.user_text")
        assert sent == {"user_text": ["I bake bread", "and keep bees"], "explain": True}
        assert page.wait("document.body.dataset.path == 'user_text'")
        assert page.wait("document.body.textContent.includes('From what you wrote')")
        url = page.evaluate("location.href")
    with opened(url) as page:
        assert sent_by(page, "sent.user_text") == sent
    assert recommend(server, user_text=sent["user_text"])["path"] == "user_text"


@needs_chromium
def test_the_page_fits_a_phone_and_names_every_control(server):
    """At 360 pixels with everything unfolded; an empty list says so."""
    with opened(f"{server}/?q=wizard", 360) as page:
        page.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
        assert page.wait("document.querySelectorAll('#list > li').length == 20")
        assert page.evaluate("document.getElementById('list').getBoundingClientRect().top") < 800
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert (
            page.evaluate(
                "[...document.querySelectorAll('input, select, textarea')].filter(one => !one.labels.length).length"
            )
            == 0
        )
        page.evaluate("understood({wanted: ['Drama'], excluded_categories: [], text: 'wizard'})")
        page.evaluate("document.querySelectorAll('#understood button')[1].click()")
        assert sent_by(page, "!sent.query") == {"explain": True}
        page.evaluate("location.hash = encodeURIComponent(JSON.stringify({min_score: 1000000}))")
        assert page.wait("document.getElementById('list').textContent.includes('Nothing is left to list')")


def test_the_server_follows_the_alias(champion, package):
    assert champion.version == "1"
    assert not champion.refresh()
    before = champion.model
    package.set_registered_model_alias("tailor-reload", "champion", "2")
    assert champion.refresh()
    assert (champion.version, champion.last_error) == ("2", "")
    assert champion.model is not before
    package.delete_registered_model_alias("tailor-reload", "champion")
    answering = champion.model
    assert not champion.refresh()
    assert "champion" in champion.last_error
    assert champion.model is answering
    package.set_registered_model_alias("tailor-reload", "champion", "1")
    assert champion.refresh()


def test_a_damaged_version_is_refused_and_the_old_one_goes_on(champion, package, monkeypatch, tmp_path):
    """A flipped byte in any file of the new version's package."""
    download = mlflow.artifacts.download_artifacts

    def damaged(uri):
        folder = shutil.copytree(download(uri), tmp_path / "damaged")
        file = next(folder.rglob("model.safetensors"))
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        return str(folder)

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", damaged)
    package.set_registered_model_alias("tailor-reload", "champion", "2")
    old = champion.model
    assert not champion.refresh()
    assert "Damaged package: model.safetensors" in champion.last_error
    assert champion.model is old
    monkeypatch.undo()
    package.set_registered_model_alias("tailor-reload", "champion", "1")


def test_no_request_breaks_the_server(champion: Champion, finished, caplog, monkeypatch):
    """Requests made from the OpenAPI description, valid and not: none ends in 5xx, none is logged with an id."""
    monkeypatch.setenv("TAILOR_SUPPRESSION_KEY", "k" * 32)
    app = create_app(champion, token="of this test", hosts=["*"])  # noqa: S106
    headers = {"Authorization": "Bearer of this test"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    refused, answered = [], []
    for operation in (one.ok() for one in schema.get_all_operations()):

        @settings(max_examples=60, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        def ask(case):
            response = case.call(headers=headers)
            answered.append(response.status_code)
            if response.status_code >= 500 and case.path != "/health":
                refused.append((case.method, case.path, case.body, response.text[:300]))

        given(case=operation.as_strategy())(ask)()
    assert not refused, refused[:3]
    assert {200, 422} <= set(answered)
    users = pd.read_parquet(finished.data / "03_primary" / "users.parquet")["user_id"]
    assert not any(f"'{user}'" in caplog.text for user in users)


KILLED = """
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
bootstrap_project(Path.cwd())
with KedroSession.create(project_path=Path.cwd(), env="test") as session:
    print("GO", flush=True)
    session.run(pipeline_names=["registration", "promotion"])
"""


@pytest.mark.parametrize("place", ["log_model", "set_registered_model_alias"])
def test_a_registration_that_is_killed_leaves_the_champion(finished, place):
    client = mlflow.MlflowClient(finished.tracking_uri, finished.tracking_uri)
    before = client.get_registered_model("tailor-test").aliases["champion"]
    where = "sys.modules['mlflow.pyfunc']" if place == "log_model" else "mlflow.MlflowClient"
    killed = "lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
    dying = f"import mlflow.pyfunc, os, signal, sys\n{where}.{place} = {killed}\n"
    done = subprocess.run(
        [sys.executable, "-c", dying + KILLED],
        env=environment() | {"MLFLOW_TRACKING_URI": finished.tracking_uri},
        cwd=finished.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert client.get_registered_model("tailor-test").aliases["champion"] == before
    model = mlflow.pyfunc.load_model("models:/tailor-test@champion")
    assert len(model.predict(pd.DataFrame({"user_id": [None]}), params={"k": 3}).item_ids[0]) == 3
