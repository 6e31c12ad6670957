"""What items without interactions take from those with similar texts: closed forms, limits, the hybrid's use of it."""

import gc
from itertools import pairwise

import numpy as np
import pytest

from tailor.data.item_vectors import join_parts
from tailor.errors import BadInputError
from tailor.hybrid import cold_items
from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import ColdItemOptions
from tailor.models.ease import EASEConfig, TextEASE
from tailor.models.ials import IALSConfig, TextIALS
from tailor.models.slit import SLIT, SLITConfig
from tailor.testing.compare import wider_query
from tests.recipes import hybrid as recipe_of_hybrid


def unit_rows(n, m=6, seed=0):
    E = np.random.default_rng(seed).normal(size=(n, m))
    return (E / np.linalg.norm(E, axis=1, keepdims=True)).astype(np.float32)


def kernel_of(a, b, width):
    return np.exp(-width * ((a[:, None] - b[None]) ** 2).sum(axis=2)) + 1


def test_shares_are_the_ridge_solution():
    E, options = unit_rows(12), ColdItemOptions(width=0.7, ridge=0.2)
    imputer = KernelImputer(options, E, np.arange(9))
    y = np.random.default_rng(1).normal(size=(9, 3))
    K = kernel_of(E[:9], E[:9], 0.7) + 0.2 * np.eye(9)
    expected = kernel_of(E[9:], E[:9], 0.7) @ np.linalg.solve(K, y)
    np.testing.assert_allclose(imputer.predict(E[9:], y), expected, rtol=1e-4, atol=1e-4)


def test_fits_on_the_same_texts_share_one_inverse():
    """Whoever holds an imputer shares it; other options, texts or landmarks have one of their own."""
    E, counts = unit_rows(12), np.arange(12) % 4
    held = KernelImputer.fit(ColdItemOptions(), E, counts)
    assert KernelImputer.fit(ColdItemOptions(), E.copy(), counts * 2) is held
    changed = E.copy()
    changed[3, 0] += 1e-3
    others = [
        KernelImputer.fit(ColdItemOptions(width=0.3), E, counts),
        KernelImputer.fit(ColdItemOptions(), changed, counts),
        KernelImputer.fit(ColdItemOptions(), E, np.ones(12, np.int64)),
    ]
    assert len({id(one) for one in [held, *others]}) == 4
    inverse = held._inverse
    number = len(cold_items._LIVE)
    del held, others
    gc.collect()
    assert len(cold_items._LIVE) == number - 4
    np.testing.assert_array_equal(KernelImputer.fit(ColdItemOptions(), E, counts)._inverse, inverse)


def test_blocks_are_the_whole(monkeypatch):
    E, y = unit_rows(30), np.random.default_rng(1).normal(size=(20, 2))
    imputer = KernelImputer(ColdItemOptions(), E, np.arange(20))
    whole = imputer.predict(E[20:], y)
    monkeypatch.setattr("tailor.hybrid.cold_items._CELLS", 3 * 20)
    np.testing.assert_allclose(imputer.predict(E[20:], y), whole, atol=1e-5)


