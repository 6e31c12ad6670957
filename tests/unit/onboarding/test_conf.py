import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog

from tailor.config import parse
from tailor.errors import BadInputError
from tailor.onboarding.conf import check_name, flow, line, next_steps, write_conf
from tailor.onboarding.database import Database, read_database_tables
from tailor.onboarding.propose import Proposal, propose
from tailor.onboarding.sizes import Size, fit_options, read_base
from tailor.onboarding.tables import read_table
from tailor.options import ProjectOptions
from tailor.settings import CONFIG_LOADER_ARGS
from tests.conftest import ROOT
from tests.unit.onboarding.conftest import shop_customers, shop_orders, shop_products


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A project with conf/base alone."""
    (tmp_path / "project" / "conf").mkdir(parents=True)
    (tmp_path / "project" / "conf" / "base").symlink_to(ROOT / "conf" / "base")
    return tmp_path / "project" / "conf"


def proposal_of(shop: Path, users: bool = True) -> Proposal:
    files = {"interactions": "orders.csv", "items": "products.csv"} | ({"users": "customers.csv"} if users else {})
    return propose({kind: read_table(shop / file) for kind, file in files.items()}, {}, read_base(ROOT / "conf"))


def loader(conf: Path, env: str) -> OmegaConfigLoader:
    return OmegaConfigLoader(str(conf), env=env, **CONFIG_LOADER_ARGS)


def test_a_run_reads_what_was_written(shop, conf):
    """Kedro's own loader joins the folder with conf/base; Tailor's options accept it."""
    folder = write_conf("myshop", proposal_of(shop), conf)
    assert sorted(file.name for file in folder.iterdir()) == ["catalog.yml", "globals.yml", "parameters.yml"]
    config = loader(conf, "myshop")
    options = parse(ProjectOptions, config["parameters"], "")
    assert options.model_name == "tailor-myshop"
    assert options.data_processing.columns.interactions == {
        "user_id": "customer",
        "item_id": "sku",
        "timestamp": "bought",
        "value": "stars",
    }
    assert options.data_processing.columns.items == {"item_id": "sku", "title": "Product Name", "tags": "tags"}
    assert options.data_processing.columns.users == {"user_id": "customer", "age": "age", "town": "Town"}
    assert options.data_processing.cleaning.implicit_threshold == 4.0
    assert options.feature_engineering.text.item_template == ["{title}", "{tags}"]
    assert options.feature_engineering.text.categories.column == "tags"
    assert options.feature_engineering.text.categories.separator == "|"
    assert options.feature_engineering.profile.columns == ["age", "town"]
    assert options.lm_finetuning.encoder.max_length == 32
    assert {trial["factors"] for trial in options.hybrid_cf.trials["ials"]} == {8, 4}


@pytest.mark.parametrize("size", [Size(70_000, 30_000, 100_000, 100_000, True), Size(943, 1_682, 10**5, 10**5, True)])
def test_a_run_reads_option_sets_of_a_sparse_catalogue_too(shop, conf, size):
    """Of the first alpha alone is another, of the second nothing."""
    base = read_base(ROOT / "conf")
    sized = fit_options(size, ["a cup of tea"], 0.0, True, base)
    write_conf("myshop", replace(proposal_of(shop), options=sized), conf)
    options = parse(ProjectOptions, loader(conf, "myshop")["parameters"], "").hybrid_cf
    before = base["hybrid_cf"]["trials"]["ials"]
    share = 0.03 if size.n_users == 70_000 else 1.0
    assert [trial["alpha"] for trial in options.trials["ials"]] == pytest.approx([share * t["alpha"] for t in before])
    assert options.sources["ials"] == base["hybrid_cf"]["sources"]["ials"]


def test_the_catalog_names_the_files_and_reads_ids_as_text(shop, conf):
    write_conf("myshop", proposal_of(shop), conf)
    catalog = loader(conf, "myshop")["catalog"]
    assert catalog["raw_interactions"] == {
        "type": "tailor.datasets.TextTableDataset",
        "filepath": f"{shop}/orders.csv",
        "load_args": {"dtype": {"customer": "str", "sku": "str"}},
        "metadata": {"kedro-viz": {"layer": "raw"}},
    }
    assert catalog["raw_items"]["load_args"] == {"dtype": "str"}
    frame = pd.read_csv(catalog["raw_interactions"]["filepath"], **catalog["raw_interactions"]["load_args"])
    pd.testing.assert_frame_equal(frame, shop_orders())
    assert catalog["raw_users"]["filepath"] == f"{shop}/customers.csv"


def test_nothing_of_another_catalogue_is_in_it(shop, conf):
    folder = write_conf("myshop", proposal_of(shop, users=False), conf)
    settings = yaml.safe_load((folder / "globals.yml").read_text())
    assert settings == {
        "raw": str(shop),
        "data": "data/myshop",
        "model_name": "tailor-myshop",
        "alias": "champion",
        "conf": "myshop",
    }
    assert not [file for file in folder.iterdir() if "anime" in file.read_text() or "movie" in file.read_text().lower()]
    catalog = loader(conf, "myshop")["catalog"]
    assert catalog["raw_users"]["type"] == "tailor.datasets.AbsentDataset"
    options = parse(ProjectOptions, loader(conf, "myshop")["parameters"], "")
    assert options.data_processing.columns.users == {"user_id": "user_id"}
    assert options.feature_engineering.profile.columns == []


def test_every_proposal_has_its_reason(shop, conf):
    folder = write_conf("myshop", proposal_of(shop), conf)
    text = (folder / "parameters.yml").read_text()
    assert "- item_id: sku  # 100 % of its values are in products.csv\n" in text
    assert "- timestamp: bought  # seconds since 1970\n" in text
    assert "# not mapped: picture (links, names of images, or keys)\n" in text
    assert "implicit_threshold: 4.0  # of values from 1 to 5; " in text
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    mapped = [line for line in lines if line.startswith("      - ") and ": " in line and "{" not in line]
    assert mapped and all("  # " in line for line in mapped)
    assert max(map(len, text.splitlines())) <= 120


def test_files_of_many_shapes(shop, conf):
    orders = shop_orders().to_csv(sep=";", index=False).replace("\n", ";\n").replace(";\n", "\n", 1)
    (shop / "orders.csv").write_text(orders)
    shop_products().to_csv(shop / "products.csv", index=False, encoding="latin-1", sep="\t")
    write_conf("myshop", proposal_of(shop), conf)
    catalog = loader(conf, "myshop")["catalog"]
    args = catalog["raw_interactions"]["load_args"]
    assert args == {"sep": ";", "index_col": False, "dtype": {"customer": "str", "sku": "str"}}
    pd.testing.assert_frame_equal(pd.read_csv(shop / "orders.csv", **args), shop_orders())
    args = catalog["raw_items"]["load_args"]
    assert args == {"encoding": "latin-1", "sep": "\t", "dtype": "str"}
    pd.testing.assert_frame_equal(pd.read_csv(shop / "products.csv", **args), shop_products())


def test_a_separator_at_the_end_of_every_line_is_no_column(shop, conf):
    lines = shop_orders().to_csv(sep=";", index=False).splitlines()
    (shop / "orders.csv").write_text("".join(f"{line};\n" for line in lines))
    folder = write_conf("myshop", proposal_of(shop), conf)
    text = (folder / "parameters.yml").read_text()
    assert "# not mapped: the column without a name (a separator ends each line, nothing is behind it)" in text
    assert "Unnamed" not in text


def test_an_update_is_read_as_the_interactions_are(shop, conf):
    """The separator, and ids as text: under the shop's names, and under ours."""
    shop_orders().to_csv(shop / "orders.csv", sep=";", index=False)
    write_conf("myshop", proposal_of(shop), conf)
    catalog = DataCatalog.from_config({"raw": loader(conf, "myshop")["catalog"]["raw_new_interactions"]})
    assert catalog["raw"].load().empty
    for rows in ("customer;sku;bought;stars\n007;01;2026-11-01;5\n", "user_id;item_id\n007;01\n"):
        (shop / "new_interactions.csv").write_text(rows)
        assert catalog["raw"].load().iloc[0, :2].tolist() == ["007", "01"]


