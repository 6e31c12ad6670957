"""Items that come, change and go without a fit."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tailor.data.people import SUPPRESSION_KEY
from tailor.errors import BadInputError
from tailor.models.registry import build
from tailor.serving import items as items_module
from tailor.serving.items import Following, ItemStore, put, read_items
from tailor.serving.mlflow_model import TailorModel
from tailor.serving.package import CATALOGUE_READ_AT, REGISTERED_AS
from tailor.serving.schema import Request
from tailor.state.store import StateStore
from tailor.state.tables import StateError
from tests.unit.serving.conftest import Planted, listed, recommender_of, scores_of, weights


@pytest.fixture(scope="module")
def cold(served, tables):
    """An item of the fit that nobody has taken."""
    return str(served.item_ids[np.flatnonzero(~tables.warm)[0]])


@pytest.fixture(scope="module")
def warm(served, tables):
    """An item of the fit that most have taken."""
    return str(served.item_ids[tables.train_set.counts.argmax()])


@pytest.fixture
def row(names):
    return {"item_id": "fresh", "title": "Fresh", "genre": names[0], "year": 2001}


def test_an_item_is_recommendable_when_it_has_come(served, row, names, known):
    grown = put(served, read_items(served, [row]))
    assert "fresh" in listed(grown, Request(query=names[0]), k=160).item_ids
    assert listed(grown, Request(history=["fresh"])).path == "fold_in"
    assert listed(grown, Request(candidates=["fresh"], filters={"year": {"min": 2001, "max": 2001}})).item_ids
    assert grown.item_ids.tolist() == [*served.item_ids, "fresh"]
    assert "fresh" not in served.item_ids


@pytest.mark.parametrize("request_of", [Request, lambda _: Request(), lambda _: Request(query="x")])
def test_no_score_of_another_item_moves(served, row, known, request_of):
    before = scores_of(served, request_of(known))
    after = scores_of(put(served, read_items(served, [row])), request_of(known))
    assert set(after.index) == {*before.index, "fresh"}
    assert (after[before.index] - before).abs().max() < (1e-5 if not request_of(known).query else 0.05)


def test_an_item_that_comes_scores_as_one_of_the_fit_that_has_its_text_and_no_interactions(served, cold, known):
    """Popularity included: nobody has taken either of them."""
    blend = weights(((0, {"popular": 0.7, "text_knn": 0.3}),), ials=0.5, popular=0.5)
    blend = replace(blend, warm=replace(blend.warm, bias=0.7), cold=blend.warm.base)
    served = replace(served, model=served.model.with_blend(blend))
    index = served.item_indices([cold])
    twin = served.known_metadata.take(index)
    twin = replace(twin, table=twin.table.assign(item_id="twin"))
    grown = served.with_new_items(twin, served.item_features[index])
    for request in (Request(known), Request(), Request(history=["i3", "i7"]), Request(known, query="x")):
        scores = scores_of(grown, request, cold_boost=0.2)
        assert scores["twin"] == pytest.approx(scores[cold], abs=1e-5)
    model, twin_index = grown.model, grown.item_indices(["twin"])
    assert model.popularity[twin_index] == pytest.approx(model.popularity[index], abs=1e-6)
    assert not model.warm[twin_index]
    assert not model.tail[twin_index]
    assert model.sources["popular"].counts[twin_index] == 0
    assert grown.tie_rank[twin_index] == len(grown.item_ids) - 1


def test_popularity_of_none_is_that_of_an_item_without_interactions(served, tables):
    """log(1 + 0), standardised over the items that have some."""
    logs = np.log1p(tables.train_set.counts[tables.warm])
    assert served.model.popularity_of_none == pytest.approx(-logs.mean() / logs.std(), rel=1e-6)
    np.testing.assert_allclose(served.model.popularity[~tables.warm], served.model.popularity_of_none, rtol=1e-5)


def test_a_cold_item_that_is_put_again_is_what_its_new_text_says(served, cold, known, names, genres):
    gone = served.without_items([cold, "i1"])
    other = next(name for name in names if name != genres[cold])
    again = put(gone, read_items(gone, [{"item_id": cold, "title": "Other", "genre": other}]))
    assert again.item_ids.tolist() == served.item_ids.tolist()  # no second row
    assert len(again.known_metadata.table) == len(served.known_metadata.table)
    np.testing.assert_array_equal(again.tie_rank, served.tie_rank)
    np.testing.assert_array_equal(again.removed, gone.removed)
    assert again.model.n_items == served.model.n_items
    # As an item that comes with that text.
    twin = put(again, read_items(again, [{"item_id": "twin", "title": "Other", "genre": other}]))
    twin = replace(twin, removed=None)
    for request in (Request(known), Request(history=["i3", "i7"]), Request(query=other)):
        scores = scores_of(twin, request)
        assert scores[cold] == pytest.approx(scores["twin"], abs=1e-5)
    before, after = scores_of(served, Request(known)), scores_of(replace(again, removed=None), Request(known))
    assert abs(after[cold] - before[cold]) > 0.05
    others = before.index.drop(cold)
    np.testing.assert_allclose(after[others], before[others], atol=1e-5)


def test_a_warm_item_keeps_its_factors_when_its_text_changes(served, warm, names, genres):
    other = next(name for name in names if name != genres[warm])
    changed = put(served, read_items(served, [{"item_id": warm, "title": "Other", "genre": other}]))
    index = served.item_indices([warm])[0]
    for source, array in (("ials", "item_factors"), ("ease", "weights")):
        before, after = (getattr(model.model.sources[source], array)[index] for model in (served, changed))
        np.testing.assert_array_equal(after, before)
    assert changed.known_metadata.titles[index] == "Other"
    assert listed(changed, Request(query=other), k=160).item_ids.count(warm) == 1
    assert np.abs(changed.item_features[index] - served.item_features[index]).max() > 0.1
    assert served.known_metadata.titles[index] != "Other"  # the old model is as it was


def test_old_and_new_items_may_come_in_one_call(served, cold, row, names):
    rows = [{"item_id": cold, "title": "Other", "genre": names[-1]}, row]
    changed = put(served, read_items(served, rows))
    assert {cold, "fresh"} <= set(listed(changed, Request(), k=1000).item_ids)
    assert len(changed.item_ids) == len(served.item_ids) + 1


def test_what_is_removed_is_listed_no_more_and_may_stand_in_histories(served):
    gone = served.without_items(["i1", "i2"])
    assert not {"i1", "i2"} & set(listed(gone, Request(), k=1000).item_ids)
    assert listed(gone, Request(history=["i1"])).path == "fold_in"
    assert listed(gone.without_items(["i3"]), Request(candidates=["i1", "i3", "i4"])).item_ids == ["i4"]
    assert "i1" in listed(served, Request(), k=1000).item_ids
    with pytest.raises(BadInputError, match="Unknown items: ghost"):
        served.without_items(["i1", "ghost"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "0 items in one call; send 1 to 1000"),
        ([{"item_id": str(number)} for number in range(1001)], "1001 items in one call; send 1 to 1000"),
        ([{"title": "x"}], "item_id of its own"),
        ([{"item_id": "a"}, {"item_id": "a"}], "item_id of its own"),
        ([{"item_id": "a\x00"}], "printable"),
        ([{"item_id": "a", "titel": "x"}], "Unknown column 'titel'. Did you mean 'title'?"),
        ([{"item_id": "a", "title": "x" * 10_001}], "title: "),
        ([{"item_id": "a", "title": ["x"]}], "title: "),
    ],
)
def test_bad_items_are_refused(served, rows, words):
    with pytest.raises(BadInputError) as refused:
        read_items(served, rows)
    assert words in str(refused.value)


def test_a_model_that_takes_no_items_in_says_so(served, tables, row):
    model = build("item_knn", {}, 0).fit(tables.train_set)
    plain = recommender_of(tables, model, about=served.about, metadata=served.metadata)
    with pytest.raises(BadInputError, match="The model 'item_knn' cannot take items in without a new fit"):
        plain.with_new_items(read_items(served, [row]), np.zeros((1, 4), np.float32))
    with pytest.raises(BadInputError, match="The model 'item_knn' knows no texts"):
        plain.with_texts(read_items(served, [row | {"item_id": "i1"}]), np.zeros((1, 4), np.float32))
    with pytest.raises(BadInputError, match="This model holds no text encoder"):
        put(plain, read_items(served, [row]))


@pytest.fixture
def store(tmp_path):
    return ItemStore.open(tmp_path / "shop.json")


def everything(model):
    return listed(model, Request(), k=1000).item_ids


def test_a_store_outlives_the_process(served, row, store):
    gone = str(served.item_ids[3])
    shrunk = store.remove(store.put(served, [row]), [gone])
    again = ItemStore.open(store.path).apply(served)
    for model in (shrunk, again):
        item_ids = everything(model)
        assert "fresh" in item_ids
        assert gone not in item_ids
    assert store.path.with_suffix(".db").is_file()
    assert not store.path.exists()


def test_what_is_not_stored_is_not_put(served, row, store, monkeypatch):
    """Applied and stored, or neither: where the disk is full, and where the call was given up before it was stored."""

    def full(*_):
        raise StateError("The state could not be written: disk is full", disk_full=True)

    with monkeypatch.context() as patched:
        patched.setattr(StateStore, "put", full)
        patched.setattr(StateStore, "remove", full)
        with pytest.raises(StateError, match="disk is full"):
            store.put(served, [row])
        with pytest.raises(StateError, match="disk is full"):
            store.remove(served, ["i1"])
    with pytest.raises(BadInputError, match="Unknown items: ghost"):
        store.remove(served, ["ghost"])
    assert (store.rows, store.removed, store.state.change) == ({}, set(), 0)
    assert served.removed is None


def test_an_item_that_was_removed_comes_back_when_it_is_put(served, row, store):
    put_first = store.put(served, [row])
    model = store.remove(put_first, ["fresh", "i3"])
    assert "fresh" not in everything(model)
    back = store.put(model, [row])
    item_ids = everything(back)
    assert "fresh" in item_ids
    assert "i3" not in item_ids
    assert "fresh" not in everything(model)  # the old one is as it was
    assert store.removed == {"i3"}
    assert ItemStore.open(store.path).apply(served).item_ids.tolist().count("fresh") == 1


def test_a_store_passes_over_what_another_model_no_longer_knows(served, row, store):
    store.state.put([row], 10)
    store.state.remove(["of another catalogue", "i1"])
    assert "i1" not in everything(store.apply(served))
    assert store.notes == []


def test_a_store_is_bounded(served, row, store, monkeypatch):
    monkeypatch.setattr(items_module, "MAX_ADDED", 2)
    model = store.put(served, [row | {"item_id": "a"}, row | {"item_id": "b"}])
    with pytest.raises(BadInputError, match="3 items added in all; at most 2: fit a model that knows them"):
        store.put(model, [row])
    store.put(model, [row | {"item_id": "b"}])
    assert list(store.rows) == ["a", "b"]


def test_each_process_sees_what_the_others_changed(served, row, store):
    other = ItemStore.open(store.path)
    ours, theirs = store.apply(served), other.apply(served)
    assert store.follow(ours) is None
    theirs = other.put(theirs, [row])
    ours = store.remove(ours, ["i1"])  # whose change stands behind one that is not yet seen
    ours, theirs = store.follow(ours), other.follow(theirs)
    for model, of_model in ((ours, store), (theirs, other)):
        item_ids = everything(model)
        assert "fresh" in item_ids
        assert "i1" not in item_ids
        assert of_model.follow(model) is None
    theirs = other.put(theirs, [row | {"item_id": "i1", "title": "Again"}])
    ours = store.follow(ours)
    assert "i1" in everything(ours)
    assert ours.known_metadata.titles[ours.item_indices(["i1"])[0]] == "Again"
    np.testing.assert_array_equal(ours.model.item_features, theirs.model.item_features)


def test_a_change_of_our_own_is_not_applied_again(served, row, store):
    model = store.put(store.apply(served), [row])
    assert store.follow(store.remove(model, ["fresh"])) is None


def test_the_file_of_before_is_imported_once(served, row, tmp_path):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"items": [row], "removed": ["i1"]}))
    for _ in range(2):
        store = ItemStore.open(path, "shop")
        assert store.rows == {"fresh": row}
        assert store.removed == {"i1"}
    model = store.remove(store.apply(served), ["fresh"])
    assert "fresh" not in everything(model)
    assert ItemStore.open(path, "shop").removed == {"i1", "fresh"}
    assert path.is_file()
    path.write_text("{")
    path.with_suffix(".db").unlink()
    with pytest.raises(BadInputError, match="cannot be read; restore it or delete it"):
        ItemStore.open(path)


def test_a_column_that_a_later_fit_lacks_is_set_aside_and_told(served, row, store):
    store.state.put([row | {"studio": "A"}, row | {"item_id": "second", "studio": "B", "budget": 3}], 10)
    assert {"fresh", "second"} <= set(everything(store.apply(served)))
    assert store.notes == [
        "1 stored items: column 'budget' is set aside, the model has none",
        "2 stored items: column 'studio' is set aside, the model has none",
    ]
    assert store.rows["fresh"]["studio"] == "A"  # kept, for a fit that has it
    assert store.description["notes"] == store.notes
    with pytest.raises(BadInputError, match="Unknown column 'studio'"):
        store.put(served, [row | {"studio": "A"}])


def test_stored_items_that_a_model_refuses_block_no_other(served, row, store, tables):
    store.state.put([row, row | {"item_id": "bad", "title": ["no text"]}, row | {"item_id": "third"}], 10)
    item_ids = everything(store.apply(served))
    assert {"fresh", "third"} <= set(item_ids)
    assert "bad" not in item_ids
    assert len(store.notes) == 1
    assert store.notes[0].startswith("The stored item 'bad' is set aside: title: ")
    plain = recommender_of(
        tables, build("item_knn", {}, 0).fit(tables.train_set), about=served.about, metadata=served.metadata
    )
    assert store.apply(plain).item_ids.tolist() == plain.item_ids.tolist()
    assert store.notes == ["3 stored items are set aside: the model 'item_knn' takes none in without a new fit"]


def test_what_a_later_fit_knows_is_as_that_fit_has_it(served, row, store, cold):
    """An item of the catalogue whose fit read it after it was put; one that it does not have, or read before, stays."""
    rows = [row, {"item_id": cold, "title": "Put by hand", "genre": "x"}]
    store.put(served, rows)
    put_at = store.state.read().items[0].put_at
    index = served.item_indices([cold])[0]

    def title(read_at):
        about = served.about if read_at is None else served.about | {CATALOGUE_READ_AT: read_at}
        model = store.apply(replace(served, about=about))
        assert "fresh" in everything(model)
        return model.known_metadata.titles[index]

    own = served.known_metadata.titles[index]
    assert title(None) == "Put by hand"
    assert title(put_at - 60) == "Put by hand"
    assert store.notes == []
    assert title(put_at + 60) == own
    assert store.notes == ["1 stored items are taken in: a later fit has them"]
    assert title(put_at - 60) == "Put by hand"  # an older version again: nothing was thrown away


def _rows(names, n):
    return [
        {"item_id": f"n{k}", "title": f"New {k}", "genre": names[k % len(names)], "year": 1990 + k} for k in range(n)
    ]


def test_items_put_in_one_call_or_in_many_are_the_same(served, names, known, cold):
    """To 1e-4: products of one row and of many are summed in another order."""
    rows = _rows(names, 7)
    one, many = put(served, read_items(served, rows)), served
    for row in rows:
        many = put(many, read_items(many, [row]))
    assert one.item_ids.tolist() == many.item_ids.tolist()
    np.testing.assert_array_equal(one.tie_rank, many.tie_rank)
    pd.testing.assert_frame_equal(one.known_metadata.table, many.known_metadata.table)
    ours, theirs = one.model.state(), many.model.state()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(theirs[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    for request in (Request(known), Request(history=["n3", "i7", cold]), Request(), Request(query=names[0])):
        ours, theirs = (scores_of(model, request).sort_index() for model in (one, many))
        pd.testing.assert_series_equal(ours, theirs, atol=1e-4, rtol=1e-4)


def test_an_item_that_joined_is_put_again_as_if_its_new_text_were_its_first(served, names, known):
    """What it says to others too: a history that holds it."""
    first, second = names[0], names[-1]
    again = put(served, read_items(served, [{"item_id": "a", "title": "T", "genre": first}]))
    for _ in range(3):
        again = put(again, read_items(again, [{"item_id": "a", "title": "T", "genre": second}]))
    fresh = put(served, read_items(served, [{"item_id": "a", "title": "T", "genre": second}]))
    assert again.item_ids.tolist() == fresh.item_ids.tolist()
    ours, theirs = again.model.state(), fresh.model.state()
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    request = Request(history=["a", "i7"])
    ours, theirs = (scores_of(model, request).sort_index() for model in (again, fresh))
    pd.testing.assert_series_equal(ours, theirs, atol=1e-4, rtol=1e-4)


def test_what_was_read_of_the_catalogue_is_handed_on_and_as_if_read_anew(served, names):
    metadata = served.known_metadata
    _ = metadata.titles, metadata.pieces, metadata.vocabulary, metadata.keywords, metadata.category_matrix
    grown = put(served, read_items(served, _rows(names, 3))).known_metadata
    anew = replace(grown)
    assert grown.vocabulary is metadata.vocabulary
    for name in ("titles", "pieces", "categories"):
        assert name in vars(grown)
        assert getattr(grown, name) == getattr(anew, name)
    np.testing.assert_array_equal(grown.category_matrix.toarray(), anew.category_matrix.toarray())
    other = put(served, read_items(served, [{"item_id": "o", "title": "O", "genre": "Unheard"}])).known_metadata
    assert "Unheard" in other.vocabulary.names
    assert other.category_matrix.shape[1] == len(metadata.vocabulary.names) + 1


def test_texts_lie_in_few_pieces_however_many_calls_there_were(served, names):
    metadata, row = served.known_metadata, read_items(served, _rows(names, 1))
    for _ in range(70):
        metadata = metadata.concat(row)
    assert metadata.table["title"].array._pa_array.num_chunks <= 64
    assert len(metadata.table) == len(served.item_ids) + 70


@pytest.fixture
def shared(monkeypatch, tmp_path):
    monkeypatch.setenv("TAILOR_STATE_URL", f"sqlite:///{tmp_path}/shared.db")
    monkeypatch.setattr(items_module, "_LOOK_S", 0.0)
    return tmp_path / "serving" / "shop.json"


def test_without_an_address_nothing_is_followed_and_the_log_says_so(served, monkeypatch, caplog):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    caplog.set_level("INFO")
    assert Following.of_environment(served) is None
    assert "State: none. Set TAILOR_STATE_URL" in caplog.text


def test_what_follows_lists_what_is_put_and_leaves_out_what_is_removed(served, row, shared, monkeypatch):
    store = ItemStore.open(shared, "shop")
    assert not shared.parent.exists()  # the address that the environment names, not the path
    ours = store.put(store.apply(served), [row])
    following = Following.of_environment(served)
    assert "fresh" in everything(following.model)
    store.remove(ours, ["fresh", "i1"])
    assert not {"fresh", "i1"} & set(everything(following.model))
    with monkeypatch.context() as patched:
        patched.setattr(ItemStore, "follow", lambda *_: (_ for _ in ()).throw(StateError("gone")))
        assert "i1" not in everything(following.model)  # as it was last


def test_of_several_models_one_must_be_named(served, row, shared, monkeypatch):
    with pytest.raises(BadInputError, match=r"TAILOR_STATE_MODEL: name the model .* the database has: none"):
        Following.of_environment(served)
    for name in ("shop", "books"):
        ItemStore.open(shared, name).put(served, [row | {"item_id": name}])
    with pytest.raises(BadInputError, match=r"TAILOR_STATE_MODEL: name the model .* the database has: books, shop"):
        Following.of_environment(served)
    named = replace(served, about=served.about | {REGISTERED_AS: "shop"})
    assert "shop" in everything(Following.of_environment(named).model)
    monkeypatch.setenv("TAILOR_STATE_MODEL", "books")
    assert "books" in everything(Following.of_environment(served).model)


def test_a_process_that_starts_encodes_only_what_no_other_has(served, row, store, monkeypatch):
    """Neither the item again, nor another text of it as the text of before."""
    second = row | {"item_id": "second", "title": "Second"}
    store.state.put([row, second], 10)
    encoded, encode = [], Planted.encode
    expected = store.apply(served)
    monkeypatch.setattr(Planted, "encode", lambda self, texts: encoded.append(texts) or encode(self, texts))
    again = ItemStore.open(store.path).apply(served)
    assert [len(texts) for texts in encoded] == [1]  # the text that tells encoders apart
    np.testing.assert_array_equal(again.model.item_features, expected.model.item_features)
    encoded.clear()
    store.state.put([row | {"title": "Other"}], 10)
    ItemStore.open(store.path).apply(served)
    assert len(encoded) == 2
    assert len(encoded[1]) == 1
    assert "Other" in encoded[1][0]
    monkeypatch.setattr(Planted, "encode", lambda self, texts: -encode(self, texts))
    turned = ItemStore.open(store.path).apply(served)
    np.testing.assert_allclose(turned.model.item_features[-2:], -again.model.item_features[-2:])


def test_embeddings_that_cannot_be_kept_stop_nothing(served, row, store, monkeypatch, caplog):
    store.state.put([row], 10)
    monkeypatch.setattr(StateStore, "keep_embeddings", lambda *_: (_ for _ in ()).throw(StateError("disk is full")))
    assert "fresh" in everything(store.apply(served))
    assert "Embeddings are not kept: disk is full" in caplog.text


def test_mlflow_s_model_leaves_out_what_was_removed_before_and_while_it_runs(served, shared, tmp_path):
    replace(served, encoder_of=None).save(tmp_path / "package")
    store, model = ItemStore.open(shared, "shop"), TailorModel()
    store.state.remove(["i1"])
    model.load_context(SimpleNamespace(artifacts={"recommender": str(tmp_path / "package")}))
    asked = pd.DataFrame({"candidates": [["i1", "i3"]]})
    assert model.predict(None, asked)["item_ids"].tolist() == [["i3"]]
    store.events.store.append([{"kind": "not_for_me", "user_id": "new", "item_id": "i3"}])
    assert model.predict(None, asked.assign(user_id="new"))["item_ids"].tolist() == [[]]
    assert model.predict(None, asked)["item_ids"].tolist() == [["i3"]]
    store.state.remove(["i3"])
    assert model.predict(None, asked)["item_ids"].tolist() == [[]]


def test_without_the_key_what_follows_goes_on_with_the_people_it_knew(served, shared, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(SUPPRESSION_KEY, "k" * 32)
    replace(served, encoder_of=None).save(tmp_path / "package")
    store, model = ItemStore.open(shared, "shop"), TailorModel()
    model.load_context(SimpleNamespace(artifacts={"recommender": str(tmp_path / "package")}))
    model.state._next = 0.0
    asked = pd.DataFrame({"candidates": [["i1", "i3"]]})
    store.suppressions.add(["somebody"])
    monkeypatch.delenv(SUPPRESSION_KEY)
    assert sorted(model.predict(None, asked)["item_ids"][0]) == ["i1", "i3"]
    assert "TAILOR_SUPPRESSION_KEY is not set" in caplog.text


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400", "9" * 400])
def test_a_number_without_end_is_refused(served, row, cell):
    with pytest.raises(BadInputError, match=r"year = '.*' is not a finite number"):
        read_items(served, [row | {"year": cell}])


def test_a_database_that_fails_sets_no_item_aside(served, row, tmp_path, monkeypatch):
    store = ItemStore(tmp_path / "items.db")
    store.put(served, [row])

    def fail(*_):
        raise StateError("The state could not be read")

    monkeypatch.setattr(StateStore, "embeddings", fail)
    with pytest.raises(StateError):
        ItemStore(tmp_path / "items.db").apply(served)


def test_a_new_category_is_no_part_of_what_was_read_before(served, row):
    _ = served.meaning
    same = put(served, read_items(served, [row]))
    other = put(served, read_items(served, [row | {"genre": "A genre that is new"}]))
    assert "meaning" in same.__dict__
    assert "meaning" not in other.__dict__
