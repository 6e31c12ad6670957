"""Two fabricated catalogues that share people, as one: the whole DAG, from raw tables to requests."""

import pandas as pd
import pytest

from tailor import columns as c
from tests.conftest import kedro, make_project

pytestmark = pytest.mark.slow

PARAMS = {
    "lm_finetuning.enabled": "false",
    "evaluation.registered": "hybrid_frozen",
    "hybrid_cf.sources.transformer": "null",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("domains"))
    params = ",".join(f"{name}={value}" for name, value in PARAMS.items())
    kedro(folder, "run", "--env=test-domains", f"--params={params}")
    return folder


def table(project, path):
    return pd.read_parquet(project / "data/test-domains" / path)


def test_people_who_are_known_from_elsewhere_get_their_taste(project):
    """The planted taste of a person is the same in both: what they took in one tells what to list in the other."""
    rows = table(project, "08_reporting/domain_metrics.parquet").query(
        "metric == 'ndcg' and k == 20 and item_bucket == 'all' and user_bucket == 'new_to_domain'"
    )
    ndcg = rows.set_index([c.DOMAIN, c.MODEL])["value"]
    for domain in ("films", "books"):
        assert ndcg[domain, "hybrid_frozen"] > 1.3 * ndcg[domain, "popular"]


def test_lists_of_a_domain_hold_its_items_alone(project):
    for name in ("recommendations", "new_to_domain_recommendations", "batch_recommendations.parquet"):
        lists = table(project, f"07_model_output/{name}").astype({c.ITEM: str, c.DOMAIN: str})
        assert (lists[c.ITEM].str.split("/").str[0] == lists[c.DOMAIN]).all()
        assert set(lists[c.DOMAIN]) == {"films", "books"}


def test_counts_and_figures_are_those_of_each_domain(project):
    counts = table(project, "08_reporting/data_summary.parquet").set_index(["what", "label"])["count"]
    assert counts["items by domain", "films"] == counts["items by domain", "books"] == 120
    assert counts["users by domain", "books and films"] == 120
    page = (project / "data/test-domains/08_reporting/report.html").read_text()
    assert "By domain" in page
    assert "<th>new to the domain</th>" in page
    section = page.split("Where the boosts stand in each domain")[1].split("<h2")[0]
    assert all(f"<td>{name}</td>" in section for name in ("all", "films", "books"))


def test_hidden_rows_are_in_no_history(project):
    rows = table(project, "03_primary/split.parquet")
    lists = table(project, "07_model_output/new_to_domain_recommendations")
    hidden = rows[(rows[c.SPLIT] == c.NEW_USER) & rows[c.USER].isin(lists[c.USER])]
    known = rows[(rows[c.SPLIT] != c.NEW_USER) & rows[c.USER].isin(lists[c.USER])]
    assert len(hidden)
    for user, of_user in hidden.groupby(c.USER):
        domains = set(of_user[c.ITEM].str.split("/").str[0])
        assert not domains & set(known.loc[known[c.USER] == user, c.ITEM].str.split("/").str[0])
