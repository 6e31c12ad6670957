"""Two fabricated catalogues that share people, as one: the whole DAG, from raw tables to requests."""

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.datasets import AdapterDataset, EmbeddingsDataset
from tailor.lm.text_encoder import TextEncoder
from tests.conftest import kedro, make_project

pytestmark = pytest.mark.slow

PARAMS = {
    "lm_finetuning.epochs": "1",
    "lm_finetuning.domains.rank": "2",
    "lm_finetuning.domains.epochs": "2",
    "hybrid_cf.sources.transformer": "null",
}
EMBEDDINGS = "data/test-domains/04_feature/item_embeddings_lora.safetensors"


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
    assert all(f">{name}</td>" in section for name in ("all", "films", "books"))


def test_hidden_rows_are_in_no_history(project):
    rows = table(project, "03_primary/split.parquet")
    lists = table(project, "07_model_output/new_to_domain_recommendations")
    hidden = rows[(rows[c.SPLIT] == c.NEW_USER) & rows[c.USER].isin(lists[c.USER])]
    known = rows[(rows[c.SPLIT] != c.NEW_USER) & rows[c.USER].isin(lists[c.USER])]
    assert len(hidden)
    for user, of_user in hidden.groupby(c.USER):
        domains = set(of_user[c.ITEM].str.split("/").str[0])
        assert not domains & set(known.loc[known[c.USER] == user, c.ITEM].str.split("/").str[0])


def test_items_are_read_by_the_adapter_of_their_domain(project):
    """In the run, and by the encoder that is packaged."""
    models = project / "data/test-domains/06_models"
    adapter = AdapterDataset(filepath=str(models / "adapter")).load()
    assert adapter.domains
    assert all(part.config["r"] == 2 and part.provenance["epoch"] > 0 for part in adapter.domains.values())
    (folder,) = (path.parent for path in (project / "data/test-domains").rglob("recommender/encoder/tailor.json"))
    encoder, texts = TextEncoder.load(folder), table(project, "04_feature/item_text.parquet")
    embedded = EmbeddingsDataset(filepath=str(project / EMBEDDINGS)).load()
    of_item = dict(zip(embedded.ids, embedded.vectors, strict=True))
    for name in adapter.domains:
        some = texts[texts[c.ITEM].str.startswith(f"{name}/")]
        expected = np.stack([of_item[item] for item in some[c.ITEM]])
        near, far = (
            (reader.encode(some[c.TEXT].tolist()) * expected).sum(axis=1)
            for reader in (encoder.of_domain(name), encoder)
        )
        assert near.min() > 0.999
        assert near.mean() > far.mean()
