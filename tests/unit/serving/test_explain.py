"""Explanations: what is named adds up to what it explains."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.hybrid.scorer import HybridScorer
from tailor.serving.explain import MAX_EXPLAINED
from tailor.serving.schema import Request
from tests.unit.serving.conftest import listed, scores_of, weights

#: What a sum of parts may be off by.
EXACT = 1e-4


def total(entry):
    return sum(entry["sources"].values()) + sum(entry["parts"].values())


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
        assert total(entry) == pytest.approx(score, abs=EXACT)
        assert set(entry["sources"]) == set(mixed.model.source_names)


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({"user_id": "known"}, {}),
        ({"history": ("i1", "i5"), "query": "{genre} stories"}, {}),
        ({"user_id": "known", "query": "{genre} stories"}, {"tail_boost": 0.7, "cold_boost": 1.0}),
        ({"query": "something, no {genre}"}, {}),
        ({"query": "{genre}"}, {"popularity_debias": 0.3}),
        ({"user_id": "known", "exclude": ("i1", "i2", "i3")}, {}),
        ({"user_id": "known"}, {"scenario": "late"}),
        ({"history": ("i1", "i5", "i9"), "weights": (1.0, 2.0, 0.5)}, {"half_life": 2.0}),
        ({"user_id": "known", "query": "{genre}"}, {"rerank": {"method": "mmr", "strength": 0.3}}),
    ],
)
def test_the_parts_of_every_kind_of_answer_add_up_to_the_score_that_is_shown(mixed, known, names, asked, settings):
    """Words, boosts, scenarios and re-ranking included; cold items are on the lists with a boost."""
    scenarios = {"late": {"tail_boost": 0.4, "half_life": 3.0}}
    model = replace(mixed, about=mixed.about | {"scenarios": scenarios})
    given = asked | {"user_id": known} if "user_id" in asked else dict(asked)
    if "query" in given:
        given["query"] = given["query"].format(genre=names[0])
    answer = listed(model, Request(**given), k=20, explain=True, **settings)
    assert len(answer.explanations) == 20
    for score, entry in zip(answer.scores, answer.explanations, strict=True):
        assert total(entry) == pytest.approx(score, abs=EXACT)
        assert ("query" in entry["parts"]) == ("query" in given)


def test_beside_words_the_user_s_own_part_shrinks_by_one_factor(mixed, known, names):
    """n / (n + 5) of the standardised score: every part but the words' is divided by the same deviation."""
    request = Request(known, query=f"{names[0]} stories")
    alone = listed(mixed, Request(known), k=20, explain=True)
    request = request.model_copy(update={"candidates": tuple(alone.item_ids)})
    answer = listed(mixed, request, k=20, explain=True)
    plain = scores_of(mixed, Request(known))
    n = len(mixed.histories.history[mixed.users.index(known)].indices)
    slope = n / (n + 5) / plain.std(ddof=0)
    before = dict(zip(alone.item_ids, alone.explanations, strict=True))
    for item, entry in zip(answer.item_ids, answer.explanations, strict=True):
        for name, part in before[item]["sources"].items():
            assert entry["sources"][name] == pytest.approx(slope * part, abs=1e-5)
        assert entry["parts"]["centring"] == pytest.approx(-slope * plain.mean(), abs=1e-5)
        assert set(entry["query"]) == {names[0], "stories"}


def test_what_no_source_says_has_names(mixed, tables, known):
    """Of a cold item: the shift and the boost's share; of a tail item: its boost beside the bias."""
    bucket = tables.items.set_index("item_id")["bucket"]
    for name in ("cold", "tail"):
        item = bucket.index[bucket == name][0]
        settings = {"exclude_seen": False, "explain": True, "cold_boost": 0.5, "tail_boost": 0.4}
        (entry,) = listed(mixed, Request(known, candidates=[item]), **settings).explanations
        bias = 0.2 * mixed.model.popularity[mixed.item_indices([item])[0]]
        of_cold, of_tail = {"cold_shift": 0.3, "cold_boost": 0.5}, {"popularity_bias": bias, "tail_boost": 0.4}
        assert entry["parts"] == pytest.approx(of_cold if name == "cold" else of_tail, abs=1e-5)


