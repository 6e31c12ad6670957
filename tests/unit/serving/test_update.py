"""New interactions in a served model: exact steps, close to a fit of everything; drift."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.data.ids import IdMap
from tailor.data.interactions import binary
from tailor.data.item_times import ItemTimes
from tailor.errors import BadInputError
from tailor.evaluation.drift import interpret_psi, psi, psi_by_chance
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Query, TrainSet
from tailor.models.registry import build
from tailor.serving.events import EventOptions, as_interactions
from tailor.serving.items import ItemStore
from tailor.serving.schema import Request, Settings
from tailor.serving.update import drift, grown, joined, with_events, with_interactions
from tailor.state.events import Event
from tests.conftest import by_source
from tests.unit.serving.conftest import hybrid, listed, recommender_of

IALS = {"factors": 8, "iterations": 16, "lambda_item_feature": 1.0}
OPTIONS = {"ials": IALS, "ease": {"regularization": 20.0, "text_pull": 20.0}, "slit": {"regularization": 20.0}}
BLEND = BlendWeights(
    tuple(SOURCES),
    BlendModel(by_source(ials=0.4, ease=0.2, slit=0.2, text_knn=0.1, popular=0.1)),
    (),
    by_source(ials=1),
)


@pytest.fixture(scope="module")
def served(tables):
    return recommender_of(tables, hybrid(BLEND, OPTIONS).fit(tables.train_set), about={"fit_on": "train", "seed": 0})


@pytest.fixture(scope="module")
def rows(tables):
    """The validation rows, and those of new users."""
    return tables.interactions.query("split in ['validation', 'new_user']")[["user_id", "item_id", "timestamp"]]


@pytest.fixture(scope="module")
def update(served, rows):
    return with_interactions(served, rows, sweeps=1)


def test_psi_by_hand():
    expected, actual = np.repeat([0.0, 1.0], [6, 4]), np.repeat([0.0, 1.0], [3, 7])
    assert psi(expected, actual, 2) == pytest.approx((0.3 - 0.6) * np.log(0.3 / 0.6) + (0.7 - 0.4) * np.log(0.7 / 0.4))
    assert psi(expected, expected) == 0
    assert psi(expected, np.array([])) == 0
    assert [interpret_psi(value) for value in (0.0, 0.1, 0.25)] == ["stable", "moved", "shifted"]


def test_psi_grows_with_the_shift():
    rng = np.random.default_rng(0)
    values = [psi(rng.normal(size=20_000), rng.normal(shift, size=20_000)) for shift in (0.0, 0.2, 1.0)]
    assert [interpret_psi(value) for value in values] == ["stable", "stable", "shifted"]
    assert values[0] < 0.01 < values[1]


def test_a_converged_factorization_stays_where_it_is(tables):
    """At the optimum of the objective the exact steps change nothing."""
    fitted = build("text_ials", IALS | {"engine": "torch", "iterations": 1000}, 0).fit(tables.train_set)
    again = fitted.partial_fit(tables.train_set, 1)
    queries = tables.train_set.queries().take(slice(0, 9))
    np.testing.assert_allclose(again.score(queries), fitted.score(queries), atol=5e-3)


def test_the_item_step_is_the_stationary_point(tables, served):
    """Of the items' part of the objective: its gradient vanishes at every item; a cold one is W e."""
    data, warm = tables.train_set, tables.warm
    factorization = served.model.sources["ials"]
    options = factorization.recipe.config
    continued = factorization.partial_fit(data, 1)
    U, X = factorization.user_vectors(data.queries()), data.interactions.toarray()
    prior = np.hstack([tables.features, np.ones((len(X[0]), 1))]) @ continued.feature_weights
    ridge = options.regularization * (X.sum(axis=0) + options.alpha * len(X)) ** options.nu
    V = continued.item_factors
    gradient = -((X - X * (U @ V.T)).T @ U) + options.alpha * V @ (U.T @ U) + ridge[:, None] * (V - prior)
    assert np.abs(gradient[warm]).max() < 1e-8
    np.testing.assert_allclose(V[~warm], prior[~warm])


def test_chance_is_what_one_in_a_hundred_small_samples_exceeds():
    rng = np.random.default_rng(0)
    known = rng.normal(size=20_000)
    limit = psi_by_chance(known, 200, 1)
    above = np.mean([psi(known, rng.choice(known, 200)) > limit for _ in range(2000)])
    assert 0.003 < above < 0.02
    # Nine degrees of freedom: the 99 % quantile of chi-squared is 21.67 (Yurdakul 2018).
    assert limit == pytest.approx(21.67 / 200, rel=0.15)
    assert psi_by_chance(known, 0, 1) == psi_by_chance(np.array([]), 5, 1) == 0
    assert psi_by_chance(known, 29, 1) == np.inf > psi_by_chance(known, 30, 1)