def test_names_that_yaml_and_omegaconf_would_change(shop, conf):
    strange = "no: ${oc.env:HOME} #'\"{x}\n"
    shop_products().rename(columns={"Product Name": "title", "tags": strange}).to_csv(
        shop / "products.csv", index=False
    )
    folder = write_conf("myshop", proposal_of(shop), conf)
    columns = parse(ProjectOptions, loader(conf, "myshop")["parameters"], "").data_processing.columns.items
    assert strange in columns.values()
    assert (folder / "parameters.yml").is_file()


def test_parquet_and_folders(shop, conf):
    shop_orders().convert_dtypes().to_parquet(shop / "orders.parquet")
    proposal = propose(
        {"interactions": read_table(shop / "orders.parquet"), "items": read_table(shop / "products.csv")},
        {},
        read_base(ROOT / "conf"),
    )
    write_conf("myshop", proposal, conf)
    catalog = DataCatalog.from_config({"x": loader(conf, "myshop")["catalog"]["raw_interactions"]})
    pd.testing.assert_frame_equal(catalog.load("x"), shop_orders().convert_dtypes())


def test_files_within_the_project_are_named_relative_to_it(shop, conf):
    raw = conf.parent / "data" / "01_raw"
    raw.parent.mkdir()
    shop.rename(raw)
    write_conf("myshop", proposal_of(raw), conf)
    assert loader(conf, "myshop")["globals"]["raw"] == "data/01_raw"
    assert loader(conf, "myshop")["catalog"]["raw_items"]["filepath"] == "data/01_raw/products.csv"


