"""Items with pictures where a model is served: they come with a vector or without, and are explained by it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.data.item_vectors import join_parts, parts_of, unit_part
from tailor.errors import BadInputError
from tailor.hybrid.config import ColdItemOptions, HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.hybrid.sources import SOURCES
from tailor.serving.http import ItemsBody
from tailor.serving.items import ItemStore, put, read_items
from tailor.serving.recommender import VECTORS, Recommender
from tailor.serving.schema import Request
from tests.unit.serving.conftest import FAST, listed, scores_of, weights

WIDTH = 3
PARTS = {"text": 4, "vector_image": WIDTH}


@pytest.fixture(scope="module")
def pictures(tables, planted):
    """The number of the cluster, in three numbers."""
    cluster = planted.item_cluster[tables.items["item_id"]].to_numpy()
    corners = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 2.0, 2.0]])
    return corners[cluster]


@pytest.fixture(scope="module")
def seen(served, tables, pictures):
    """The served model, fitted on texts and pictures; every tenth item lacks its picture."""
    cells = pd.Series([None if row % 10 == 9 else vector.tolist() for row, vector in enumerate(pictures)])
    centre = np.stack([cell for cell in cells if cell is not None]).mean(axis=0).astype(np.float32)
    features = join_parts([tables.features, parts_of(cells, centre)])
    config = HybridConfig(
        sources={name: FAST.get(name, {}) for name in SOURCES},
        cold_items=ColdItemOptions(dimensions=PARTS, weights={"text": 0.25, "vector_image": 0.75}),
    )
    model = Hybrid(config, 0, weights(ials=0.7, text_knn=0.3)).fit(tables.train_set.with_features(features))
    return replace(served, model=model, about=served.about | {VECTORS: {"vector_image": centre.tolist()}})


def row(pictures, item=0, **cells):
    return {"item_id": "fresh", "title": "Fresh", "vector_image": pictures[item].tolist()} | cells


def test_an_item_that_comes_with_its_picture_alone_is_placed_by_it(seen, pictures, known, planted):
    """Its text has no word that the encoder knows."""
    own = int(planted.user_cluster[known])
    scores = [scores_of(put(seen, read_items(seen, [row(pictures, k)])), Request(known))["fresh"] for k in range(4)]
    assert int(np.argmax(scores)) == own
    assert max(scores) - sorted(scores)[-2] > 0.3


def test_a_twin_of_an_item_of_the_fit_has_its_embedding(seen, pictures, genres):
    item = 4
    cells = {"genre": genres[f"i{item}"], "title": "x"}
    grown = put(seen, read_items(seen, [row(pictures, item, **cells)]))
    np.testing.assert_allclose(
        unit_part(grown.item_features[-1:], slice(4, 7)), unit_part(seen.item_features[[item]], slice(4, 7)), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.norm(grown.item_features, axis=1), 1, rtol=1e-5)


def test_an_item_without_a_picture_is_its_text(seen, names, known):
    grown = put(seen, read_items(seen, [{"item_id": "fresh", "title": "Fresh", "genre": names[0]}]))
    assert not grown.item_features[-1, 4:].any()
    assert np.linalg.norm(grown.item_features[-1]) == pytest.approx(1, rel=1e-5)
    assert np.isfinite(scores_of(grown, Request(known))).all()


def test_an_item_that_is_put_again_keeps_its_picture(seen, names, pictures):
    item = seen.item_ids[0]
    again = put(seen, read_items(seen, [{"item_id": item, "title": "Other", "genre": names[1]}]))
    place = slice(4, 7)
    np.testing.assert_allclose(
        unit_part(again.item_features[:1], place), unit_part(seen.item_features[:1], place), rtol=1e-5
    )
    assert np.abs(again.item_features[0, :4] - seen.item_features[0, :4]).max() > 0.1
    moved = put(seen, read_items(seen, [row(pictures, 1, item_id=item)]))
    assert np.abs(unit_part(moved.item_features[:1], place) - unit_part(seen.item_features[:1], place)).max() > 0.1


def test_words_find_an_item_alike_with_a_picture_or_without(seen, names):
    np.testing.assert_allclose(np.linalg.norm(seen.word_features, axis=1), 1, rtol=1e-5)
    assert seen.word_features.shape[1] == PARTS["text"]


def test_without_vectors_words_read_the_embeddings_as_they_are(served):
    assert served.word_features is served.item_features
    assert served.parts.names == []


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ([1.0], "vector_image = .1.0.: 1 numbers; this catalogue's have 3 numbers. Send as many, or leave it out."),
        ("cat.jpg", "vector_image = cat.jpg: no list of finite numbers; this catalogue's have 3 numbers"),
    ],
)
def test_a_vector_that_does_not_fit_is_one_sentence(seen, cell, sentence):
    with pytest.raises(BadInputError, match=sentence):
        read_items(seen, [{"item_id": "fresh", "title": "Fresh", "vector_image": cell}])


def test_a_catalogue_without_vectors_takes_none(served):
    with pytest.raises(BadInputError, match="Unknown column 'vector_image'"):
        read_items(served, [{"item_id": "fresh", "title": "Fresh", "vector_image": [1.0]}])


def test_http_takes_lists_of_numbers():
    row = {"item_id": "fresh", "vector_image": [0.5, 1, -2.0], "year": 2001, "title": None}
    assert ItemsBody.model_validate({"items": [row]}).items == [row]


def test_added_items_have_their_pictures_after_a_restart(seen, pictures, known, tmp_path):
    store = ItemStore.open(tmp_path / "items.json")
    before = store.put(seen, [row(pictures)])
    after = ItemStore.open(tmp_path / "items.json").apply(seen)
    np.testing.assert_array_equal(after.item_features, before.item_features)


def test_a_package_keeps_parts_and_weights(seen, pictures, tmp_path, known):
    seen.save(tmp_path / "package")
    loaded = replace(Recommender.load(tmp_path / "package"), encoder_of=seen.encoder_of, no_encoder="")
    assert loaded.parts.names == ["vector_image"]
    one, other = (scores_of(put(model, read_items(model, [row(pictures)])), Request(known)) for model in (seen, loaded))
    np.testing.assert_allclose(other[one.index], one, atol=1e-5)


def test_explanations_of_new_items_name_the_part_that_says_most(seen, pictures, known, planted):
    own = int(planted.user_cluster[known])
    grown = put(seen, read_items(seen, [row(pictures, own, genre=None)]))
    candidates = ("fresh", *seen.item_ids[:4])
    answer = listed(grown, Request(known, candidates=candidates), explain=True, exclude_seen=False)
    by_id = dict(zip(answer.item_ids, answer.explanations, strict=True))
    assert by_id["fresh"]["says_most"] == "vector_image"
    assert by_id["fresh"]["item_parts"]["vector_image"] > 0
    assert all(
        "item_parts" not in entry for item, entry in by_id.items() if grown.model.warm[grown.item_indices([item])]
    )


def test_both_parts_of_a_new_item_are_said(seen, pictures, known, planted, genres):
    own = int(planted.user_cluster[known])
    genre = genres[f"i{own}"]
    grown = put(
        seen, read_items(seen, [row(pictures, own, genre=genre), {**row(pictures, own), "item_id": "textless"}])
    )
    answer = listed(grown, Request(known, candidates=("fresh", "textless")), explain=True)
    by_id = dict(zip(answer.item_ids, answer.explanations, strict=True))
    assert set(by_id["fresh"]["item_parts"]) == {"text", "vector_image"}
    assert set(by_id["textless"]["item_parts"]) == {"vector_image"}


def test_explanations_of_a_catalogue_without_vectors_name_no_part(served, known):
    answer = listed(served, Request(known), explain=True)
    assert not any("item_parts" in entry or "says_most" in entry for entry in answer.explanations)
