"""A shop in a PostgreSQL server: `make new` looks at it, and a run reads it. Run by `make test-postgres`."""

import subprocess
import sys

import pandas as pd
import pytest
import sqlalchemy

from tailor.data.fabricate import planted_catalogue
from tests.conftest import environment, kedro, make_project

pgserver = pytest.importorskip("pgserver", reason="make test-postgres installs it")
PASSWORD = "s3cret"  # noqa: S105  (of a server that lives as long as the test)


@pytest.fixture
def address(tmp_path_factory):
    """A server with the fabricated catalogue, and a user who may read it."""
    server = pgserver.get_server(tmp_path_factory.mktemp("server"))
    address = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(address)
    planted = planted_catalogue(seed=0)
    for name, table in {"orders": planted.interactions, "products": planted.items, "customers": planted.users}.items():
        table.to_sql(name, engine, index=False)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"))
        connection.execute(sqlalchemy.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
    engine.dispose()
    yield address.replace("postgres:@", f"reader:{PASSWORD}@")
    server.cleanup()


def test_from_a_server_to_the_data_card(address, tmp_path):
    project = make_project(tmp_path / "p")
    command = [sys.executable, "-m", "tailor.new", "pgshop", "--database", "SHOP_URL"]
    done = subprocess.run(
        command, cwd=project, env=environment() | {"SHOP_URL": address}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = "".join(path.read_text() for path in (project / "conf/pgshop").iterdir())
    assert PASSWORD not in written + done.stdout + done.stderr
    assert "SHOP_URL" in written
    run = kedro(project, "run", "--env=pgshop", "--pipelines=data_processing", SHOP_URL=address)
    assert PASSWORD not in run.stdout + run.stderr
    planted = planted_catalogue(seed=0)
    accounts = pd.read_parquet(project / "data/pgshop/08_reporting/data_accounts.parquet").set_index("table")
    assert accounts["rows_in"].to_dict() == {
        "items": len(planted.items),
        "users": len(planted.users),
        "interactions": len(planted.interactions),
    }
    dirt = planted.n_duplicates + planted.n_unknown_items + planted.n_missing_ids
    assert accounts.loc["interactions", "dropped"] == dirt
    assert (project / "data/pgshop/08_reporting/data_card.html").exists()
