"""New interactions in a served model: exact steps, close to a fit of everything; drift."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.hashing import tie_ranks
from tailor.data.interactions import binary
from tailor.errors import BadInputError
from tailor.evaluation.drift import interpret_psi, psi
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.scorer import Hybrid, HybridEngineOptions
from tailor.models.baselines import NoOptions, Popular
from tailor.models.ials import IALS
from tailor.models.ease import EASEConfig
from tailor.models.ials import IALSConfig
from tailor.models.slit import SLITConfig
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.serving.update import drift, with_interactions
from tests.conftest import by_source

OPTIONS = HybridEngineOptions(
    ials=IALSConfig(factors=8, iterations=16, lambda_item_feature=1.0),
    ease=EASEConfig(regularization=20.0, text_pull=20.0),
    sequence=SLITConfig(regularization=20.0),
)
GATE = BlendWeights(
    warm=BlendModel(by_source(mf=0.4, ease=0.2, sequence=0.2, text=0.1, popular=0.1)), cold=by_source(mf=1)
)


@pytest.fixture(scope="module")
def served(tables):
    train = tables.matrices["train"]
    return Recommender(
        engine=Hybrid(OPTIONS, 0, GATE).fit(train, tables.warm, tables.features),
        user_ids=tables.users["user_id"].to_numpy(dtype=object),
        item_ids=tables.items["item_id"].to_numpy(dtype=object),
        history=train,
        tie_rank=tie_ranks(0, tables.items["item_id"]),
    )


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
    train = tables.matrices["train"]
    options = OPTIONS.ials.model_copy(update={"engine": "torch", "iterations": 1000})
    fitted = IALS(options).fit(train, tables.warm, tables.features)
    again = fitted.partial_fit(train, tables.warm, tables.features)
    np.testing.assert_allclose(again.score(train[:9]), fitted.score(train[:9]), atol=5e-3)


def test_the_item_step_is_the_stationary_point(tables, served):
    """Of the items' part of the objective: its gradient vanishes at every item; a cold one is W e."""
    train, o, warm = tables.matrices["train"], OPTIONS.ials, tables.warm
    mf = served.engine.sources["mf"]
    found = mf.partial_fit(train, warm, tables.features)
    U, X = mf.fold_in(binary(train)), binary(train).toarray()
    prior = np.hstack([tables.features, np.ones((len(X[0]), 1))]) @ found.feature_weights
    ridge = o.regularization * (X.sum(axis=0) + o.alpha * len(X)) ** o.nu
    V = found.item_factors
    gradient = -((X - X * (U @ V.T)).T @ U) + o.alpha * V @ (U.T @ U) + ridge[:, None] * (V - prior)
    assert np.abs(gradient[warm]).max() < 1e-8
    np.testing.assert_allclose(V[~warm], prior[~warm])


def test_counts_and_order(served, update, rows, tables):
    known = set(map(tuple, tables.interactions.query("split == 'train'")[["user_id", "item_id"]].to_numpy()))
    pairs = set(map(tuple, rows[["user_id", "item_id"]].to_numpy()))
    assert update.counts["interactions"] == len(pairs)
    assert update.counts["of them known before"] == len(pairs & known)
    assert update.counts["items touched"] == rows["item_id"].nunique()
    user = rows.query("user_id in @served.user_ids")["user_id"].iloc[0]
    mine = rows[rows["user_id"] == user].sort_values("timestamp", kind="stable")["item_id"].tolist()
    at = update.served.user_ids.tolist().index(user)
    row = update.served.history[[at]]
    latest = update.served.item_ids[row.indices[np.argsort(row.data)][-len(mine) :]].tolist()
    assert latest == mine


def test_a_user_who_came_is_known(served, rows):
    came = rows.assign(user_id=rows["user_id"].replace(rows["user_id"].iloc[0], "somebody new"))
    update = with_interactions(served, came, 1)
    assert update.counts["users that are new"] == 1
    answer = update.served.recommend([Request("somebody new")], Settings(k=160))[0]
    assert answer.path == "known_user"
    assert not set(came.query("user_id == 'somebody new'")["item_id"]) & set(answer.item_ids)


def test_an_update_is_close_to_a_fit_of_everything(served, update, tables):
    """Closed forms are equal; lists come most of the way to a refit's, as far as a refit from another seed does."""
    history = update.served.history
    warm = tables.warm | (np.bincount(history.indices, minlength=history.shape[1]) > 0)
    refit, other = (Hybrid(OPTIONS, seed, GATE).fit(history, warm, tables.features) for seed in (0, 1))
    for name in ("ease", "sequence", "popular"):
        scores = (engine.sources[name].score(history[:9]) for engine in (update.served.engine, refit))
        np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)
    users = [Request(str(user)) for user in update.served.user_ids]

    def lists(engine):
        model = Recommender(engine, update.served.user_ids, served.item_ids, history, served.tie_rank)
        return [set(answer.item_ids) for answer in model.recommend(users, Settings(k=10))]

    def shared(one, two):
        return np.mean([len(a & b) / len(b) for a, b in zip(lists(one), lists(two), strict=True)])

    before, after, most = (shared(engine, refit) for engine in (served.engine, update.served.engine, other))
    assert after > before + 0.75 * (most - before)


def test_a_cold_item_that_was_taken_is_warm(served, tables):
    cold = tables.items["item_id"][tables.items["bucket"] == "cold"].iloc[0]
    takers = tables.users["user_id"][tables.users["bucket"] == "q4"].head(20)
    came = pd.DataFrame({"user_id": takers, "item_id": cold})
    update = with_interactions(served, came, 1)
    at = served.item_ids.tolist().index(cold)
    assert not served.engine.warm[at]
    assert update.served.engine.warm[at]
    assert update.counts["items that were cold"] == 1


def test_where_no_order_is_known_none_is_made_up(served, rows):
    plain = Recommender(
        Hybrid(OPTIONS, 0, GATE).fit(binary(served.history), served.engine.warm, served.features),
        served.user_ids,
        served.item_ids,
        binary(served.history),
        served.tie_rank,
    )
    assert set(with_interactions(plain, rows, 1).served.history.data.tolist()) == {1.0}


def test_drift_tells_the_same_from_something_else(served, rows, tables, planted):
    same = tables.interactions.query("split == 'train'").sample(300, random_state=0)[["user_id", "item_id"]]
    one = planted.item_cluster[planted.item_cluster == 0].index
    other = pd.DataFrame({"user_id": same["user_id"], "item_id": np.random.default_rng(0).choice(one, 300)})
    told = {
        name: drift(served, with_interactions(served, came, 1), came, 50, 10, 0).set_index("distribution")["psi"]
        for name, came in (("same", same), ("other", other))
    }
    assert list(told["same"].index) == ["popularity", "embedding_1", "embedding_2", "embedding_3", "scores"]
    assert told["same"]["popularity"] < 0.1
    assert told["other"].filter(like="embedding").max() > 1 > told["same"].filter(like="embedding").max()


def test_a_model_without_factors_takes_nothing_in(tables, rows):
    ids = tables.items["item_id"].to_numpy(dtype=object)
    popular = Popular(NoOptions()).fit(tables.matrices["train"], tables.warm)
    served = Recommender(popular, np.array(["u"], object), ids, sparse.csr_matrix((1, len(ids))), np.arange(len(ids)))
    with pytest.raises(BadInputError, match="A Popular takes no interactions in, only the hybrid does"):
        with_interactions(served, rows, 1)
