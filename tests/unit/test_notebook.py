"""What notebooks compute from a catalog is what a run would report."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.user_texts import UserTexts
from tailor.errors import ConfigurationError
from tailor.models.registry import build
from tailor.notebook import list_users, mean_figures, measure_users


class Loaded(dict):
    """Datasets by name, as a catalog gives them."""

    def load(self, name):
        return self[name]


@pytest.fixture(scope="module")
def catalog(tables):
    empty = sparse.csr_matrix(tables.matrices["train"].shape, dtype=np.float32)
    matrices = {f"{name}_matrix": matrix for name, matrix in tables.matrices.items()}
    return Loaded(
        matrices,
        users=tables.users,
        items=tables.items,
        order_matrix=tables.order,
        strength_matrix=empty,
        side_features={"profiles": np.zeros((len(tables.users), 0), np.float32)},
        user_text_embeddings=UserTexts.none().arrays(),
        test_positives=sparse.csr_matrix(tables.matrices["test"] + tables.matrices["cold"]),
        parameters={"evaluation": {"k": [5, 10]}, "seed": 3},
    )


@pytest.fixture(scope="module")
def lists(catalog, tables):
    return list_users(catalog, {name: build(name, {}, 0).fit(tables.train_set) for name in ("popular", "text_knn")})


def test_lists_are_of_every_known_user_and_leave_out_what_was_taken_before(lists, catalog):
    table = lists["popular"]()
    known = catalog["users"].loc[catalog["users"]["bucket"] != "new", "user_id"]
    assert set(table["user_id"]) == set(known)
    assert set(table["split"]) == {"test"}
    seen = catalog["train_matrix"] + catalog["validation_matrix"] + catalog["cold_unused_matrix"]
    row = pd.Index(catalog["users"]["user_id"]).get_indexer(table["user_id"].astype(str))
    column = pd.Index(catalog["items"]["item_id"]).get_indexer(table["item_id"].astype(str))
    assert not np.asarray(seen[row, column]).any()


def test_figures_are_those_of_lists_cut_off_at_the_largest_k(lists, catalog):
    """NDCG of the cold lists, computed here from the table alone."""
    values = measure_users(catalog, lists, models=["text_knn"])
    table = lists["text_knn"]().query("candidates == 'cold' and rank <= 10")
    users, items = pd.Index(catalog["users"]["user_id"]), pd.Index(catalog["items"]["item_id"])
    row, column = users.get_indexer(table["user_id"].astype(str)), items.get_indexer(table["item_id"].astype(str))
    gain = np.asarray(catalog["cold_matrix"][row, column]).ravel() / np.log2(table["rank"].to_numpy() + 1)
    total = np.bincount(row, gain, minlength=len(users))
    counts = np.diff(catalog["cold_matrix"].indptr)
    ideal = np.array([(1 / np.log2(np.arange(2, 2 + min(n, 10)))).sum() for n in counts])
    found = values["cold"]["text_knn"]
    listed = np.isfinite(found)
    assert listed.sum() > 20
    np.testing.assert_allclose(found[listed], total[listed] / ideal[listed])


def test_means_are_over_the_users_that_have_a_value():
    values = {"warm": {"b": np.array([1.0, 0.0, 0.5, 0.1, np.nan]), "a": np.array([0.5, 1.0, 0.5, 0.0, np.nan])}}
    table = mean_figures(values)
    assert table.index.tolist() == ["b", "a"]
    assert table["warm"].tolist() == [1.6 / 4, 2.0 / 4]


def test_models_that_have_no_lists_are_named(catalog, lists):
    with pytest.raises(ConfigurationError, match=r"No lists of model 'populr'\. Did you mean 'popular'\? Known: "):
        measure_users(catalog, lists, models=["populr"])
