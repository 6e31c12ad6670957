"""What is in no list is not found by title, not shown as similar and not asked about: over HTTP, and on the page."""

import json
import threading
import time
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
import uvicorn
from starlette.testclient import TestClient

from tailor.data.item_metadata import ItemMetadata
from tailor.serving.about_model import elicit
from tailor.serving.champion import Champion
from tailor.serving.http import create_app
from tailor.serving.items import ItemStore
from tests.browser import CHROMIUM, opened

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture
def near(served):
    """The three items nearest to the first one, nearest first."""
    return served.similar(str(served.item_ids[0]), 3)[0]


@pytest.fixture
def of_genre(genres, near):
    """The genre of the third of these, which a scenario blocks."""
    return genres[near[2]]


def ended(model, *item_ids):
    """Items that ended an hour ago; the others never do."""
    expires = np.full(len(model.item_ids), np.nan)
    expires[model.item_indices(item_ids)] = time.time() - 3600
    table = model.known_metadata.table.assign(expires_at=expires)
    about = model.about | {"dates": {"expires": "ends"}}
    return replace(model, metadata=ItemMetadata(table, model.known_metadata.text), about=about)


@pytest.fixture
def app(served, near, of_genre, tmp_path, monkeypatch):
    """The nearest item has ended; the scenario `calm` blocks the second by its id, and a genre."""
    monkeypatch.setattr(Champion, "refresh", lambda _: False)
    model = ended(served, near[0])
    calm = {"block": {"item_ids": [near[1]], "categories": [of_genre]}}
    model = replace(model, about=model.about | {"scenarios": {"calm": calm}})
    return create_app(Champion("tailor", "champion", ItemStore(tmp_path / "items.json"), (model, "7")))


@pytest.fixture
def client(app):
    with TestClient(app, "http://localhost") as client:
        yield client


def ids(answer):
    found = answer.json()
    return [one["item_id"] for one in (found if isinstance(found, list) else found["items"])]


def test_what_has_expired_is_neither_found_nor_similar(client, served, near):
    everything = len(served.item_ids)
    listed = ids(client.get(f"/items?k={everything}"))
    assert len(listed) == everything - 1
    assert near[0] not in listed
    title = served.known_metadata.titles[served.items.index(near[0])]
    assert near[0] not in ids(client.get("/items", params={"q": title}))
    assert ids(client.get(f"/similar/{served.item_ids[0]}?k=2")) == near[1:]
    assert client.get(f"/similar/{near[0]}").status_code == 200  # a page of it may still be open


def test_what_a_scenario_blocks_is_so_under_that_scenario_alone(client, served, near, of_genre, genres):
    everything = len(served.item_ids)
    for path in (f"/items?k={everything}", f"/similar/{served.item_ids[0]}?k={everything}"):
        plain, calm = ids(client.get(path)), ids(client.get(f"{path}&scenario=calm"))
        blocked = {item for item in plain if item == near[1] or genres[item] == of_genre}
        assert near[1] in blocked
        assert len(blocked) > 2
        assert calm == [item for item in plain if item not in blocked]
    refused = client.get("/items?scenario=clam")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "Unknown scenario 'clam'. Did you mean 'calm'? This model has: calm."
    assert client.get(f"/similar/{served.item_ids[0]}?scenario=clam").status_code == 422


def test_what_expires_after_the_questions_were_chosen_is_not_asked(served):
    model = ended(served)
    first, *rest = elicit(model, 5)
    model.known_metadata.table.loc[model.items.index(first), "expires_at"] = time.time() - 1
    assert elicit(model, 4) == rest


@pytest.fixture
def url(app):
    """The app behind a socket, for a browser."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def says(page, title, words):
    """Type a title where items are searched; return whether the offer comes to hold these words."""
    page.evaluate(
        "(() => { document.querySelectorAll('ul.items').forEach(list => list.replaceChildren());"
        "const input = document.querySelector('input[placeholder=\"search a title\"]');"
        f"input.value = {json.dumps(title)}; input.dispatchEvent(new Event('input')); }})()"
    )
    offered = "[...document.querySelectorAll('ul.items li')].map(li => li.textContent).join('|')"
    return page.wait(f"{offered}.includes({json.dumps(words)})", within=30)


@needs_chromium
def test_the_page_offers_neither(url, served, near, genres, of_genre):
    shown = next(item for item in served.item_ids if item not in near and genres[item] != of_genre)
    titles = [served.known_metadata.titles[row] for row in served.item_indices([shown, *near])]
    with opened(f"{url}/#{quote(json.dumps({'scenario': 'calm', 'history': [str(shown)]}))}") as page:
        assert page.wait("document.querySelectorAll('#list .title').length == 20")
        assert says(page, titles[0], titles[0])
        for hidden in titles[1:]:
            assert says(page, hidden, "no title has these words")
        page.evaluate("document.querySelectorAll('#list .acts button')[2].click()")
        assert page.wait("document.querySelectorAll('#similar .title').length == 6")
        asked = page.evaluate("performance.getEntriesByType('resource').map(one => one.name).join(' ')")
        (similar,) = [address for address in asked.split() if "/similar/" in address]
        assert similar.endswith("scenario=calm")
        near_it = page.evaluate("[...document.querySelectorAll('#similar .title')].map(one => one.textContent)")
        assert not set(near_it) & set(titles[1:])
