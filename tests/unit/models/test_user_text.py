"""What users write, against a ridge computed by hand; comments that must not predict their own item; polarity."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from tailor.data.user_texts import NO_ITEM, UserTexts
from tailor.models.base import Floats, Query, TrainSet
from tailor.models.user_text import UserText, UserTextConfig, centred
from tailor.testing.models import ModelTests


class TestUserText(ModelTests):
    scores_cold_items = False  # the imputer places them

    def make(self, seed: int = 0) -> UserText:
        return UserText(UserTextConfig(regularization=1.0), seed)


def unit(*rows: list[float]) -> Floats:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def data_of(history: list[list[int]], texts: UserTexts) -> TrainSet:
    matrix = sparse.csr_matrix(np.array(history, np.float32))
    return TrainSet.of(matrix, np.ones(matrix.shape[1], bool)).with_user_texts(texts)


def of_users(vectors: Floats, items: list[int] | None = None, is_praise: list[bool] | None = None) -> UserTexts:
    """One text for each user."""
    users = np.arange(len(vectors))
    about = np.full(len(users), NO_ITEM) if items is None else np.array(items)
    praise = np.ones(len(users), bool) if is_praise is None else np.array(is_praise)
    return UserTexts(users, about, praise, users, vectors)


def test_weights_are_those_of_the_ridge() -> None:
    vectors = unit([1, 0.2], [0.9, -0.1], [0.1, 1], [-0.2, 1])
    history = [[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]
    fitted = UserText(UserTextConfig(regularization=2.0)).fit(data_of(history, of_users(vectors)))
    X, R = vectors - vectors.mean(axis=0), np.array(history, float)
    expected = np.linalg.solve(X.T @ X + 2.0 * np.eye(2), X.T @ (R - R.mean(axis=0)))
    np.testing.assert_allclose(fitted.weights[:2], expected, atol=1e-6)
    assert not fitted.weights[2:].any()


def test_a_comment_does_not_predict_the_item_that_it_is_on() -> None:
    """Each user writes about one item, in words of that item alone: nothing is left once these words are left out."""
    history = np.eye(6, dtype=int).tolist()
    texts = of_users(np.eye(6, dtype=np.float32), items=[0, 1, 2, 3, 4, 5])
    weights = UserText().fit(data_of(history, texts)).weights[:6]
    about_none = UserText().fit(data_of(history, replace(texts, items=np.full(6, NO_ITEM)))).weights[:6]
    assert np.trace(about_none) > 0.4
    assert np.abs(weights).max() < 0.05 * np.trace(about_none)


def test_a_comment_predicts_the_other_items_of_its_user() -> None:
    """Users take a pair of items, and write about the first of the two."""
    history = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    vectors = unit([1, 0.1], [1, -0.1], [0.1, 1], [-0.1, 1])
    fitted = UserText(UserTextConfig(regularization=0.1)).fit(data_of(history, of_users(vectors, [0, 0, 2, 2])))
    scores = fitted.score(Query.of(sparse.csr_matrix((2, 4)), user_text=np.hstack([vectors[[0, 2]], np.zeros((2, 2))])))
    assert scores[0].argmax() == 1
    assert scores[1].argmax() == 3


def test_what_speaks_against_an_item_is_read_apart() -> None:
    """Half of the users praise what they take in the words of its kind, half pan in them what they do not look for."""
    kinds = unit([1, 0.05], [0.05, 1])
    history = [[1, 0]] * 10 + [[0, 1]] * 10
    pan = [False, True] * 10
    words = np.array(
        [kinds[1 - kind if panned else kind] for kind, panned in zip([0] * 10 + [1] * 10, pan, strict=True)]
    )
    fitted = UserText(UserTextConfig(regularization=0.1)).fit(
        data_of(history, of_users(words, is_praise=[not p for p in pan]))
    )
    praised = np.hstack([kinds, np.zeros((2, 2), np.float32)])
    panned = np.hstack([np.zeros((2, 2), np.float32), kinds])
    nothing = sparse.csr_matrix((2, 2))
    assert fitted.score(Query.of(nothing, user_text=praised)).argmax(axis=1).tolist() == [0, 1]
    assert fitted.score(Query.of(nothing, user_text=panned)).argmax(axis=1).tolist() == [1, 0]


def test_who_wrote_nothing_scores_nothing() -> None:
    fitted = UserText().fit(data_of([[1, 0], [0, 1]], of_users(unit([1, 0], [0, 1]))))
    assert not fitted.score(Query.of(sparse.csr_matrix((1, 2)), user_text=np.zeros((1, 4), np.float32))).any()
    assert not fitted.score(Query.of(sparse.csr_matrix((1, 2)))).any()


def test_a_catalogue_without_texts_has_no_weights() -> None:
    fitted = UserText().fit(data_of([[1, 0], [0, 1]], UserTexts.none()))
    assert fitted.weights.shape == (0, 2)
    assert fitted.score(Query.of(sparse.csr_matrix(np.eye(2)))).tolist() == [[0, 0], [0, 0]]


def test_parts_are_centred_apart_and_absent_ones_stay_zero() -> None:
    sums = np.array([[2, 0, 0, 0], [0, 3, 0, 4]], np.float32)
    x = centred(sums, np.array([0.5, 0.5, 0.0, 1.0], np.float32))
    np.testing.assert_allclose(x, [[0.5, -0.5, 0, 0], [-0.5, 0.5, 0, 0]])


def test_new_interactions_leave_weights_alone() -> None:
    texts = of_users(unit([1, 0], [0, 1]))
    fitted = UserText().fit(data_of([[1, 0], [0, 1]], texts))
    assert fitted.partial_fit(data_of([[1, 1], [0, 1]], UserTexts.none()), 1) is fitted