def test_counts_and_order(served, update, rows, tables):
    known = set(map(tuple, tables.interactions.query("split == 'train'")[["user_id", "item_id"]].to_numpy()))
    pairs = set(map(tuple, rows[["user_id", "item_id"]].to_numpy()))
    assert update.counts["interactions"] == len(pairs)
    assert update.counts["of them known before"] == len(pairs & known)
    assert update.counts["items touched"] == rows["item_id"].nunique()
    user = rows.query("user_id in @served.user_ids")["user_id"].iloc[0]
    of_user = rows[rows["user_id"] == user].sort_values("timestamp", kind="stable")["item_id"].tolist()
    row = update.recommender.histories.order[[update.recommender.users.index(user)]]
    latest = update.recommender.item_ids[row.indices[np.argsort(row.data)][-len(of_user) :]].tolist()
    assert latest == of_user


def test_a_user_who_came_is_known(served, rows):
    came = rows.assign(user_id=rows["user_id"].replace(rows["user_id"].iloc[0], "somebody new"))
    update = with_interactions(served, came, 1)
    assert update.counts["users that are new"] == 1
    answer = listed(update.recommender, Request("somebody new"), k=160)
    assert answer.path == "known_user"
    assert not set(came.query("user_id == 'somebody new'")["item_id"]) & set(answer.item_ids)
    assert update.recommender.about["fit_on"] == "update"
    assert served.about["fit_on"] == "train"
    assert "somebody new" not in served.user_ids


def test_an_update_is_close_to_a_fit_of_everything(served, update, tables):
    """Closed forms are equal; lists come most of the way to a refit's, as far as a refit from another seed does."""
    histories = update.recommender.histories
    warm = tables.warm | (np.bincount(histories.history.indices, minlength=histories.n_items) > 0)
    data = TrainSet.of(histories.history, warm, order=histories.order, item_features=tables.features)
    recipe = hybrid(BLEND, OPTIONS)
    refit, other = recipe.fit(data), type(recipe)(recipe.config, 1, BLEND).fit(data)
    for name in ("ease", "slit", "popular"):
        queries = histories.take(slice(0, 9))
        scores = (model.sources[name].score(queries) for model in (update.recommender.model, refit))
        np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)
    users = [Request(str(user)) for user in update.recommender.user_ids]

    def lists(model):
        answers = replace(update.recommender, model=model).recommend(users, Settings(k=10))
        return [set(answer.item_ids) for answer in answers]

    def shared(one, two):
        return np.mean([len(a & b) / len(b) for a, b in zip(lists(one), lists(two), strict=True)])

    before, after, most = (shared(model, refit) for model in (served.model, update.recommender.model, other))
    assert after > before + 0.75 * (most - before)


def test_a_cold_item_that_was_taken_is_warm(served, tables):
    cold = tables.items["item_id"][tables.items["bucket"] == "cold"].iloc[0]
    takers = tables.users["user_id"][tables.users["bucket"] == "q4"].head(20)
    update = with_interactions(served, pd.DataFrame({"user_id": takers, "item_id": cold}), 1)
    index = served.items.index(cold)
    assert not served.model.warm[index]
    assert update.recommender.model.warm[index]
    assert update.counts["items that were cold"] == 1
    # Its popularity is that of 20 takers, over the items that are warm now.
    counts = np.bincount(update.recommender.histories.history.indices, minlength=len(served.items))
    logs = np.log1p(counts)[update.recommender.model.warm]
    expected = (np.log1p(counts[index]) - logs.mean()) / logs.std()
    assert update.recommender.model.popularity[index] == pytest.approx(expected, rel=1e-5)


def test_the_inverse_of_the_kernel_is_reused_where_no_item_is_taken_for_the_first_time(served, rows, tables):
    """And what comes out is what comes out of a computation of its own, to the digit."""
    known = rows[tables.warm[served.items.indices(rows["item_id"])]]
    before = served.model.imputer
    expected = before._inverse.copy()
    same = with_interactions(served, known, 1).recommender.model.imputer
    assert same._inverse is before._inverse
    own = type(before).fit(before.options, served.item_features, tables.train_set.counts)
    np.testing.assert_array_equal(own._inverse, expected)
    cold = served.item_ids[~tables.warm][0]
    warmed = with_interactions(served, known.assign(item_id=cold), 1).recommender.model.imputer
    assert "_inverse" not in warmed.__dict__ or warmed._inverse is not before._inverse
    assert len(warmed.landmarks) == len(before.landmarks) + 1


