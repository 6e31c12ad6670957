"""A visitor's five minutes with the registered model: nothing known, one like, three likes, a wish, not for me, why."""

import html
import re
import subprocess
import sys

import mlflow
import pandas as pd
import pytest

import tailor
from tailor import Request, Settings
from tailor.serving.visit import visit
from tests.conftest import environment

pytestmark = pytest.mark.slow
K = 10


@pytest.fixture(scope="module")
def model(finished):
    mlflow.set_tracking_uri(finished.tracking_uri)
    mlflow.set_registry_uri(finished.tracking_uri)
    return tailor.load("models:/tailor-test/1")


@pytest.fixture(scope="module")
def genre(finished):
    """The genre of each item; the planted users keep to one."""
    items = pd.read_parquet(finished.data / "02_intermediate/items.parquet")
    return items.set_index("item_id")["genre"]


@pytest.fixture(scope="module")
def liked(model, genre):
    """Three items of a genre that is rare on the list of an anonymous visitor, the most popular first."""
    listed = genre[model.recommend([Request()], Settings(k=20))[0].item_ids]
    rarest = listed.value_counts().reindex(genre.unique(), fill_value=0).idxmin()
    (answer,) = model.recommend([Request(filters={"categories": [rarest]})], Settings(k=3))
    return answer.item_ids


def ask(model, **request):
    (answer,) = model.recommend([Request(**request)], Settings(k=K, explain=True))
    return answer


def share(answer, genre, wanted):
    return (genre[answer.item_ids] == wanted).mean()


def test_a_visitors_five_minutes(model, genre, liked):
    taste = genre[liked[0]]
    nothing = ask(model)
    assert nothing.path == "popular"

    one = ask(model, history=liked[:1])
    assert set(one.item_ids) != set(nothing.item_ids)
    assert share(one, genre, taste) > share(nothing, genre, taste)

    three = ask(model, history=liked)
    assert share(three, genre, taste) >= max(0.5, share(one, genre, taste))
    assert not set(liked) & set(three.item_ids)

    because = [row["because_of"]["items"] for row in three.explanations if "because_of" in row]
    assert because
    assert all(set(items) <= set(liked) for items in because)
    for row, score in zip(three.explanations, three.scores, strict=True):
        assert sum(row["sources"].values()) + sum(row["parts"].values()) == pytest.approx(score, abs=1e-3)

    other = genre[nothing.item_ids[0]]
    wish = ask(model, history=liked, query=f"I'd love a {other}, but no {taste}")
    assert wish.path == "query"
    assert wish.understood["wanted"] == [other]
    assert wish.understood["excluded_categories"] == [taste]
    assert share(wish, genre, other) >= 0.8
    assert share(wish, genre, taste) == 0

    gibberish = ask(model, history=liked, query="qwzx vbnmk hjklp")
    assert gibberish.path == "not_understood"
    assert gibberish.item_ids == three.item_ids

    lines = {"spaceship": "rye bread and bees", "romance": "tulips", "haunted": "old clocks", "cowboy": "sailing"}
    about_me = ask(model, user_text=[f"All that I care for: {lines[taste]}!"])
    assert about_me.path == "user_text"
    assert set(about_me.reasons) == {"own_words"}
    assert share(about_me, genre, taste) >= 0.8 > share(nothing, genre, taste)

    refused = three.item_ids[0]
    without = ask(model, history=liked, exclude=[refused])
    assert refused not in without.item_ids
    assert without.item_ids[: K - 1] == [item for item in three.item_ids if item != refused]


def test_the_report_shows_the_visit(model, finished):
    steps = visit(model)
    paths = {step["step"]: step["path"] for step in steps}
    assert paths["Nothing is known"] == "popular"
    assert paths["A wish"] == "query"
    assert steps[-1]["note"].startswith("Because of")
    assert all(len(step["titles"]) == 5 for step in steps[:-1])
    section = (finished.data / "08_reporting/report.html").read_text().split('<h2 id="visitor">')[1].split("<h2")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in section.split("<tr>")[2:]]
    shown = [[step["step"], step["given"], step["path"], "; ".join(step["titles"]) + step["note"]] for step in steps]
    assert [[html.unescape(cell) for cell in row] for row in rows] == shown


def test_the_visit_is_a_command(finished):
    command = [sys.executable, "-m", "tailor", "visit", "--env=test"]
    done = subprocess.run(command, cwd=finished.project, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in ("1. Nothing is known  [popular]", "4. A wish: ", "6. Why: ", "Because of"):
        assert words in done.stdout
