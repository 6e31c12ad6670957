import numpy as np
import pytest
from scipy import sparse

from tailor.errors import ConfigurationError
from tailor.hybrid.gate import fit_newcomers, fit_shift, fit_weights, simplex
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.scorer import GateOptions, Hybrid, HybridEngineOptions, mix
from tailor.hybrid.selection import select_baselines
from tailor.options import EASEOptions, HybridOptions, IALSOptions, MixtureOptions


def test_simplex_lists_every_weight_vector_once():
    grid = simplex(0.5, 3)
    assert sorted(grid) == sorted([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    assert len(simplex(0.25, 4)) == 35  # C(4 + 3, 3)


def test_mix_by_hand():
    rows = ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [0.0, 0.0, 0.0], [7.0, 8.0, 9.0])
    z = [np.array([row], np.float32) for row in rows]
    warm = np.array([True, True, False])
    gate = GateOptions(warm=(0.5, 0.5, 0, 0), cold=(1.0, 0, 0, 0), shift=0.25)
    assert mix(z, gate, warm, np.array([5])).tolist() == [[5.5, 11.0, 3.25]]
    assert mix(z, gate, warm, np.array([0])).tolist() == [[7.0, 8.0, 9.0]]  # no history: popularity alone


def test_short_histories_have_weights_of_their_own():
    z = [np.array([[1.0], [1.0], [1.0], [1.0]], np.float32) * value for value in (1, 10, 100, 1000)]
    gate = GateOptions(warm=(1, 0, 0, 0), newcomer=((1, (0, 0, 0, 1)), (3, (0, 0.5, 0.5, 0))))
    found = mix(z, gate, np.array([True]), np.array([1, 2, 3, 4]))
    assert found.ravel().tolist() == [1000.0, 55.0, 55.0, 1.0]


@pytest.fixture(scope="module")
def holdout(tables):
    return Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0)


@pytest.fixture(scope="module")
def scorer(holdout, tables):
    options = HybridEngineOptions(
        ials=IALSOptions(factors=8, iterations=5, lambda_item_feature=1.0),
        ease=EASEOptions(regularization=20, text_pull=20),
    )
    return Hybrid(options).fit(holdout.train, holdout.warm, tables.features)


def test_the_holdout_hides_pseudo_cold_b(holdout, tables):
    b = (tables.items["pseudo_cold"] == "B").to_numpy()
    assert holdout.train[:, np.flatnonzero(b)].nnz == 0
    assert holdout.history[:, np.flatnonzero(b)].nnz == 0
    assert holdout.seen[:, np.flatnonzero(b)].nnz > 0
    assert not (holdout.warm & b).any()
    assert not holdout.candidates[(tables.items["bucket"] == "cold").to_numpy()].any()


def test_newcomers_are_in_no_fit_but_keep_their_history(holdout):
    n_known = int((np.diff(holdout.seen.indptr) > 0).sum())
    assert len(holdout.newcomers) == round(0.1 * n_known)
    assert holdout.train[holdout.newcomers].nnz == 0
    assert holdout.history[holdout.newcomers].nnz > 0
    others = np.setdiff1d(np.arange(holdout.train.shape[0]), holdout.newcomers)
    assert (holdout.train[others] != holdout.history[others]).nnz == 0


def test_newcomers_weights_are_the_best_of_the_grid(scorer, holdout):
    """Where text and behaviour share clusters, one item says more about a newcomer than popularity does."""
    options = MixtureOptions(step=0.5, newcomer_history=[1, 5])
    gate = fit_newcomers(scorer, GateOptions(), holdout, options, 10)
    assert [longest for longest, _ in gate.newcomer] == [1, 5]
    for _, weights in gate.newcomer:
        assert sum(weights) == pytest.approx(1)
        assert weights[3] < 1
    assert gate.newcomer == fit_newcomers(scorer, GateOptions(), holdout, options, 10, block_users=3).newcomer


def test_sources_are_standardised_over_warm_items(scorer, holdout):
    known = np.flatnonzero(np.diff(holdout.train.indptr) > 0)[:20]
    for z in scorer.standardised(holdout.train[known]):
        np.testing.assert_allclose(z[:, scorer.warm].mean(axis=1), 0, atol=1e-4)
        np.testing.assert_allclose(z[:, scorer.warm].std(axis=1), 1, rtol=1e-3)


def test_the_gate_takes_the_largest_shift_within_the_price(scorer, holdout):
    options = MixtureOptions(step=0.5, shifts=[0.0, 1.0, 3.0, 50.0], max_price=0.05)
    gate, prices = fit_shift(scorer, fit_weights(scorer, holdout, options, 10), holdout, options, 10)
    best = max(row["mixed_ndcg"] for row in prices)
    affordable = [row["shift"] for row in prices if row["mixed_ndcg"] >= 0.95 * best]
    assert gate.shift == max(affordable)
    assert gate.shift < 50.0  # fifty deviations would list nothing but cold items
    assert prices[-1]["mixed_cold_ndcg"] > prices[0]["mixed_cold_ndcg"]
    assert sum(gate.warm) == pytest.approx(1)


def test_gate_choice_does_not_depend_on_block_size(scorer, holdout):
    options = MixtureOptions(step=0.5, shifts=[0.0, 1.0])
    small, large = (
        fit_shift(scorer, fit_weights(scorer, holdout, options, 10, size), holdout, options, 10, size)
        for size in (7, 1000)
    )
    assert small[0] == large[0]
    for a, b in zip(small[1], large[1], strict=True):
        assert a == pytest.approx(b, abs=1e-9)


def test_unequal_budgets_are_refused():
    with pytest.raises(ValueError, match="same number of trials"):
        HybridOptions(trials={"ease": [{}, {}], "irspack": [{}]})


def test_misspelt_model_in_trials(holdout, tables):
    with pytest.raises(ConfigurationError, match=r"hybrid_cf.trials names \['eese'\]"):
        select_baselines(holdout, tables.features, HybridOptions(trials={"eese": [{}]}), 0)


def test_strangers_get_the_popular_items(scorer, holdout):
    nobody = sparse.csr_matrix((1, holdout.train.shape[1]), dtype=np.float32)
    counts = np.asarray(holdout.train.sum(axis=0)).ravel()
    assert scorer.score(nobody)[0].argmax() == counts.argmax()