def test_items_that_were_removed_stay_removed(served, rows):
    gone = served.without_items(["i1"])
    update = with_interactions(gone, rows.head(20), 1)
    assert "i1" not in listed(update.recommender, Request(), k=1000).item_ids


def test_where_no_order_is_known_none_is_made_up(served, rows):
    plain = replace(served, histories=Query.of(served.histories.history))
    histories = with_interactions(plain, rows, 1).recommender.histories
    assert histories.order is None
    assert set(histories.history.data.tolist()) == {1.0}


def test_profiles_of_users_who_come_are_unknown_and_the_others_stay(by_profile, rows):
    came = rows.assign(user_id="somebody new").head(5)
    histories = with_interactions(by_profile, came, 1).recommender.histories
    np.testing.assert_array_equal(histories.profile[:-1], by_profile.histories.profile)
    assert not histories.profile[-1].any()


def test_histories_grow_and_are_joined(tables):
    histories = tables.train_set.queries()
    wide = grown(histories, len(histories) + 2)
    assert wide.lengths[-2:].tolist() == [0, 0]
    assert (wide.history[: len(histories)] != histories.history).nnz == 0
    again = joined(histories, histories.order)
    assert (again.history != histories.history).nnz == 0
    assert (again.order != histories.order).nnz == 0


def test_drift_tells_the_same_from_something_else(served, tables, planted):
    same = tables.interactions.query("split == 'train'").sample(300, random_state=0)[["user_id", "item_id"]]
    one = planted.item_cluster[planted.item_cluster == 0].index
    other = pd.DataFrame({"user_id": same["user_id"], "item_id": np.random.default_rng(0).choice(one, 300)})
    by_name = {
        name: drift(served, with_interactions(served, came, 1), came, 50, 10, 0).set_index("distribution")["psi"]
        for name, came in (("same", same), ("other", other))
    }
    assert list(by_name["same"].index) == ["popularity", "embedding_1", "embedding_2", "embedding_3", "scores"]
    assert by_name["same"]["popularity"] < 0.1
    assert by_name["other"].filter(like="embedding").max() > 1 > by_name["same"].filter(like="embedding").max()


def test_a_model_without_factors_takes_nothing_in(popular, rows):
    with pytest.raises(BadInputError, match="The model 'popular' takes no interactions in, only the hybrid does"):
        with_interactions(popular, rows, 1)


def test_the_binary_of_histories_is_what_is_learnt_from(update):
    history = update.recommender.histories.history
    assert (binary(history) != history).nnz == 0


def table(*rows):
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


NOTHING = table().astype({"timestamp": "float64"})


def test_rows_and_events_are_one_table_in_which_each_pair_is_as_it_was_last():
    both = with_events(table(("u", "a", 10), ("u", "b", 30)), table(("u", "a", 20.0), ("v", "b", 5.0)))
    assert both.to_numpy().tolist() == [["v", "b", 5.0], ["u", "a", 20.0], ["u", "b", 30.0]]
    assert with_events(table(("u", "a", 10)), NOTHING)["timestamp"].tolist() == [10]
    assert with_events(table().drop(columns="timestamp"), table(("u", "a", 2.0)))["item_id"].tolist() == ["a"]


def test_rows_without_times_come_before_the_events():
    rows = table(("u", "a", 0), ("u", "b", 0)).drop(columns="timestamp")
    both = with_events(rows, table(("u", "a", 7.0), ("u", "c", 1.0)))
    assert both["item_id"].tolist() == ["b", "c", "a"]


def test_nothing_at_all_is_refused():
    with pytest.raises(BadInputError, match=r"nothing to take in: no new_interactions\.csv with rows, and no event"):
        with_events(NOTHING, NOTHING)


