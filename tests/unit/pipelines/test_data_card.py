"""The nodes of the data card: from the tables of a run to a page, on request with a learning curve."""

import json

import pandas as pd
import pytest
import yaml

from tailor import columns as c
from tailor.data.summary import summarise
from tailor.pipelines.data_processing import card_nodes
from tests.conftest import ROOT

QUALITY = pd.DataFrame(
    {
        "table": ["interactions"],
        "problem": ["item_id not in the items table"],
        "action": ["dropped"],
        "rows": [7],
        "lines": ["12, 15"],
        "examples": ["<script>ghost</script>"],
    }
)
ACCOUNTS = pd.DataFrame(
    {"table": ["interactions"], "rows_in": [100], "skipped": [1], "dropped": [7], "repaired": [2], "kept": [92]}
)


def parameters(**card: object) -> dict:
    base = {"data_processing": {"card": card}, "feature_engineering": {"text": {"item_template": ["{title}"]}}}
    files = yaml.safe_load((ROOT / "conf/base/parameters/hybrid_cf.yml").read_text())
    return base | files | {"model_name": "tailor-test"}


def describe(tables, curve=None, interactions=None, items=None):
    interactions = tables.interactions if interactions is None else interactions
    items = tables.items if items is None else items
    summary = summarise(interactions, items, tables.users)
    curve = card_nodes.learning_curve.no_curve() if curve is None else curve
    return card_nodes.describe_data(
        interactions, items, curve, parameters(), summary=summary, quality=QUALITY, accounts=ACCOUNTS
    )


def test_only_train_and_validation_rows_are_chosen_on(tables):
    rows = card_nodes.keep_choosing_rows(tables.interactions)
    assert set(rows[c.SPLIT]) == {c.TRAIN, c.VALIDATION}


def test_the_curve_is_measured_on_request_alone(tables):
    rows = card_nodes.keep_choosing_rows(tables.interactions)
    quiet = card_nodes.draw_learning_curve(rows, tables.users, tables.items, {}, 0)
    asked = card_nodes.draw_learning_curve(rows, tables.users, tables.items, {"card": {"learning_curve": True}}, 0)
    assert (len(quiet), len(asked)) == (0, 4)
    assert list(quiet.columns) == list(asked.columns)
    card = describe(tables, asked)
    assert [point["share"] for point in card["learning_curve"]] == [0.25, 0.5, 0.75, 1.0]


def test_the_card_is_json_and_says_no_user(tables):
    text = json.dumps(describe(tables), allow_nan=False)
    assert not [user for user in tables.users[c.USER] if f'"{user}"' in text]
    card = json.loads(text)
    assert card["sizes"]["users"] == len(tables.users)
    assert card["sizes"]["interactions"] == len(tables.interactions)
    assert [cost["pipeline"] for cost in card["costs"]][-1] == "all"
    assert card["accounts"][0]["skipped"] == 1
    assert "CPU" in card["machine"]


def test_a_catalogue_without_times_users_texts_and_categories(tables):
    interactions = tables.interactions[[c.USER, c.ITEM, c.SPLIT]]
    items = tables.items[[c.ITEM, c.N_TRAIN, c.BUCKET, c.PSEUDO_COLD]]
    params = parameters() | {"feature_engineering": {"text": {"item_template": []}}}
    summary = summarise(interactions, items, tables.users)
    nothing = {"summary": summary, "quality": QUALITY.iloc[:0], "accounts": ACCOUNTS.iloc[:0]}
    curve = card_nodes.learning_curve.no_curve()
    card = card_nodes.describe_data(interactions, items, curve, params, **nothing)
    said = " ".join(card["warnings"])
    assert "There are no times" in said
    assert "100% of the items have no text" in said
    assert card_nodes.card_page.build(card, "t")


def test_card_and_page_are_logged_to_the_run(tables, tmp_path, monkeypatch):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = mlflow.create_experiment("card", artifact_location=str(tmp_path / "artifacts"))
    card = describe(tables)
    with mlflow.start_run(experiment_id=experiment) as run:
        html = card_nodes.write_data_card(card, "tailor-test")
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics["data.users"] == len(tables.users)
    assert metrics["data.gini"] == pytest.approx(card["sizes"]["gini"])
    (page,) = (tmp_path / "artifacts").rglob("data_card.html")
    assert page.read_text() == html
    (saved,) = (tmp_path / "artifacts").rglob("data_card.json")
    assert json.loads(saved.read_text())["sizes"] == card["sizes"]
    assert "Data card: tailor-test" in html
    assert "<script>ghost" not in html


def test_pairs_are_counted_by_their_strongest_kind(tables):
    n = len(tables.interactions)
    kinds = tables.interactions.assign(event="buy", confidence=1.0)
    kinds.loc[kinds.index[:5], ["event", "confidence"]] = ["not_for_me", 0.0]
    card = describe(tables, interactions=kinds)
    assert card["split"]["pairs by strongest kind"] == {"buy": n - 5, "blocked by not_for_me": 5}
    assert card["sizes"]["interactions"] == n - 5
    assert "pairs by strongest kind" not in describe(tables)["split"]


def test_the_log_says_what_the_run_will_cost(tables, caplog):
    with caplog.at_level("INFO"):
        card = describe(tables)
    said = [record.message for record in caplog.records if record.name == card_nodes.__name__]
    assert said[0].startswith("The run will take about ")
    assert [line.partition(":")[0] for line in said[1 : len(card["costs"])]] == [
        cost["pipeline"] for cost in card["costs"][:-1]
    ]