@pytest.fixture
def shop_db(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        shop_orders().to_sql("orders", connection, index=False)
        shop_products().to_sql("products", connection, index=False)
        shop_customers().to_sql("customers", connection, index=False)
    return tmp_path / "shop.db"


def database_proposal(path: Path) -> Proposal:
    database = Database.parse(f"sqlite:///{path}", {}, "myshop")
    tables = read_database_tables(database, ["orders", "products"])
    return propose(dict(zip(("interactions", "items"), tables, strict=True)), {}, read_base(ROOT / "conf"))


def test_a_database_is_read_by_kedro(shop_db, conf, monkeypatch):
    monkeypatch.delenv("MYSHOP_DATABASE", raising=False)
    database = Database.parse(f"sqlite:///{shop_db}", {}, "myshop")
    write_conf("myshop", database_proposal(shop_db), conf, database)
    config = loader(conf, "myshop")
    assert config["credentials"] == {"myshop_database": {"con": f"sqlite:///{shop_db}"}}
    entry = {"x": config["catalog"]["raw_interactions"]}
    frame = DataCatalog.from_config(entry, config["credentials"]).load("x")
    pd.testing.assert_frame_equal(frame, shop_orders())


def test_a_password_is_never_written_down(shop_db, conf, monkeypatch):
    address = "postgresql://anna:s3c'ret@db.example/shop"
    database, proposal = Database.parse(address, {}, "myshop"), database_proposal(shop_db)
    folder = write_conf("myshop", proposal, conf, database)
    said = "\n".join(next_steps("myshop", proposal, folder, database))
    assert "s3c" not in said and "export MYSHOP_DATABASE=... before a run" in said
    assert not [file for file in folder.iterdir() if "s3c" in file.read_text()]
    monkeypatch.setenv("MYSHOP_DATABASE", address)
    assert loader(conf, "myshop")["credentials"]["myshop_database"]["con"] == address


def test_an_address_with_quotes_comes_back_whole(shop_db, conf, monkeypatch):
    monkeypatch.delenv("MYSHOP_DATABASE", raising=False)
    database = Database.parse("sqlite:///it's a shop.db", {}, "myshop")
    write_conf("myshop", database_proposal(shop_db), conf, database)
    assert loader(conf, "myshop")["credentials"]["myshop_database"]["con"] == "sqlite:///it's a shop.db"


@pytest.mark.parametrize("name", ["", "a b", "../x", "1shop", "x/y", ".hidden", "a" * 51])
def test_names_that_no_folder_should_have(conf, name):
    with pytest.raises(BadInputError, match="is no name of a folder"):
        check_name(name, conf)


@pytest.mark.parametrize("name", ["base", "local", "test", "Test"])
def test_folders_of_the_project_stay(conf, name):
    with pytest.raises(BadInputError, match="belongs to the project"):
        check_name(name, conf)


def test_a_folder_that_exists_stays_as_it_is(shop, conf):
    proposal = proposal_of(shop)
    folder = write_conf("myshop", proposal, conf)
    (folder / "globals.yml").write_text("mine")
    with pytest.raises(BadInputError, match=r"myshop exists and stays as it is"):
        write_conf("myshop", proposal, conf)
    assert (folder / "globals.yml").read_text() == "mine"


def test_outside_of_a_project(tmp_path):
    with pytest.raises(BadInputError, match=r"has no folder base. Run the command in the project's folder"):
        check_name("myshop", tmp_path)


def test_nothing_half_written_stays(shop, conf, monkeypatch):
    proposal, written = proposal_of(shop), []

    def fail_at_the_second(path, *args, **kwargs):
        if written:
            raise OSError("disk full")
        written.append(path)

    monkeypatch.setattr(Path, "write_text", fail_at_the_second)
    with pytest.raises(OSError, match="disk full"):
        write_conf("myshop", proposal, conf)
    assert [entry.name for entry in conf.iterdir()] == ["base"]


def test_lines_have_their_reason_behind_or_above_them():
    assert line("a: 1", "", 2) == "  a: 1"
    assert line("a: 1", "since\nit is", 2) == "  a: 1  # since it is"
    assert line("a: 1", "x" * 115, 2) == f"  # {'x' * 115}\n  a: 1"


@pytest.mark.parametrize("value", ["a: b", "yes", "1", "", " x", "tab\t", "${x}", {"a b": ["c", None, 1.5, True]}])
def test_values_survive_yaml(value):
    assert yaml.safe_load(f"key: {flow(value)}") == {"key": value if value != "${x}" else "\\${x}"}
    assert "\n" not in flow(value)
