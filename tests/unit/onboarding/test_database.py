import sqlite3

import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.onboarding.database import Database, read_database_tables
from tests.unit.onboarding.conftest import shop_orders, shop_products

PROTECTED = "postgresql://anna:s3cret@db.example:5432/shop"


@pytest.fixture
def shop_db(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        shop_orders().to_sql("orders", connection, index=False)
        shop_products().to_sql("products", connection, index=False)
        connection.execute("CREATE TABLE blank (x INTEGER)")
        connection.execute("CREATE VIEW dear AS SELECT * FROM orders WHERE stars > 3")
    return Database.parse(f"sqlite:///{path}", {}, "myshop")


def test_tables_by_name(shop_db):
    orders, dear = read_database_tables(shop_db, ["orders", "dear"])
    assert (orders.name, orders.table, orders.dataset) == ("orders", "orders", "pandas.SQLTableDataset")
    pd.testing.assert_frame_equal(orders.rows, shop_orders())
    assert len(dear.rows) == (shop_orders()["stars"] > 3).sum()  # a view


def test_all_tables_that_have_rows(shop_db):
    assert [table.name for table in read_database_tables(shop_db, [])] == ["orders", "products", "dear"]


def test_a_long_table_is_counted_but_not_read(shop_db, monkeypatch):
    monkeypatch.setattr("tailor.onboarding.database.MAX_ROWS", 10)
    (orders,) = read_database_tables(shop_db, ["orders"])
    assert (len(orders.rows), orders.n_rows, orders.whole) == (10, 48, False)


def test_a_schema_before_the_name(shop_db):
    (orders,) = read_database_tables(shop_db, ["main.orders"])
    assert (orders.table, orders.load_args) == ("orders", {"schema": "main"})


def test_what_is_not_there_is_named(shop_db, tmp_path):
    with pytest.raises(BadInputError, match=r"shop.db has no table 'order'. Did you mean 'orders'\? It has: blank"):
        read_database_tables(shop_db, ["order"])
    with pytest.raises(BadInputError, match=r"Table 'blank' of .* has no rows"):
        read_database_tables(shop_db, ["blank"])
    with pytest.raises(BadInputError, match=r"There is no file .*other.db"):
        read_database_tables(Database.parse(f"sqlite:///{tmp_path}/other.db", {}, "x"), [])
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at")
    with pytest.raises(BadInputError, match=r"text.db cannot be read \(file is not a database\)"):
        read_database_tables(Database.parse(f"sqlite:///{tmp_path}/text.db", {}, "x"), [])


def test_the_address_may_lie_in_the_environment():
    database = Database.parse("SHOP_URL", {"SHOP_URL": PROTECTED}, "my-shop")
    assert (database.variable, database.address) == ("SHOP_URL", PROTECTED)
    assert Database.parse(PROTECTED, {}, "my-shop").variable == "MY_SHOP_DATABASE"
    with pytest.raises(BadInputError, match=r"DATABASE=SHOP_URL: neither an address .* nor an environment variable"):
        Database.parse("SHOP_URL", {}, "my-shop")


def test_secrets_are_known_and_never_shown():
    database = Database.parse(PROTECTED, {}, "x")
    assert database.has_secret and "s3cret" not in database.masked and "anna" in database.masked
    by_query = Database.parse("postgresql://db.example/shop?password=s3cret&connect_timeout=3", {}, "x")
    assert by_query.has_secret and "s3cret" not in by_query.masked and "connect_timeout=3" in by_query.masked
    assert not Database.parse("sqlite:///shop.db", {}, "x").has_secret


def test_a_driver_that_is_not_installed_is_named_without_the_password():
    with pytest.raises(BadInputError, match=r"needs the driver '\w+': .*pip install") as caught:
        read_database_tables(Database.parse("mssql+pyodbc://anna:s3cret@db.example/shop", {}, "x"), ["orders"])
    assert "s3cret" not in str(caught.value)


def test_an_address_that_is_none():
    with pytest.raises(BadInputError, match="address is none that SQLAlchemy reads"):
        Database.parse("://", {}, "x")
