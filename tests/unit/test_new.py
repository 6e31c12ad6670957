"""The command line of `make new`."""

import sqlite3

import pytest

from tailor.new import main
from tests.conftest import ROOT
from tests.unit.onboarding.conftest import shop, shop_orders, shop_products  # noqa: F401  (a fixture)


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base").symlink_to(ROOT / "conf" / "base")
    return tmp_path / "conf"


def test_a_folder_of_files(shop, conf, capsys):  # noqa: F811
    (shop / "README.txt").write_text("")
    assert main(["myshop", "--raw", str(shop), "--conf", str(conf)]) == 0
    said = capsys.readouterr().out
    assert "Passed over:" in said and "README.txt is empty" in said
    assert "interactions: orders.csv (48 rows)" in said and "users: customers.csv (12 rows)" in said
    assert "  user_id <- customer  (100 % of its values are in customers.csv)" in said
    assert "kedro run --env=myshop --pipelines=data_processing" in said and "make run ENV=myshop" in said
    assert (conf / "myshop" / "catalog.yml").is_file()


def test_named_files_and_columns(shop, conf, capsys):  # noqa: F811
    files = ["--interactions", str(shop / "orders.csv"), "--items", str(shop / "products.csv")]
    assert main(["myshop", *files, "--map", "user_id=stars", "--conf", str(conf)]) == 0
    assert "user_id <- stars  (as you said)" in capsys.readouterr().out


def test_files_are_named_within_the_folder(shop, conf):  # noqa: F811
    names = ["--interactions", "orders.csv", "--items", "products.csv"]
    assert main(["myshop", "--raw", str(shop), *names, "--conf", str(conf)]) == 0


def test_a_database(tmp_path, conf, capsys, monkeypatch):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        shop_orders().to_sql("orders", connection, index=False)
        shop_products().to_sql("products", connection, index=False)
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    assert main(["myshop", "--database", "SHOP_URL", "--conf", str(conf)]) == 0
    assert "interactions: orders (48 rows)" in capsys.readouterr().out
    assert "${oc.env:SHOP_URL," in (conf / "myshop" / "credentials.yml").read_text()
    named = ["--interactions", "orders", "--items", "products"]
    assert main(["other", "--database", "SHOP_URL", *named, "--conf", str(conf)]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base"], "belongs to the project"),
        (["myshop"], "Interactions are needed"),
        (["myshop", "--interactions", "SHOP/orders.csv"], "A table of items is needed"),
        (["myshop", "--raw", "SHOP", "--map", "customer"], 'MAP="customer": write OURS=THEIRS'),
        (["myshop", "--raw", "SHOP/nowhere"], "There is no folder"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(shop, conf, capsys, arguments, message):  # noqa: F811
    arguments = [word.replace("SHOP", str(shop)) for word in arguments]
    assert main([*arguments, "--conf", str(conf)]) == 1
    said = capsys.readouterr()
    assert message in said.err and "Traceback" not in said.err and not said.out
    assert [entry.name for entry in conf.iterdir()] == ["base"]


def test_a_folder_without_a_table_that_can_be_read(tmp_path, conf, capsys):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text("")
    assert main(["myshop", "--raw", str(tmp_path / "raw"), "--conf", str(conf)]) == 1
    assert "a.csv is empty" in capsys.readouterr().err
