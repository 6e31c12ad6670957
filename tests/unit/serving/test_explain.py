"""Explanations: what is named adds up to what it explains."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.hybrid.scorer import HybridScorer
from tailor.serving.explain import MAX_EXPLAINED
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import listed, scores_of, weights

#: Rounded to four places, eight sources and the rest.
ROUNDING = 9 * 0.5e-4


def total(entry):
    return sum(entry["sources"].values()) + entry["other"]


@pytest.fixture(scope="module")
def mixed(served):
    """Every source weighs something, cold items are shifted, and short histories have weights of their own."""
    few_shot = ((0, {"popular": 1.0}), (2, {"text_knn": 0.6, "popular": 0.4}))
    blend = weights(few_shot, 0.3, ials=0.3, text_factors=0.1, ease=0.2, slit=0.1, text_knn=0.2, popular=0.1)
    blend = replace(blend, warm=replace(blend.warm, bias=0.2, by_popularity=blend.warm.base * 0.1))
    return replace(served, model=served.model.with_blend(blend))


@pytest.mark.parametrize(
    "boosts",
    [{}, {"tail_boost": 0.7}, {"cold_boost": 0.4}, {"popularity_debias": 0.3}, {"tail_boost": 1, "cold_boost": 1}],
)
@pytest.mark.parametrize("request_of", [Request, lambda _: Request(history=["i1", "i5"]), lambda _: Request()])
def test_sources_and_the_rest_add_up_to_the_score_that_is_served(mixed, tables, known, boosts, request_of):
    """Head, tail and cold items, at the boosts of the request."""
    by_bucket = tables.items.groupby("bucket")["item_id"]
    candidates = [item for _, ids in by_bucket for item in ids.head(6)]
    asked = request_of(known).model_copy(update={"candidates": tuple(candidates)})
    answer = listed(mixed, asked, k=20, exclude_seen=False, explain=True, **boosts)
    assert len(answer.explanations) == len(answer.item_ids) >= 15
    plain = scores_of(mixed, request_of(known), **boosts)
    for item, score, entry in zip(answer.item_ids, answer.scores, answer.explanations, strict=True):
        assert score == pytest.approx(plain[item], abs=1e-5)
        assert total(entry) == pytest.approx(score, abs=ROUNDING)
        assert set(entry["sources"]) == set(mixed.model.source_names)


def test_beside_words_they_add_up_to_the_score_before_words(mixed, known, names):
    before = scores_of(mixed, Request(known))
    answer = listed(mixed, Request(known, query=f"{names[0]} stories"), explain=True)
    for item, score, entry in zip(answer.item_ids, answer.scores, answer.explanations, strict=True):
        assert total(entry) == pytest.approx(before[item], abs=ROUNDING)
        assert total(entry) != pytest.approx(score, abs=0.01)
        assert set(entry["query"]) == {names[0], "stories"}


def test_what_no_source_says_is_the_rest(mixed, tables, known):
    """Of a cold item: the shift and the boost's share; of a tail item: its boost beside the bias."""
    bucket = tables.items.set_index("item_id")["bucket"]
    for name, expected in (("cold", 0.3 + 0.5), ("tail", None)):
        item = bucket.index[bucket == name][0]
        settings = {"exclude_seen": False, "explain": True, "cold_boost": 0.5, "tail_boost": 0.4}
        (entry,) = listed(mixed, Request(known, candidates=[item]), **settings).explanations
        bias = 0.2 * mixed.model.popularity[mixed.item_indices([item])[0]]
        assert entry["other"] == pytest.approx(0.4 + bias if expected is None else expected, abs=2 * ROUNDING)


def test_history_names_the_items_with_the_largest_shares(mixed, known, history):
    """Of the factors' score, which is their exact sum."""
    asked = Request(history=history[:4], candidates=["i90"])
    (entry,) = listed(mixed, asked, exclude_seen=False, explain=True).explanations
    assert set(entry["history"]) == set(history[:4])
    answer = listed(mixed, Request(known), k=3, explain=True)
    for entry in answer.explanations:
        shares = np.abs(list(entry["history"].values()))
        assert 1 <= len(shares) <= 5
        assert shares.tolist() == sorted(shares, reverse=True)
        assert set(entry["history"]) <= set(history)


def test_the_shares_of_a_short_history_sum_to_the_score_of_the_factors(mixed, history):
    alone = replace(mixed, model=mixed.model.with_blend(weights(ials=1.0, cold_shift=0.0)))
    asked = Request(history=history[:4], candidates=["i90"])
    (entry,) = listed(alone, asked, exclude_seen=False, explain=True).explanations
    ials = alone.model.sources["ials"]
    batch = alone._read([asked], Settings())
    assert sum(entry["history"].values()) == pytest.approx(ials.score(batch.query)[0, 90], abs=4e-4)


def test_the_words_of_an_item_s_text_are_what_its_score_loses_without_them(served, known):
    """The title says nothing to this encoder, the genre everything: w_text p·(e - 0) / σ_text."""
    answer = listed(served, Request(known), explain=True)
    for entry in answer.explanations:
        assert len(entry["words"]) == 2
        title, genre = entry["words"].values()
        assert title == pytest.approx(0, abs=1e-6)
        assert genre != 0


def test_the_words_of_a_query_are_what_its_nearness_loses_without_them(served, names):
    """The genre is the whole direction, the other words are none of it."""
    answer = listed(served, Request(query=f"xyzzy {names[0]}"), explain=True)
    for item, entry in zip(answer.item_ids, answer.explanations, strict=True):
        assert list(entry["query"]) == ["xyzzy", names[0]]
        vector = served.item_features[served.item_indices([item])[0]]
        cosine = float(vector @ served.encoder.encode([names[0]])[0])
        assert entry["query"]["xyzzy"] == pytest.approx(0, abs=1e-4)
        assert entry["query"][names[0]] == pytest.approx(cosine, abs=1e-4)
    negated = listed(served, Request(query=f"no {names[0]}"), explain=True)
    assert all(entry["query"] == {} for entry in negated.explanations)


def test_only_the_first_items_of_a_long_list_are_explained(served):
    answer = listed(served, Request(history=["i1"]), k=50, explain=True)
    assert len(answer.item_ids) == 50
    assert len(answer.explanations) == MAX_EXPLAINED
    assert listed(served, Request(candidates=["ghost"]), explain=True).explanations == []
    assert listed(served, Request(history=["i1"])).explanations == []


def test_without_an_encoder_there_are_no_words(served):
    (entry, *_) = listed(replace(served, encoder_of=None), Request(history=["i1"]), explain=True).explanations
    assert set(entry) == {"sources", "other", "history"}
    assert isinstance(served.model, HybridScorer)
