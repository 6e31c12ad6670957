import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.onboarding.propose import measure_size, propose
from tailor.onboarding.sizes import read_base
from tailor.onboarding.tables import RawTable, read_table
from tests.conftest import ROOT
from tests.unit.onboarding.conftest import shop_orders

BASE = read_base(ROOT / "conf")


def tables_of(shop) -> dict[str, RawTable]:
    files = {"interactions": "orders.csv", "items": "products.csv", "users": "customers.csv"}
    return {kind: read_table(shop / file) for kind, file in files.items()}


def test_a_shop(shop):
    proposal = propose(tables_of(shop), {}, BASE)
    columns = {kind: {one.ours: one.theirs for one in choices} for kind, choices in proposal.columns.items()}
    assert columns == {
        "interactions": {"user_id": "customer", "item_id": "sku", "timestamp": "bought", "value": "stars"},
        "items": {"item_id": "sku", "title": "Product Name", "tags": "tags"},
        "users": {"user_id": "customer", "age": "age", "town": "Town"},
    }
    n_positives = int((shop_orders()["stars"] >= 4).sum())
    assert (proposal.size.n_users, proposal.size.n_items, proposal.size.n_interactions) == (12, 8, 48)
    assert proposal.size.n_positives == n_positives
    assert proposal.unused["items"] == (("picture", "links, names of images, or keys"),)


def test_without_users(shop):
    tables = tables_of(shop)
    del tables["users"]
    proposal = propose(tables, {}, BASE)
    assert "users" not in proposal.columns and proposal.users is None
    assert proposal.ids["interactions"][0].theirs == "customer"


def test_what_is_needed_is_asked_for(shop):
    tables = tables_of(shop)
    with pytest.raises(BadInputError, match="A table of items is needed, with at least a title or a text"):
        propose({"interactions": tables["interactions"]}, {}, BASE)
    with pytest.raises(BadInputError, match="Interactions are needed, one row for what one user did"):
        propose({"items": tables["items"]}, {}, BASE)


def test_the_users_of_a_long_table_are_estimated(shop):
    tables = tables_of(shop)
    ids = propose(tables, {}, BASE).ids
    head = pd.DataFrame(shop_orders()).iloc[:24]  # six users in half of the rows
    tables["interactions"] = RawTable("orders", head, 480, False, "text")
    assert measure_size(tables, ids).n_users == 12  # 6 * 480 / 24 = 120, but there are 12 users
    del tables["users"]
    size = measure_size(tables, ids, share=0.25)
    assert (size.n_users, size.n_interactions, size.n_positives, size.exact) == (120, 480, 120, False)
