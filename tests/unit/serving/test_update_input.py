"""Items that were put join the champion with the events on them: the update learns from these."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.serving.events import as_interactions
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.serving.update import with_interactions
from tailor.serving.update_input import put_item_ids, with_put_items
from tests.unit.serving.conftest import hybrid, listed, recommender_of, scores_of, weights


@pytest.fixture(scope="module")
def champion(served, tables):
    """The factorization, EASE and popularity learn from events; texts say what they said before."""
    model = hybrid(weights(ials=0.4, ease=0.3, text_knn=0.1, popular=0.2)).fit(tables.train_set)
    return recommender_of(tables, model, about=served.about, metadata=served.metadata, encoder_of=served.encoder_of)


@pytest.fixture
def store(tmp_path):
    return ItemStore.open(tmp_path / "shop.json", "shop")


@pytest.fixture
def buyers(tables, planted):
    """30 users of one cluster, who buy the new item."""
    of_cluster = tables.users["user_id"][planted.user_cluster[tables.users["user_id"]].to_numpy() == 0]
    return of_cluster.iloc[:30].tolist()


@pytest.fixture
def genre(planted, genres, names):
    """A genre that is not that of the buyers' cluster."""
    theirs = {genres[item] for item in planted.item_cluster[planted.item_cluster == 0].index if item in genres}
    return next(name for name in names if name not in theirs)


@pytest.fixture
def bought(champion, store, genre, buyers):
    """The new item is put, its genre speaks against who buys it, and 30 events come."""
    store.put(champion, [{"item_id": "fresh", "title": "Fresh", "genre": genre, "year": 2001}])
    events = store.events.store
    events.append([{"kind": "buy", "user_id": user, "item_id": "fresh"} for user in buyers])
    taken = as_interactions(events.read(), champion.event_options, champion.items.extend(put_item_ids(store)))
    assert taken.counts == {"that say something": 30}
    return taken.rows


def rank_of(model, item, user):
    """Rank of an item among all that the user may be listed."""
    scores = scores_of(model, Request(user))
    return int((scores > scores[item]).sum())


def test_the_updated_model_has_learnt_from_events_on_an_item_that_was_put(
    champion, store, bought, buyers, tables, planted, tmp_path
):
    others = tables.users["user_id"][planted.user_cluster[tables.users["user_id"]].to_numpy() == 0].iloc[30:60].tolist()
    before = store.apply(champion)
    begins = with_put_items(champion, bought, store, "m-1")
    assert begins.counts == {"items that were put and join the catalogue": 1}
    assert (len(begins.rows), begins.model_id) == (30, "m-1")
    update = with_interactions(begins.recommender, begins.rows, 1, begins.counts)
    assert update.counts["items that were put and join the catalogue"] == 1
    assert update.counts["items that were cold"] == 1
    update.recommender.save(tmp_path / "package")
    after = replace(Recommender.load(tmp_path / "package"), encoder_of=champion.encoder_of)
    row = after.items.index("fresh")
    assert after.model.warm[row]
    assert not before.model.warm[before.items.index("fresh")]
    assert after.popularity[row] == 30
    assert after.known_metadata.titles[row] == "Fresh"
    # Who did not buy it, but has the taste of those who did.
    ranks = np.array([[rank_of(model, "fresh", str(user)) for user in others] for model in (before, after)])
    assert np.median(ranks[1]) < np.median(ranks[0]) / 2
    # The state is applied to the new version as to the one before, and undoes nothing.
    again = store.apply(after)
    assert len(again.items) == len(after.items)
    assert rank_of(again, "fresh", str(others[0])) == ranks[1][0]
    assert "fresh" not in listed(again, Request(str(buyers[0])), k=1000).item_ids


def test_an_item_without_rows_stays_in_the_state_alone(champion, store, bought, names):
    store.put(store.apply(champion), [{"item_id": "unsold", "title": "Unsold", "genre": names[0], "year": 2001}])
    assert put_item_ids(store) == ["fresh", "unsold"]
    assert "unsold" not in with_put_items(champion, bought, store).recommender.items
    known = bought.assign(item_id="i1")
    assert with_put_items(champion, known, store).recommender is champion
    assert with_put_items(champion, known, None).rows is known


def test_what_the_model_refuses_is_counted_with_its_rows(champion, store, bought, caplog):
    caplog.set_level("INFO")
    store.state.put([{"item_id": "odd", "title": "Odd", "genre": "x", "year": "many"}, {"item_id": "a\nb"}], 10)
    more = pd.concat([bought, bought.iloc[:4].assign(item_id="a\nb"), bought.iloc[:2].assign(item_id="gone")])
    begins = with_put_items(champion, more, store)
    assert begins.counts == {
        "items that were put and join the catalogue": 1,
        "items that were put and cannot join it": 2,
        "rows on these, left out": 6,
    }
    assert set(begins.rows["item_id"]) == {"fresh"}
    assert "Each item needs an item_id of its own, of printable characters" in caplog.text
    with pytest.raises(BadInputError, match=r"all 4 new rows are on items that were put and cannot join the catalogue"):
        with_put_items(champion, bought.iloc[:4].assign(item_id="a\nb"), store)


def test_who_is_suppressed_meanwhile_leaves_the_item_to_the_others(champion, store, bought, buyers):
    begins = with_put_items(champion, bought, store)
    update = with_interactions(begins.recommender, begins.rows, 1, begins.counts)
    later = update.leaving_out(SuppressionList.of([str(buyers[0])], b"k" * 32))
    assert later.recommender.popularity[later.recommender.items.index("fresh")] == 29
    assert later.counts["items that were put and join the catalogue"] == 1
