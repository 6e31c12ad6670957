import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.onboarding.tables import TEXT, RawTable
from tailor.onboarding.which_table import choose_tables
from tests.unit.onboarding.conftest import shop_customers, shop_orders, shop_products


def table(name: str, frame: pd.DataFrame) -> RawTable:
    return RawTable(name, frame, len(frame), True, TEXT)


def names(*tables: RawTable) -> dict[str, str]:
    return {kind: chosen.name for kind, chosen in choose_tables(tables)[0].items()}


def test_by_names_of_files():
    tables = [table("customers.csv", shop_customers()), table("orders.csv", shop_orders())]
    chosen, reasons = choose_tables([*tables, table("products.csv", shop_products())])
    assert {kind: one.name for kind, one in chosen.items()} == {
        "interactions": "orders.csv",
        "items": "products.csv",
        "users": "customers.csv",
    }
    assert reasons[0] == "interactions: orders.csv (48 rows)"


def test_by_columns_and_sizes():
    assert names(table("c.csv", shop_customers()), table("b.csv", shop_products()), table("a.csv", shop_orders())) == {
        "interactions": "a.csv",
        "items": "b.csv",
        "users": "c.csv",
    }


def test_users_may_be_absent_and_others_are_passed_over():
    links = pd.DataFrame({"movieId": [1, 2], "imdbId": [3, 4]})
    ratings = pd.DataFrame({"userId": [1, 2, 3], "movieId": [1, 2, 1], "rating": [4, 5, 3]})
    movies = pd.DataFrame({"movieId": [1, 2], "title": ["a", "b"], "genres": ["x|y", "x"]})
    chosen = names(table("links.csv", links), table("movies.csv", movies), table("ratings.csv", ratings))
    assert chosen == {"interactions": "ratings.csv", "items": "movies.csv"}


def test_a_name_of_an_item_that_says_nothing():
    watched = pd.DataFrame({"member": [1, 2, 3], "num": [1, 2, 1]})
    assert names(
        table("shows.parquet", pd.DataFrame({"id": [1, 2], "name": ["a", "b"]})), table("watched.parquet", watched)
    ) == {"interactions": "watched.parquet", "items": "shows.parquet"}


def test_items_that_are_not_there():
    with pytest.raises(BadInputError, match=r"None of orders.csv looks like the items. Items need at least a title"):
        choose_tables([table("orders.csv", shop_orders())])


def test_interactions_that_are_not_there():
    with pytest.raises(BadInputError, match=r"None of a.csv, b.csv looks like the interactions.*INTERACTIONS=file"):
        choose_tables([table("a.csv", pd.DataFrame({"x": [1]})), table("b.csv", pd.DataFrame({"y": [1]}))])


def test_by_values_where_no_name_says_anything():
    orders = pd.DataFrame({"x": ["k1", "k2", "k1", "k3"], "y": ["a1", "a2", "a2", "a1"]})
    things = pd.DataFrame({"p": ["a1", "a2"], "q": ["wooden train set", "red paper kite"]})
    people = pd.DataFrame({"m": ["k1", "k2", "k3"], "n": ["north", "north", "south"]})
    chosen = names(table("1.csv", people), table("2.csv", things), table("3.csv", orders))
    assert chosen == {"interactions": "3.csv", "items": "2.csv", "users": "1.csv"}
    assert names(table("2.csv", things), table("3.csv", orders)) == {"interactions": "3.csv", "items": "2.csv"}
    reasons = choose_tables([table("2.csv", things), table("3.csv", orders)])[1]
    assert reasons == [
        "interactions: 3.csv (4 rows), by values that meet",
        "items: 2.csv (2 rows), by values that meet",
    ]