def test_events_become_interactions_of_known_items_each_pair_once(served):
    def did(place, kind, user, item, **columns):
        return Event("shop", str(place), place, 1e9, 100.0 + place, kind, user, item, **columns)

    first = [did(1, "buy", "u", "i1"), did(2, "view", "u", "i2"), did(3, "buy", None, "i1"), did(4, "like", "v", "i3")]
    second = [did(5, "buy", "u", "ghost"), did(6, "cart", "u", "i4"), did(7, "like", "u", "i1")]
    third = [
        did(8, "not_for_me", "v", "i3"),
        did(9, "search", "u", None, words="x"),
        did(10, "rate", "w", "i5", value=2),
    ]
    taken = as_interactions([first, second, third], EventOptions(least_rating=3.0), served.items)
    assert taken.rows.to_numpy().tolist() == [["u", "i4", 106.0], ["u", "i1", 107.0]]
    assert taken.counts == {
        "that say something": 4,
        "that weigh too little": 3,
        "of anonymous visitors": 1,
        "on unknown items": 1,
        "not for me": 1,
    }


def test_events_say_how_sure_they_are_where_kinds_count():
    views = [Event("shop", str(n), n, 1e9, float(n), kind, "u", "i1") for n, kind in enumerate(("buy", "cart"), 1)]
    taken = as_interactions([views], EventOptions(), IdMap(np.array(["i1"], object)), sure=True)
    assert taken.rows.to_numpy().tolist() == [["u", "i1", 2.0, 1.0]]
    both = with_events(table(("u", "a", 10)).assign(confidence=0.0), taken.rows.drop(columns="confidence"))
    assert both[["item_id", "confidence"]].to_numpy().tolist() == [["i1", 1.0], ["a", 0.0]]


def test_the_surest_row_counts_and_one_that_bars_does_so_whenever_it_was():
    rows = table(("u", "bought", 10), ("u", "barred", 10)).assign(confidence=[1.0, 0.0])
    events = table(("u", "bought", 20.0), ("u", "barred", 20.0)).assign(confidence=0.6)
    both = with_events(rows, events)
    assert both.to_numpy().tolist() == [["u", "bought", 20.0, 1.0], ["u", "barred", 20.0, 0.0]]


def test_an_event_of_the_future_is_taken_in_as_of_when_it_came(served):
    event = Event("shop", "1", 1, 50.0, 4e9, "buy", "u", "i1")
    assert as_interactions([[event]], EventOptions(), served.items).rows["timestamp"].tolist() == [50.0]


DAY = 86_400.0


def timed(served, **fields):
    """A model that has counted the first item of its first user on day 99, and another one's on day 100."""
    taken_then = pd.DataFrame({"item_id": [known_item(served), "i1"], "timestamp": [15_099 * DAY, 15_100 * DAY]})
    return replace(served, item_times=ItemTimes.of(taken_then, served.items), **fields)


def known_item(served):
    return str(served.item_ids[served.histories.history[[0]].indices[0]])


def counted(update, item):
    times = update.recommender.item_times
    return times.window(90)[update.recommender.items.index(item)]


def test_rows_that_are_met_again_count_once(served):
    """A file that is read twice changes nothing; a later taking does."""
    known, item, new = timed(served), known_item(served), "i5"
    rows = table(("somebody new", new, 15_101 * DAY), (str(served.user_ids[0]), item, 15_099 * DAY))
    once = with_interactions(known, rows, 1)
    assert (counted(once, new), counted(once, item)) == (1, 2)
    assert "rows met again, which count once in what is trending" not in once.counts
    twice = with_interactions(once.recommender, rows, 1)
    assert (counted(twice, new), counted(twice, item)) == (1, 2)
    assert twice.counts["rows met again, which count once in what is trending"] == 2
    np.testing.assert_array_equal(
        twice.recommender.item_times.daily.toarray(), once.recommender.item_times.daily.toarray()
    )
    later = with_interactions(twice.recommender, rows.assign(timestamp=15_102 * DAY), 1)
    assert (counted(later, new), counted(later, item)) == (2, 3)
    assert "rows met again, which count once in what is trending" not in later.counts
    # Late rows of pairs that were not known are no repetition.
    late = with_interactions(once.recommender, table(("another one", new, 15_098 * DAY)), 1)
    assert counted(late, new) == 2


def test_a_buy_after_a_view_was_not_counted_before(served):
    """A view is in the histories and counts in no trend, so the buy is the first that counts."""
    about = served.about | {"strengths": {"view": 0.2, "buy": 1.0, "no": "bar"}}
    known = timed(served, about=about)
    at = table(("somebody new", "i5", 15_100 * DAY))
    viewed = with_interactions(known, with_kinds(at, [0.2]), 1)
    bought = with_interactions(viewed.recommender, with_kinds(at, [1.0]), 1)
    again = with_interactions(bought.recommender, with_kinds(at, [1.0]), 1)
    assert [counted(one, "i5") for one in (viewed, bought, again)] == [0, 1, 1]


