"""Requests for one of several catalogues, and items that join one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.serving.items import columns_of, put, read_items
from tailor.serving.package import DOMAINS
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.serving.update import with_interactions
from tests.unit.serving.conftest import FAST, hybrid, listed, weights


@pytest.fixture(scope="module")
def of_items(tables):
    """The first half of the catalogue is books, the second films."""
    return np.arange(len(tables.items)) // (len(tables.items) // 2)


@pytest.fixture(scope="module")
def joint(served, tables, of_items):
    model = hybrid(weights(ials=0.5, ease=0.25, text_knn=0.15, popular=0.1), FAST)
    table = served.metadata.table.assign(domain=np.array(["books", "films"])[of_items])
    return replace(
        served,
        model=model.fit(tables.train_set.with_domains(of_items)),
        about=served.about | {DOMAINS: ["books", "films"]},
        metadata=replace(served.metadata, table=table),
    )


@pytest.mark.parametrize("domain", ["books", "films"])
def test_a_list_holds_items_of_the_domain_that_is_asked_for(joint, known, of_items, domain):
    answer = listed(joint, Request(user_id=known, domain=domain), k=1000)
    rows = joint.item_indices(answer.item_ids)
    assert set(of_items[rows]) == {["books", "films"].index(domain)}
    every = listed(joint, Request(user_id=known), k=1000)
    of_domain = [item for item in every.item_ids if item in set(answer.item_ids)]
    assert of_domain == answer.item_ids  # the same order, without the others
    assert len(every.item_ids) > len(answer.item_ids)


def test_a_history_of_one_domain_tells_of_the_other(joint, tables, of_items, genres):
    taken = [item for item, of_domain in zip(joint.item_ids, of_items, strict=True) if of_domain == 0]
    genre = genres[taken[0]]
    history = [item for item in taken if genres[item] == genre][:5]
    answer = listed(joint, Request(history=history, domain="films"))
    assert [genres[item] for item in answer.item_ids[:5]] == [genre] * 5


def test_a_domain_joins_filters_and_candidates(joint, names):
    answer = listed(joint, Request(domain="films", filters={"categories": [names[0]]}), k=1000)
    both = listed(joint, Request(filters={"categories": [names[0]]}), k=1000)
    assert 0 < len(answer.item_ids) < len(both.item_ids)
    assert listed(joint, Request(domain="books", candidates=list(joint.item_ids[-3:]))).item_ids == []


def test_an_unknown_domain_is_refused_by_name(joint, served):
    with pytest.raises(BadInputError, match=r"Unknown domain 'book'\. Did you mean 'books'\? .*has: books, films"):
        joint.recommend([Request(domain="book")])
    with pytest.raises(BadInputError, match=r"Unknown domain 'books'.* one catalogue, so leave the domain out"):
        served.recommend([Request(domain="books")])


def test_a_package_carries_domains(joint, tmp_path, known):
    replace(joint, encoder_of=None).save(tmp_path / "package")
    loaded = Recommender.load(tmp_path / "package")
    request = Request(user_id=known, domain="films")
    assert loaded.domains == ["books", "films"]
    assert listed(loaded, request).item_ids == listed(joint, request).item_ids


def test_a_new_item_says_its_domain(joint, names):
    assert "domain" in columns_of(joint)
    row = {"item_id": "new", "title": "thing", "genre": names[0]}
    with pytest.raises(BadInputError, match=r"The item 'new' is of domain None: say one of books, films in the col"):
        read_items(joint, [row])
    grown = put(joint, read_items(joint, [row | {"domain": "films"}]))
    assert grown.of_domain("films")[-1]
    assert not grown.of_domain("books")[-1]
    assert grown.item_domains["domain"].tolist()[-1] == "films"
    assert "new" in listed(grown, Request(domain="films"), k=1000).item_ids


def test_a_model_of_one_catalogue_knows_no_such_column(served):
    assert "domain" not in columns_of(served)
    assert list(served.item_domains) == ["item_id"]


def test_an_update_keeps_domains(joint, known, of_items):
    taken = set(joint.histories.history[[joint.users.index(known)]].indices)
    fresh = next(row for row in np.flatnonzero(joint.model.warm) if row not in taken)
    rows = pd.DataFrame({"user_id": [known], "item_id": [joint.item_ids[fresh]], "timestamp": [2e9]})
    updated = with_interactions(joint, rows, sweeps=1).recommender
    np.testing.assert_array_equal(updated.model.domains, of_items)
    answer = listed(updated, Request(user_id=known, domain="films"), k=1000)
    assert set(of_items[updated.item_indices(answer.item_ids)]) == {1}