def test_left_out_is_a_fit_without_the_item():
    E, y, options = unit_rows(10), np.random.default_rng(1).normal(size=(10, 2)), ColdItemOptions(width=0.7, ridge=0.2)
    left_out = KernelImputer(options, E, np.arange(10)).left_out(y)
    for j in range(10):
        others = np.delete(np.arange(10), j)
        K = kernel_of(E[others], E[others], 0.7) + 0.2 * np.eye(9)
        expected = kernel_of(E[[j]], E[others], 0.7) @ np.linalg.solve(K, y[others])
        np.testing.assert_allclose(left_out[j], expected[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_limits(seed):
    """Without a ridge a twin of a known item is that item; under a huge one nothing is left."""
    E = unit_rows(8, seed=seed)
    y = np.random.default_rng(seed).normal(size=(8, 2))
    close = KernelImputer(ColdItemOptions(width=4.0, ridge=1e-4), E, np.arange(8)).predict(E[[2]], y)
    np.testing.assert_allclose(close[0], y[2], atol=5e-3)
    assert np.abs(KernelImputer(ColdItemOptions(ridge=1e9), E, np.arange(8)).predict(E[[2]], y)).max() < 1e-6


def test_of_too_many_items_the_best_known_speak():
    imputer = KernelImputer.fit(ColdItemOptions(max_items=2), unit_rows(5), np.array([3, 0, 9, 4, 0]))
    assert imputer.landmarks.tolist() == [2, 3]


def test_a_shorter_embedding_lacks_its_last_dimensions():
    E = unit_rows(8)
    imputer, y = KernelImputer(ColdItemOptions(), E, np.arange(7)), np.ones((7, 1))
    wide = E[[7]].copy()
    wide[:, 4:] = 0
    np.testing.assert_array_equal(imputer.predict(E[[7], :4], y), imputer.predict(wide, y))


def test_nothing_is_known():
    imputer = KernelImputer.fit(ColdItemOptions(), unit_rows(4), np.zeros(4, np.int64))
    assert imputer.predict(unit_rows(2), np.zeros((0, 3))).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    "model",
    [
        TextIALS(IALSConfig(factors=8, iterations=5)),
        TextEASE(EASEConfig(regularization=20.0, text_pull=5.0)),
        SLIT(SLITConfig(regularization=20.0)),
    ],
    ids=["ials", "ease", "slit"],
)
def test_a_cold_item_scores_as_the_mixture_of_the_known_ones(model, tables):
    """For histories of known items: scoring is linear in an item's factors and in its column of weights."""
    query, cold = tables.train_set.queries().take(slice(0, 20)), np.flatnonzero(~tables.warm)
    fitted = model.fit(tables.train_set)
    imputer = KernelImputer.fit(ColdItemOptions(), tables.features, tables.train_set.counts)
    before = fitted.score(query)
    after = fitted.impute_cold_items(cold, tables.features[cold], imputer).score(query)
    expected = imputer.predict(tables.features[cold], before[:, imputer.landmarks].T).T
    np.testing.assert_allclose(after[:, cold], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(after[:, tables.warm], before[:, tables.warm])


@pytest.fixture(scope="module")
def hybrid(tables):
    return recipe_of_hybrid().fit(tables.train_set)


def test_an_item_that_joins_is_what_a_cold_item_of_the_fit_is(hybrid, tables):
    """In every source, whether items join one by one or together."""
    cold = np.flatnonzero(~tables.warm)[:2]
    grown = hybrid.with_new_items(tables.features[cold[:1]]).with_new_items(tables.features[cold[1:]])
    query = tables.train_set.queries().take(slice(0, 9))
    theirs, ours = hybrid.standardised(query), grown.standardised(wider_query(query, 2))
    for name, before, after in zip(hybrid.source_names, theirs, ours, strict=True):
        np.testing.assert_allclose(after[:, :-2], before, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(after[:, -2:], before[:, cold], atol=1e-3, err_msg=name)


def test_text_factors_leave_each_item_out(hybrid, tables):
    """Whatever is known of an item, its text factors are those that the others predict for its text."""
    imputer, V = hybrid.imputer, hybrid.sources["ials"].item_factors
    text_factors = hybrid.sources["text_factors"].vectors
    item = int(imputer.landmarks[5])
    others = imputer.landmarks[imputer.landmarks != item]
    alone = KernelImputer(imputer.options, imputer.features, others)
    expected = alone.predict(tables.features[[item]], V[others])[0]
    np.testing.assert_allclose(text_factors[item], expected, rtol=1e-2, atol=1e-4)
    cold = ~tables.warm
    np.testing.assert_allclose(text_factors[cold], V[cold], rtol=1e-4, atol=1e-6)


def test_text_factors_follow_texts_that_change(hybrid, tables):
    """An item without interactions is where its new text puts it; one with interactions stays where it was."""
    cold, warm = int(np.flatnonzero(~tables.warm)[0]), int(np.flatnonzero(tables.warm)[0])
    twin = int(hybrid.imputer.landmarks[3])
    changed = hybrid.with_item_texts(np.array([cold, warm]), tables.features[[twin, twin]])
    before, after = hybrid.sources["text_factors"].vectors, changed.sources["text_factors"].vectors
    expected = hybrid.imputer.predict(
        tables.features[[twin]], hybrid.sources["ials"].item_factors[hybrid.imputer.landmarks]
    )
    np.testing.assert_allclose(after[cold], expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(np.delete(after, cold, axis=0), np.delete(before, cold, axis=0))


def test_a_wider_ridge_smooths_more():
    E = unit_rows(20)
    y = np.random.default_rng(0).normal(size=(20, 1))
    norms = [
        float(np.abs(KernelImputer(ColdItemOptions(ridge=r), E, np.arange(20)).predict(E, y)).sum())
        for r in (0.1, 1.0, 10.0)
    ]
    assert all(a > b for a, b in pairwise(norms))


# --- items with vectors of other kinds -------------------------------------------------------------------------------

PARTS = {"text": 4, "vector_image": 3}


def of_parts(n, seed=0, without_image=()):
    text, image = unit_rows(n, 4, seed), unit_rows(n, 3, seed + 1)
    image[list(without_image)] = 0
    return text, image, join_parts([text, image])


def weighed(text, **changes):
    weights = {"text": text, "vector_image": 1 - text}
    return ColdItemOptions(**({"width": 0.7, "ridge": 0.2, "dimensions": PARTS, "weights": weights} | changes))


def test_each_part_has_a_kernel_and_a_weight():
    text, image, joined = of_parts(12)
    y = np.random.default_rng(1).normal(size=(9, 3))

    def k(rows, columns):
        of_text = kernel_of(text[rows], text[columns], 0.7) - 1
        return 0.75 * of_text + 0.25 * (kernel_of(image[rows], image[columns], 0.7) - 1) + 1

    known, new = np.arange(9), np.arange(9, 12)
    expected = k(new, known) @ np.linalg.solve(k(known, known) + 0.2 * np.eye(9), y)
    found = KernelImputer(weighed(0.75), joined, known).predict(joined[new], y)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_with_all_weight_on_the_text_it_is_the_kernel_of_the_texts():
    text, _, joined = of_parts(12, without_image=(2, 10))
    y = np.random.default_rng(1).normal(size=(9, 3))
    of_texts = KernelImputer(ColdItemOptions(width=0.7, ridge=0.2), text, np.arange(9)).predict(text[9:], y)
    found = KernelImputer(weighed(1.0), joined, np.arange(9)).predict(joined[9:], y)
    np.testing.assert_allclose(found, of_texts, rtol=1e-4, atol=1e-5)


def test_without_weights_parts_are_equal():
    _, _, joined = of_parts(12)
    y = np.ones((9, 1))
    equal, half = (
        KernelImputer(options, joined, np.arange(9)).predict(joined[9:], y)
        for options in (weighed(0.5, weights={}), weighed(0.5))
    )
    np.testing.assert_array_equal(equal, half)


def test_an_item_without_a_part_is_compared_by_the_others():
    """Of two items without a picture the text counts fully; of one with and one without √w of it."""
    text, image, joined = of_parts(4, without_image=(0, 1))
    kernel = KernelImputer(weighed(0.25), joined, np.arange(4))._kernel(joined)
    of_text, of_image = (kernel_of(part, part, 0.7) - 1 for part in (text, image))
    assert kernel[0, 1] == pytest.approx(of_text[0, 1] + 1, rel=1e-5)
    assert kernel[0, 2] == pytest.approx(np.sqrt(0.25) * of_text[0, 2] + 1, rel=1e-5)
    assert kernel[2, 3] == pytest.approx(0.25 * of_text[2, 3] + 0.75 * of_image[2, 3] + 1, rel=1e-5)
    np.testing.assert_allclose(np.diag(kernel), 2, rtol=1e-6)


def test_it_is_a_kernel_whatever_parts_are_missing():
    """Many items of one text, some with a picture, where weights that are shared out pair by pair make no kernel."""
    image = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    text = np.tile(np.eye(4, dtype=np.float32)[:1], (90, 1))
    image = np.vstack([image, np.zeros((30, 3), np.float32)])
    joined = join_parts([text, image])
    kernel = KernelImputer(weighed(0.05, width=4.0), joined, np.arange(90))._kernel(joined)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
    both = image.any(axis=1)[:, None] & image.any(axis=1)
    by_pair = np.where(both, 0.05 + 0.95 * np.exp(-4.0 * 2 * (1 - image @ image.T)), 1.0) + 1
    assert np.linalg.eigvalsh(by_pair).min() < -5


def test_an_item_that_is_narrower_has_its_text_alone():
    text, _, joined = of_parts(12)
    imputer, y = KernelImputer(weighed(0.5), joined, np.arange(9)), np.arange(9.0)[:, None]
    wide = join_parts([text[9:], np.zeros((3, 3), np.float32)])
    np.testing.assert_array_equal(imputer.predict(text[9:], y), imputer.predict(wide, y))


def test_embeddings_of_other_parts_are_refused():
    _, _, joined = of_parts(4)
    imputer = KernelImputer(weighed(0.5, dimensions={"text": 4, "vector_image": 2}), joined, np.arange(4))
    with pytest.raises(BadInputError, match="7 numbers, but the hybrid was chosen for text 4, vector_image 2"):
        imputer.predict(joined, np.ones((4, 1)))


@pytest.mark.parametrize("options", [ColdItemOptions(), ColdItemOptions(dimensions={"text": 6})])
def test_one_part_is_the_plain_kernel_to_the_bit(options):
    E, y = unit_rows(12), np.random.default_rng(1).normal(size=(9, 3))
    plain = KernelImputer(options, E, np.arange(9))
    distance = (E[9:].astype(float) ** 2).sum(axis=1)[:, None] + (E[:9].astype(float) ** 2).sum(axis=1)
    distance = distance - 2 * (E[9:].astype(float) @ E[:9].astype(float).T)
    np.testing.assert_array_equal(plain._kernel(E[9:]), np.exp(-2.0 * np.maximum(distance, 0)) + 1)
    assert np.isfinite(plain.predict(E[9:], y)).all()