def test_rows_of_a_blocked_pair_that_are_met_again_count_once(served):
    known = timed(served, about=served.about | {"strengths": {"buy": 1.0, "no": "bar"}})
    blocked = with_interactions(known, with_kinds(table(("somebody new", "i5", 15_100 * DAY)), [0.0]), 1)
    rows = with_kinds(table(("somebody new", "i5", 15_101 * DAY)), [1.0])
    once = with_interactions(blocked.recommender, rows, 1)
    assert counted(with_interactions(once.recommender, rows, 1), "i5") == counted(once, "i5")


def test_an_update_says_up_to_which_event_it_knows(update):
    assert update.until(17).recommender.about["events_until"] == 17
    assert "events_until" not in update.recommender.about


def test_a_user_s_events_that_were_taken_in_leave_his_list_as_it_is(served, tmp_path):
    """The list of before the update and the list after it differ by the sweep alone: the history is the same."""
    store = ItemStore.open(tmp_path / "shop.json")
    events = store.events.store
    events.append([{"kind": "buy", "user_id": "newcomer", "item_id": item} for item in ("i3", "i7", "i11")])
    taken = as_interactions(events.read(), served.event_options, served.items)
    after = with_interactions(served, taken.rows, 1).until(events.last_place).recommender
    with_log = store.apply(after)
    assert listed(with_log, Request("newcomer")) == listed(after, Request("newcomer"))
    assert listed(after, Request("newcomer")).path == "known_user"


def with_kinds(rows, confidence):
    return rows.assign(confidence=np.asarray(confidence, np.float64))


def test_new_rows_count_by_their_strength_and_the_surer_one_stays(served, tables):
    history = served.histories.history
    known = served.item_ids[history[[0]].indices[0]]
    new = next(item for item in served.item_ids if item not in set(served.item_ids[history[[0]].indices]))
    rows = pd.DataFrame({"user_id": served.user_ids[0], "item_id": [known, new], "timestamp": 2e9})
    histories = with_interactions(served, with_kinds(rows, [0.2, 0.3]), 1).recommender.histories
    of_user = dict(zip(served.item_ids[histories.confidence[[0]].indices], histories.confidence[[0]].data, strict=True))
    assert of_user[known] == 1
    assert of_user[new] == pytest.approx(0.3)
    assert histories.confidence.nnz == histories.history.nnz == histories.order.nnz


def test_a_row_that_bars_takes_the_pair_out_and_blocks_it(served):
    history = served.histories.history
    known = served.item_ids[history[[0]].indices[0]]
    rows = pd.DataFrame(
        {"user_id": [served.user_ids[0], "somebody new"], "item_id": [known, "i1"], "timestamp": [2e9, 2e9]}
    )
    update = with_interactions(served, with_kinds(rows, [0.0, 1.0]), 1)
    model = update.recommender
    assert update.counts["pairs that are blocked now"] == 1
    assert update.counts["interactions"] == 1
    assert model.histories.history.nnz == history.nnz  # one came, one went
    assert model.blocked.shape == model.histories.history.shape
    assert known not in listed(model, Request(str(served.user_ids[0])), k=1000, exclude_seen=False).item_ids
    again = with_interactions(model, with_kinds(rows, [1.0, 1.0]), 1).recommender
    assert known not in listed(again, Request(str(served.user_ids[0])), k=1000, exclude_seen=False).item_ids


def test_rows_that_came_count_in_what_is_trending_and_date_items(served):
    """Blocked pairs and views do not."""
    day = 86_400.0
    old = pd.DataFrame({"item_id": ["i1", "i1"], "timestamp": [15_099 * day, 15_100 * day]})
    about = served.about | {"strengths": {"view": 0.2, "buy": 1.0, "no": "bar"}}
    known = replace(served, item_times=ItemTimes.of(old, served.items), about=about)
    rows = pd.DataFrame({"user_id": "u1", "item_id": ["i2", "i3", "i4"], "timestamp": 15_101 * day})
    times = with_interactions(known, with_kinds(rows, [1.0, 0.2, 0.0]), 1).recommender.item_times
    assert times.until == 15_101 * day
    assert times.window(2)[[1, 2, 3, 4]].tolist() == [1, 1, 0, 0]
    np.testing.assert_array_equal(times.first[[1, 2, 3, 4]], [15_099 * day, 15_101 * day, np.nan, np.nan])
    assert with_interactions(served, rows, 1).recommender.item_times is None