def test_a_list_that_popularity_carries_is_because_of_nothing(mixed, tables, known):
    """Its weight 20 to 1: no history item is named, whatever its shares; the history's weight 1: one always is."""
    of_popularity = replace(mixed, model=mixed.model.with_blend(weights(popular=1.0, ials=0.02, cold_shift=0.0)))
    warm = tables.items["item_id"][tables.warm].tolist()
    answer = listed(of_popularity, Request(known, candidates=warm), explain=True)
    assert answer.path == "popular"
    assert all("because_of" not in entry and entry["history"] for entry in answer.explanations)
    assert all(entry["history_share"] < 0.3 for entry in answer.explanations)
    of_history = replace(mixed, model=mixed.model.with_blend(weights(ease=1.0, cold_shift=0.0)))
    answer = listed(of_history, Request(known, candidates=warm), explain=True)
    assert answer.path == "known_user"
    for entry in answer.explanations:
        because = entry["because_of"]
        assert (because["source"], because["reason"], because["estimated"]) == ("ease", "taken_together", False)
        assert because["items"][0] == next(iter(entry["history"]))


def test_history_names_the_items_with_the_largest_shares(mixed, known, history):
    """Over all sources that read the history."""
    asked = Request(history=history[:4], candidates=["i90"])
    (entry,) = listed(mixed, asked, exclude_seen=False, explain=True).explanations
    assert set(entry["history"]) == set(history[:4])
    answer = listed(mixed, Request(known), k=3, explain=True)
    for entry in answer.explanations:
        shares = np.abs(list(entry["history"].values()))
        assert 1 <= len(shares) <= 5
        assert shares.tolist() == sorted(shares, reverse=True)
        assert set(entry["history"]) <= set(history)


def test_the_shares_of_a_short_history_sum_to_the_parts_of_its_sources(mixed, history):
    (entry,) = listed(
        mixed, Request(history=history[:4], candidates=["i90"]), exclude_seen=False, explain=True
    ).explanations
    of_history = sum(entry["sources"][name] for name in ("ials", "text_factors", "ease", "slit", "text_knn"))
    assert sum(entry["history"].values()) == pytest.approx(of_history, abs=EXACT)


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


def test_a_long_query_is_left_out_in_eight_parts(served, names, monkeypatch):
    """What an answer costs does not grow with the words: 1 + 8 texts. No word is lost, and the order stays."""
    words, texts, encode = [*(f"xyzzy{number}" for number in range(29)), names[0]], [], type(served.encoder).encode
    monkeypatch.setattr(type(served.encoder), "encode", lambda self, each: texts.append(each) or encode(self, each))
    (entry, *_) = listed(served, Request(query=" ".join(words)), explain=True).explanations
    assert " ".join(entry["query"]).split() == words
    assert {len(part.split()) for part in entry["query"]} == {3, 4}
    assert [len(each) for each in texts if each[0] == " ".join(words)][-1] == 9


def test_equal_words_of_a_query_are_told_by_their_sum(served, names, monkeypatch):
    """To an encoder that counts, each of three equal words adds one direction, and the genre nothing."""
    direction = served.encoder.encode([names[0]])[0]
    query = f"xyzzy {names[0]} xyzzy xyzzy"
    served.recommend([Request(query=query)])

    def counting(_, texts):
        return np.array([text.split().count("xyzzy") * direction for text in texts], np.float32)

    monkeypatch.setattr(type(served.encoder), "encode", counting)
    answer = listed(served, Request(query=query), explain=True)
    for item, entry in zip(answer.item_ids, answer.explanations, strict=True):
        vector = served.item_features[served.item_indices([item])[0]]
        assert entry["query"] == pytest.approx({"xyzzy": 3 * float(vector @ direction), names[0]: 0}, abs=1e-4)


def test_only_the_first_items_of_a_long_list_are_explained(served):
    answer = listed(served, Request(history=["i1"]), k=50, explain=True)
    assert len(answer.item_ids) == 50
    assert len(answer.explanations) == MAX_EXPLAINED
    assert listed(served, Request(candidates=["ghost"]), explain=True).explanations == []
    assert listed(served, Request(history=["i1"])).explanations == []


def test_without_an_encoder_there_are_no_words(served):
    (entry, *_) = listed(replace(served, encoder_of=None), Request(history=["i1"]), explain=True).explanations
    assert set(entry) - {"because_of"} == {"sources", "parts", "history", "history_share"}
    assert isinstance(served.model, HybridScorer)
