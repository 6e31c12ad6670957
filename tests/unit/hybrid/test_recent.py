"""Faded histories: weights by arithmetic, the base's scores under them, and what they are explained by."""

import numpy as np
import pytest
from scipy import sparse

from tailor.errors import ConfigurationError
from tailor.hybrid.recent import Recent, RecentConfig, RecentEASE, RecentText, faded
from tailor.models.base import Query, TrainSet
from tailor.models.ease import EASEConfig, TextEASE
from tailor.models.text_knn import TextKNN
from tailor.testing.planted import planted_blocks

ORDER = sparse.csr_matrix(np.array([[2, 0, 1, 3], [0, 0, 0, 0]], np.float32))


def test_a_weight_halves_every_half_life_before_the_latest():
    weights = faded(Query.of(ORDER, ORDER), 1.0).weights.toarray()
    np.testing.assert_allclose(weights, [[0.5, 0, 0.25, 1], [0, 0, 0, 0]])


def test_confidences_fade_too():
    sure = ORDER.copy()
    sure.data = np.array([2, 4, 8], np.float32)  # of items 0, 2, 3
    weights = faded(Query.of(ORDER, ORDER, sure), 2.0).weights.toarray()
    np.testing.assert_allclose(weights[0], [2 * 0.5**0.5, 0, 4 * 0.5, 8])


def test_without_an_order_nothing_fades():
    query = Query.of(ORDER)
    assert faded(query, 1.0) is query


@pytest.fixture(scope="module")
def planted():
    return planted_blocks()


@pytest.mark.parametrize(
    ("recent", "base"),
    [(RecentEASE, TextEASE(EASEConfig(regularization=20.0, text_pull=20.0))), (RecentText, TextKNN())],
)
def test_scores_are_those_of_the_base_under_faded_weights(planted, recent, base):
    fitted, query = base.fit(planted.data), planted.query(planted.known_users[:5])
    derived = recent(RecentConfig(half_life=3.0)).derive(fitted, None)
    expected = fitted.score(faded(query, 3.0))
    np.testing.assert_array_equal(derived.score(query), expected)
    assert not np.allclose(expected, fitted.score(query))
    one, items = query.take(np.array([0])), np.arange(6)
    np.testing.assert_allclose(derived.history_shares(one, items).sum(axis=1), expected[0, items], rtol=1e-4, atol=1e-5)
    largest = derived.history_shares(one, items).shape
    assert largest == (6, one.history.nnz)


def test_it_is_no_model_of_its_own(planted):
    with pytest.raises(ConfigurationError, match="recent_text is computed from another source"):
        RecentText().fit(planted.data)
    with pytest.raises(ConfigurationError, match="recent_ease is loaded together with the source"):
        RecentEASE().load({})


def test_long_half_lives_are_the_base(planted):
    data: TrainSet = planted.data
    fitted, query = TextKNN().fit(data), planted.query(planted.known_users[:5])
    derived = Recent(RecentConfig(half_life=1e9)).derive(fitted, None)
    np.testing.assert_allclose(derived.score(query), fitted.score(query), rtol=1e-4)
