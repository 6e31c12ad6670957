"""Lists: who gets one from what, what they leave out, and what the settings change."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tailor.errors import BadInputError
from tailor.serving import package
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import listed, scores_of, weights


@pytest.mark.parametrize(
    ("request_of", "path"),
    [
        (Request, "known_user"),
        (lambda user: Request(user, history=["ghost"]), "known_user"),
        (lambda user: Request(user, history=["i1"]), "fold_in"),
        (lambda _: Request("nobody", history=["i1", "i5"]), "fold_in"),
        (lambda _: Request("nobody"), "popular"),
        (lambda _: Request(history=["ghost"]), "popular"),
        (lambda _: Request(), "popular"),
        (lambda user: Request(user, query="before 1990"), "query"),
        (lambda _: Request(history=["i1"], query="before 1990"), "query"),
        (lambda user: Request(user, query="xyzzy"), "not_understood"),
        (lambda user: Request(user, query="  "), "known_user"),
    ],
)
def test_the_path_says_what_a_list_stands_on(served, known, request_of, path):
    answer = listed(served, request_of(known))
    assert answer.path == path
    assert len(answer.item_ids) == len(answer.scores) == len(answer.reasons) == 10
    assert answer.scores == sorted(answer.scores, reverse=True)


@pytest.mark.parametrize(
    ("request_of", "path"),
    [
        (lambda _: Request(profile={"cluster": 1}), "profile"),
        (lambda _: Request(profile={"cluster": "none of them"}), "popular"),
        (lambda _: Request(history=["i1"], profile={"cluster": 1}), "fold_in"),
        (lambda user: Request(user, profile={"cluster": 1}), "known_user"),
    ],
)
def test_the_path_of_who_tells_a_profile(by_profile, known, request_of, path):
    assert listed(by_profile, request_of(known)).path == path


def test_who_is_not_known_gets_the_popular_items(served, tables):
    counts = tables.items.set_index("item_id")["n_train"]
    assert counts[listed(served, Request(), k=5).item_ids].tolist() == counts.nlargest(5).tolist()


def test_a_known_user_equals_the_user_s_history(served, known, history):
    by_id, by_history = served.recommend([Request(known), Request(None, history)], Settings(k=10))
    assert by_id.item_ids == by_history.item_ids
    np.testing.assert_allclose(by_id.scores, by_history.scores, rtol=1e-4)


def test_exclude_seen(served, known, history):
    assert set(history) <= set(listed(served, Request(known), k=160, exclude_seen=False).item_ids)
    without = listed(served, Request(known), k=160).item_ids
    assert not set(history) & set(without)
    assert len(without) == 160 - len(history)  # fewer than k where the catalogue ends


def test_a_history_adds_to_what_is_known(served, known, history):
    new = next(item for item in served.item_ids if item not in history)
    answer = listed(served, Request(known, [new]), k=160)
    assert answer.path == "fold_in"
    assert not {new, *history} & set(answer.item_ids)


def test_unknown_items_are_counted(served):
    answers = served.recommend([Request(None, ["i1", "ghost", "ghost2"]), Request(None, ["ghost"])], Settings(k=3))
    assert [answer.unknown_history for answer in answers] == [2, 1]


def test_batch_equals_single(served, tables):
    requests = [Request(user) for user in tables.users["user_id"].head(30)]
    requests += [Request(None, ["i3"]), Request(), Request(query="anything"), Request("u1", ["i3"])]
    batch = served.recommend(requests, Settings(k=7), block_users=16)
    for request, answer in zip(requests, batch, strict=True):
        single = listed(served, request, k=7)
        assert (single.item_ids, single.path, single.reasons) == (answer.item_ids, answer.path, answer.reasons)
        np.testing.assert_allclose(single.scores, answer.scores, rtol=1e-4, atol=1e-5)


def test_lists_come_from_the_candidates_and_leave_out_what_is_excluded(served, known):
    every = listed(served, Request(known), k=160).item_ids
    wanted = every[10:20]
    asked = Request(known, candidates=[*wanted, "ghost"], exclude=wanted[:3])
    answer, rest = served.recommend([asked, Request(known)], Settings(k=160))
    assert answer.item_ids == wanted[3:]
    assert answer.unknown_candidates == 1
    assert rest.item_ids == every  # the other request of the call is not touched
    nothing = listed(served, Request(known, candidates=["ghost"]), k=5)
    assert (nothing.item_ids, nothing.reasons) == ([], [])
    assert listed(served, Request(known, exclude=["ghost"]), k=160).item_ids == every


def test_min_score_ends_the_list(served, known):
    full = listed(served, Request(known), k=20)
    cut = listed(served, Request(known), k=20, min_score=full.scores[7])
    assert cut.item_ids == full.item_ids[:8]


def test_boosts_add_what_they_say_to_what_they_name(served, known, tables):
    plain, bucket = scores_of(served, Request(known)), tables.items.set_index("item_id")["bucket"]
    for boost, lifted in (("tail_boost", "tail"), ("cold_boost", "cold")):
        gain = scores_of(served, Request(known), **{boost: 0.5}) - plain
        np.testing.assert_allclose(gain[bucket[gain.index] == lifted], 0.5, atol=1e-5)
        np.testing.assert_allclose(gain[bucket[gain.index] != lifted], 0, atol=1e-6)
    common = dict(zip(served.item_ids, served.model.population_score, strict=True))
    debiased = scores_of(served, Request(known), popularity_debias=0.5)
    np.testing.assert_allclose(debiased - plain[debiased.index], [-0.5 * common[i] for i in debiased.index], atol=1e-5)


def test_boosts_at_0_are_the_accuracy_ranking(served, known):
    """This model stands at 0."""
    zero = Settings(k=10, tail_boost=0.0, cold_boost=0.0, popularity_debias=0.0)
    assert served.recommend([Request(known)], zero)[0] == listed(served, Request(known))


def test_reasons_name_what_carried_a_score_most(served, tables):
    alone = replace(served, model=served.model.with_blend(weights(popular=1.0, cold_shift=0.0)))
    warm = tables.items["item_id"][tables.warm].tolist()
    assert set(listed(alone, Request(history=["i1", "i5"], candidates=warm)).reasons) == {"popular"}
    texts = replace(served, model=served.model.with_blend(weights(text_knn=1.0, cold_shift=0.0)))
    assert set(listed(texts, Request(history=["i1", "i5"], candidates=warm), k=5).reasons) == {"similar_text"}


def test_a_model_without_boosts_says_so(popular):
    with pytest.raises(BadInputError, match="tail_boost: the model 'popular' has no boosts, only the hybrid does"):
        listed(popular, Request(), tail_boost=0.5)


def test_any_model_can_be_served(popular, tables):
    answer = listed(popular, Request(), k=1)
    assert answer.item_ids == [tables.items["item_id"].iloc[int(tables.train_set.counts.argmax())]]
    assert answer.reasons == []


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda r: listed(r, Request(query="x")), "holds no item metadata"),
        (lambda r: listed(r, Request(filters={"categories": ["x"]})), "holds no item metadata: it cannot filter"),
        (lambda r: listed(r, Request(), rerank=rerank(0.3)), "rerank: this model holds no embeddings"),
        (lambda r: listed(r, Request(), min_exposure={"new": 1}), r"min_exposure: the model '\w+' knows no new"),
        (lambda r: listed(r, Request(), explain=True), "explain: the model 'popular' cannot be taken apart"),
        (lambda r: listed(r, Request(profile={"age": 3})), "Unknown profile field 'age'.*This model knows: none"),
        (lambda r: r.similar("i1"), "The model 'popular' has no factors and texts to compare items by"),
    ],
)
def test_what_a_model_cannot_do_is_refused_in_one_sentence(popular, ask, words):
    with pytest.raises(BadInputError, match=words):
        ask(popular)


def test_calls_are_bounded(served):
    with pytest.raises(BadInputError, match="10001 items in one request"):
        Request(None, ["i1"] * 10_001)
    with pytest.raises(BadInputError, match="100001 requests in one call; send at most 100000"):
        served.recommend([Request()] * 100_001)
    assert served.recommend([]) == []


def test_filters(served, genres, names):
    answer = listed(served, Request(filters={"categories": [names[1]], "year": {"min": 1990, "max": 1999}}), k=100)
    years = served.known_metadata.table.set_index("item_id")["year"]
    assert answer.item_ids
    assert {genres[i] for i in answer.item_ids} == {names[1]}
    assert years[answer.item_ids].between(1990, 1999).all()


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"categorys": ["x"]}, "Unknown filter 'categorys'. Did you mean 'categories'?"),
        ({"categories": ["nope"]}, "Unknown category 'nope'"),
        ({"categories": 3}, "a name or a list of names is needed"),
        ({"year": 1990}, "Filter year = 1990: write"),
        ({"year": {"min": "x"}}, "min and max must be numbers"),
        ({"year": {"least": 3}}, "Filter year"),
    ],
)
def test_bad_filters_are_refused_by_name(served, filters, words):
    with pytest.raises(BadInputError) as refused:
        listed(served, Request(filters=filters))
    assert words in str(refused.value)


def test_weights_are_confidences(served):
    ids = [str(item) for item in served.item_ids[:3]]
    one = listed(served, Request(history=ids, weights=[1, 1, 1]))
    assert one.scores == listed(served, Request(history=ids)).scores
    assert listed(served, Request(history=ids, weights=[5, 1, 1])).scores != one.scores
    # The last item counts 1, the one before it .5 ** (1 / half_life).
    by_hand = listed(served, Request(history=ids, weights=[0.25, 0.5, 1]))
    np.testing.assert_allclose(listed(served, Request(history=ids), half_life=1.0).scores, by_hand.scores, rtol=1e-5)


def test_the_latest_item_is_what_is_left_of_a_history_that_fades_at_once(served):
    """0.5 ** (4 / 1e-4) is no number of the machine any more: the oldest items are known, and weigh nothing."""
    ids = ["i0", "i1", "i2", "i3", "i4"]
    answer = listed(served, Request(history=ids), half_life=1e-4)
    assert len(answer.item_ids) == 10
    assert np.isfinite(answer.scores).all()
    assert answer.path == "fold_in"
    assert not set(ids) & set(answer.item_ids)
    least = listed(served, Request(history=ids, weights=[1e-30] * 4 + [1]))
    assert answer.item_ids == least.item_ids
    np.testing.assert_allclose(answer.scores, least.scores, rtol=1e-5)


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_rerank_varies_a_list_and_0_is_the_list(served, known, method):
    plain, *same = (
        listed(served, Request(known), rerank=off) for off in (None, rerank(0.0, method), rerank(0.7, "none"))
    )
    assert same == [plain, plain]
    varied = listed(served, Request(known), rerank=rerank(0.7, method))

    def likeness(answer):
        rows = served.item_features[served.item_indices(answer.item_ids)]
        return (rows @ rows.T).mean()

    assert likeness(varied) < likeness(plain)


def rerank(strength, method="mmr"):
    return {"method": method, "strength": strength}


def of_buckets(served, answer):
    rows = served.item_indices(answer.item_ids)
    return int((~served.model.warm)[rows].sum()), int(served.model.tail[rows].sum())


@pytest.mark.parametrize("settings", [{}, {"rerank": {"method": "mmr", "strength": 0.3}}, {"cold_boost": 0.0}])
def test_places_are_kept_for_new_and_tail_items(served, known, settings):
    """The best-scored ones; every other item of the list was on it before, in the same order."""
    plain = listed(served, Request(known), k=20, **settings)
    new, tail = of_buckets(served, plain)
    answer = listed(served, Request(known), k=20, min_exposure={"new": new + 2, "tail": tail + 3}, **settings)
    assert of_buckets(served, answer) == (new + 2, tail + 3)
    stayed = [item for item in plain.item_ids if item in answer.item_ids]
    assert answer.item_ids[: len(stayed)] == stayed
    if "rerank" not in settings:
        assert answer.scores == sorted(answer.scores, reverse=True)
    assert listed(served, Request(known), k=20, min_exposure={"new": new, "tail": tail}, **settings) == plain


def test_places_are_kept_by_a_scenario_and_of_shorter_lists_in_proportion(served, known):
    new = of_buckets(served, listed(served, Request(known), k=10))[0] + 2
    minimum = {"new": 2 * new + 1}  # of 20: half of one more is rounded down
    by_hand = listed(served, Request(known), k=10, min_exposure=minimum)
    assert of_buckets(served, by_hand)[0] == new
    model = replace(served, about=served.about | {"scenarios": {"fresh": {"min_exposure": minimum}}})
    assert listed(model, Request(known), k=10, scenario="fresh") == by_hand


def test_what_must_not_be_listed_fills_no_place(served, known):
    new = np.flatnonzero(~served.model.warm)
    allowed = [str(item) for item in served.item_ids[np.r_[np.flatnonzero(served.model.warm), new[:1]]]]
    answer = listed(served, Request(known, candidates=allowed), k=20, min_exposure={"new": 3}, cold_boost=0.0)
    assert of_buckets(served, answer)[0] == 1


def test_a_list_is_chosen_from_the_pool_even_if_it_is_longer(served, known):
    answer = listed(served, Request(known), k=100, rerank={"method": "mmr", "strength": 0.3})
    assert len(answer.item_ids) == len(set(answer.item_ids)) == 100


def test_similar_items_share_a_genre(served, genres):
    item_ids, scores = served.similar(str(served.item_ids[0]), 5)
    assert str(served.item_ids[0]) not in item_ids
    assert scores == sorted(scores, reverse=True)
    assert genres[item_ids[0]] == genres[served.item_ids[0]]
    assert item_ids[0] not in served.without_items([item_ids[0]]).similar(str(served.item_ids[0]), 5)[0]
    with pytest.raises(BadInputError, match="Unknown item 'ghost'"):
        served.similar("ghost")


def test_a_scenario_fills_in_what_a_request_leaves_open(served, names):
    scenarios = {"drama": {"filters": {"categories": [names[0]]}, "rerank": rerank(1.0)}}
    model = replace(served, about=served.about | {"scenarios": scenarios})
    asked = Request(history=["i1", "i2"])
    by_hand = Request(history=asked.history, filters={"categories": [names[0]]})
    answer = listed(model, asked, k=8, scenario="drama")
    assert answer == listed(model, by_hand, k=8, rerank=rerank(1.0))
    assert answer != listed(model, by_hand, k=8)
    assert listed(model, asked, k=8, scenario="drama", rerank=rerank(0.0)) == listed(model, by_hand, k=8)
    other = Request(history=asked.history, filters={"categories": [names[1]]})
    assert listed(model, other, k=8, scenario="drama", rerank=rerank(0.0)) == listed(model, other, k=8)
    with pytest.raises(BadInputError, match=r"Unknown scenario 'drma'. Did you mean 'drama'\? This model has: drama"):
        listed(model, asked, scenario="drma")


def test_words_are_the_reason_where_they_say_more_than_any_source(served, names, history):
    assert listed(served, Request(query=names[0]), k=5).reasons == ["category"] * 5
    # The encoder reads the genre within the word; the vocabulary does not. Of the most popular items that says less.
    assert listed(served, Request(query=f"x{names[0]}x"), k=5).reasons[-2:] == ["query", "query"]
    assert not {"query", "category"} & set(listed(served, Request(history=history, query="unknown words"), k=5).reasons)


def test_an_encoder_that_is_loaded_is_handed_on_and_one_that_is_not_is_not_loaded(served):
    loaded = []
    fresh = replace(served, encoder_of=lambda: loaded.append("encoder") or served.encoder)
    smaller = fresh.without_items(["i1"])
    assert loaded == []
    assert smaller.encoder is served.encoder
    smallest = smaller.without_items(["i2"])
    assert smallest.encoder is smaller.encoder
    assert loaded == ["encoder"]


@dataclass
class _Saves:
    """Writes one file."""

    name: str

    def save(self, folder: Path, weights: str = "") -> None:
        folder.mkdir(parents=True)
        (folder / self.name).write_text(weights)


def test_both_encoders_are_written_where_there_are_any(served, tmp_path):
    both = replace(served, encoder_of=lambda: _Saves("encoder"), student=_Saves("student"))
    both.save(tmp_path / "both", "int8")
    assert (tmp_path / "both" / package.ENCODER / "encoder").read_text() == "int8"
    assert (tmp_path / "both" / package.STUDENT / "student").exists()
    replace(served, encoder_of=None).save(tmp_path / "none")
    assert not (tmp_path / "none" / package.ENCODER).exists()
    assert not (tmp_path / "none" / package.STUDENT).exists()


def test_twenty_similar_items_unless_told(served):
    ids, scores = served.similar(str(served.item_ids[0]))
    assert len(ids) == len(scores) == 20


def test_the_longest_wish_that_is_read(served):
    assert served.recommend([Request(query="x" * 500)], Settings(k=1))
    with pytest.raises(BadInputError, match="query: 501 characters; send at most 500"):
        served.recommend([Request(query="x" * 501)], Settings(k=1))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_are_finite(value):
    with pytest.raises(BadInputError, match="is not a finite number"):
        Request(history=["a"], weights=[value])
