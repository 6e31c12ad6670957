"""DropoutNet: what it reproduces, what is left when factors are missing, and that a seed decides every bit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.config import parse
from tailor.data.interactions import empty_rows
from tailor.errors import ConfigurationError
from tailor.models.base import Query, TrainSet
from tailor.models.dropoutnet import DropoutNet, DropoutNetConfig, FittedDropoutNet, centred, forward
from tailor.models.registry import build
from tailor.testing.compare import wider_query
from tailor.testing.models import ModelTests

SMALL = {"factors": 8, "iterations": 5, "hidden": 32, "steps": 150}


class TestDropoutNet(ModelTests):
    def make(self, seed=0):
        return DropoutNet(DropoutNetConfig(**SMALL), seed)


@pytest.fixture(scope="module")
def fitted(tables):
    return DropoutNet(DropoutNetConfig(**SMALL)).fit(tables.train_set)


def test_a_network_is_a_hidden_layer_with_tanh():
    rng = np.random.default_rng(0)
    net = {
        name: rng.normal(size=shape).astype(np.float32) for name, shape in {"inner": (3, 4), "outer": (4, 2)}.items()
    }
    net |= {"inner_shift": np.ones(4, np.float32), "outer_shift": np.full(2, 2.0, np.float32)}
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    expected = np.tanh(x @ net["inner"] + 1) @ net["outer"] + 2
    np.testing.assert_allclose(forward(x, net), expected, rtol=1e-6)


def test_an_item_without_a_text_stays_at_the_centre():
    features = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(centred(features, np.array([0.25, 0.5], np.float32)), [[0.75, -0.5], [0, 0]])


def test_it_reproduces_the_scores_of_its_ials(tables):
    """Nothing dropped, and enough steps: over warm items nine tenths of their variance."""
    config = DropoutNetConfig(**SMALL | {"steps": 600, "dropout": 0.0, "item_dropout": 0.0, "user_dropout": 0.0})
    model = DropoutNet(config).fit(tables.train_set)
    known = tables.train_set.counts > 0
    query = tables.train_set.queries()
    ials = model.recipe.ials().fit(tables.train_set)
    expected = ials.score(query)[:, known]
    error = model.score(query)[:, known] - expected
    assert (error**2).mean() < 0.1 * (expected**2).mean()


def test_factors_and_texts_of_users_are_those_of_their_histories(fitted, tables):
    """f of the fold-in and the mean of the texts, each weighed by its confidence."""
    history = sparse.csr_matrix(([0.5, 2.0], ([0, 0], [1, 4])), shape=(1, fitted.n_items), dtype=np.float32)
    query = Query.of(sparse.csr_matrix(history > 0, dtype=np.float32), confidence=history)
    u = fitted.factors.fold_in(history)[0]
    c = (0.5 * fitted.texts[1] + 2.0 * fitted.texts[4]) / 2
    expected = forward(np.r_[u, c].astype(np.float32)[None], fitted.user_net)
    np.testing.assert_allclose(fitted.user_vectors(query), expected, rtol=1e-5)
    np.testing.assert_allclose(fitted.score(query), expected @ fitted.items.T, rtol=1e-4, atol=1e-6)


def test_an_item_without_interactions_is_read_without_factors(fitted, tables):
    """Whatever its factors are."""
    cold = ~(tables.train_set.counts > 0)
    factors = replace(fitted.factors, item_factors=np.ones_like(fitted.factors.item_factors))
    texts, nets = (fitted.centre, fitted.texts), (fitted.user_net, fitted.item_net)
    rebuilt = FittedDropoutNet.of_nets(fitted.recipe, factors, ~cold, texts, nets)
    np.testing.assert_array_equal(rebuilt.items[cold], fitted.items[cold])
    assert not np.allclose(rebuilt.items[~cold], fitted.items[~cold])
    inputs = np.hstack([np.zeros((cold.sum(), 8), np.float32), fitted.texts[cold]])
    np.testing.assert_allclose(fitted.items[cold], forward(inputs, fitted.item_net), rtol=1e-5, atol=1e-6)


def test_an_item_that_joins_is_what_a_cold_item_of_the_fit_is(fitted, tables):
    cold = int(np.flatnonzero(~tables.warm)[0])
    grown = fitted.with_new_items(tables.features[[cold]])
    scores = grown.score(wider_query(tables.train_set.queries(), 1))
    np.testing.assert_allclose(scores[:, -1], scores[:, cold], rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(fitted, tables):
    torch.manual_seed(17)
    again = DropoutNet(DropoutNetConfig(**SMALL)).fit(tables.train_set)
    other = DropoutNet(DropoutNetConfig(**SMALL), 1).fit(tables.train_set)
    for name, value in fitted.state().items():
        np.testing.assert_array_equal(again.state()[name], value, err_msg=name)
    assert not np.array_equal(other.items, fitted.items)


def test_the_seed_decides_where_networks_start(tables):
    config = DropoutNetConfig(**SMALL | {"steps": 1, "learning_rate": 1e-12})
    starts = [DropoutNet(config, seed).fit(tables.train_set).item_net["outer"] for seed in (0, 1)]
    assert np.abs(starts[0] - starts[1]).max() > 0.01


def test_a_fit_leaves_the_generators_alone(tables):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    DropoutNet(DropoutNetConfig(**SMALL | {"steps": 2})).fit(tables.train_set)
    assert torch.equal(torch.rand(2), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_where_nobody_took_anything_scores_are_finite(tables):
    data = TrainSet.of(empty_rows(3, 5), np.ones(5, bool), item_features=tables.features[:5])
    scores = DropoutNet(DropoutNetConfig(**SMALL)).fit(data).score(data.queries())
    assert scores.shape == (3, 5)
    assert np.isfinite(scores).all()


def test_options_are_checked():
    with pytest.raises(ConfigurationError, match="item_dropout"):
        build("dropoutnet", {"item_dropout": 1.0}, 0)
    options = parse(DropoutNetConfig, {"factors": 3, "alpha": 0.5, "regularization": 0.1, "iterations": 2}, "here")
    assert options.ials().model_dump(include={"factors", "alpha", "regularization", "iterations"}) == {
        "factors": 3,
        "alpha": 0.5,
        "regularization": 0.1,
        "iterations": 2,
    }


def test_a_fitted_model_needs_no_torch():
    code = "import sys, tailor.models.dropoutnet; assert not {'torch', 'irspack'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
