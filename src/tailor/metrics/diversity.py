"""How varied, surprising and fitting lists are: one number per user, in blocks.

Shapes: ``U`` users, ``K`` list length, ``m`` embedding dimensions, ``C`` categories. NaN where a metric has nothing to
say: fewer than two items, no history, no category, a catalogue without embeddings or without categories.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tailor.metrics.base import MIXED_TEST, Floats, Lists, metric

_BLOCK = 1024
_SMOOTHING = 0.01
_N_GROUPS = 3


@metric("intra_list_diversity", per="user", scope=MIXED_TEST)
def intra_list_diversity(lists: Lists) -> Floats:
    """1 - mean cosine over the pairs of a list (Smyth & McClave 2001; Ziegler et al. 2005), (U,)."""
    out, vectors = lists.nothing(), lists.metadata.vectors
    for start in range(0, len(out) if len(vectors) else 0, _BLOCK):
        block = lists.items[start : start + _BLOCK]
        filled = block >= 0
        n = filled.sum(axis=1)
        listed = vectors[block] * filled[..., None]
        total = listed.sum(axis=1, dtype=np.float64)
        with_itself = (listed.astype(np.float64) ** 2).sum(axis=(1, 2))
        out[start : start + _BLOCK] = _one_minus_mean((total**2).sum(axis=1) - with_itself, n * (n - 1))
    return out


@metric("category_diversity", per="user", scope=MIXED_TEST)
def category_diversity(lists: Lists) -> Floats:
    """1 - mean Jaccard similarity of the category sets over the pairs of a list, (U,).

    Pairs without any category count as unlike.
    """
    out, categories = lists.nothing(), lists.metadata.category_matrix
    for start in range(0, len(out) if categories.shape[1] else 0, _BLOCK // 4):
        block = lists.items[start : start + _BLOCK // 4]
        n = (block >= 0).sum(axis=1)
        alike = _jaccard(block, categories)
        similar = alike.sum(axis=(1, 2)) - np.einsum("bii->b", alike)
        out[start : start + len(block)] = _one_minus_mean(similar, n * (n - 1))
    return out


def _jaccard(block: NDArray[np.int64], categories: sparse.csr_matrix) -> NDArray[np.float32]:
    """Return the Jaccard similarity of every pair of places (B, K, K); 0 with an empty place."""
    filled, items = block >= 0, np.maximum(block, 0)
    sets = np.asarray(categories[items.ravel()].toarray(), np.float32).reshape(*block.shape, categories.shape[1])
    sets *= filled[..., None]
    common = sets @ sets.transpose(0, 2, 1)
    size = np.diff(categories.indptr)[items] * filled
    union = size[:, :, None] + size[:, None, :] - common
    return np.asarray(common / np.where(union > 0, union, 1))


def _one_minus_mean(total: Floats, n_pairs: NDArray[np.int64]) -> Floats:
    return np.where(n_pairs > 0, 1 - total / np.where(n_pairs > 0, n_pairs, 1), np.nan)


def item_unexpectedness(lists: Lists) -> Floats:
    """Return 1 - mean cosine of each listed item with the user's history items, (U, K); NaN where there is none.

    Content distance to what is expected, Kaminskas & Bridge 2016, §3.3.2.
    """
    vectors, lengths = lists.metadata.vectors, np.diff(lists.history.indptr)
    out = np.full(lists.items.shape, np.nan)
    if not len(vectors):
        return out
    taste = ((lists.history > 0).astype(np.float32) @ vectors) / np.maximum(lengths, 1)[:, None]
    for start in range(0, len(out), _BLOCK):
        block = slice(start, start + _BLOCK)
        known = lists.filled[block] & (lengths[block] > 0)[:, None]
        cosine = np.einsum("bkm,bm->bk", vectors[lists.items[block]], taste[block])
        out[block] = np.where(known, 1 - cosine, np.nan)
    return out


@metric("unexpectedness", per="user", scope=MIXED_TEST)
def unexpectedness(lists: Lists) -> Floats:
    """Mean of :func:`item_unexpectedness` over a list, (U,)."""
    values = item_unexpectedness(lists)
    return _mean_of_known(values, ~np.isnan(values))


@metric("serendipity", per="user", scope=MIXED_TEST)
def serendipity(lists: Lists) -> Floats:
    """Σ_(places) hit · unexpectedness / places filled, (U,): what the user wants and would not have expected.

    Relevance times unexpectedness, Kaminskas & Bridge 2016, §3.3.3. NaN where a user has no positives.
    """
    values = item_unexpectedness(lists)
    gained = _mean_of_known(np.where(lists.hits, values, 0.0), ~np.isnan(values))
    return np.where(np.diff(lists.positives.indptr) > 0, gained, np.nan)


def _mean_of_known(values: Floats, known: NDArray[np.bool_]) -> Floats:
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)


@metric("popularity_calibration", per="user", scope=MIXED_TEST)
def popularity_calibration(lists: Lists) -> Floats:
    """Jensen-Shannon divergence (bits, 0 to 1) between the popularity groups of the history and of the list, (U,).

    User popularity deviation, Abdollahpouri et al. 2021, "User-centered evaluation of popularity bias", eq. 3.
    """
    group = lists.popularity_group
    member = sparse.csr_matrix((np.ones(len(group)), (np.arange(len(group)), group)), shape=(len(group), _N_GROUPS))
    p, q = _shares((lists.history > 0).astype(float) @ member), _shares(_listed(lists) @ member)
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


@metric("category_calibration", per="user", scope=MIXED_TEST)
def category_calibration(lists: Lists) -> Floats:
    """KL(p || q̃) in bits between the categories of the history, p, and of the list, q̃ = 0.99 q + 0.01 p, (U,).

    Steck 2018, "Calibrated recommendations", eq. 6 and 7; an item's weight is spread evenly over its categories.
    """
    categories = lists.metadata.category_matrix
    if not categories.shape[1]:
        return lists.nothing()
    even = sparse.diags(1 / np.maximum(np.diff(categories.indptr), 1)) @ categories
    p, q = _shares((lists.history > 0).astype(float) @ even), _shares(_listed(lists) @ even)
    return _relative_entropy(p, (1 - _SMOOTHING) * q + _SMOOTHING * p)


def _listed(lists: Lists) -> sparse.csr_matrix:
    """Return listed items as a 0/1 matrix (U, n_items)."""
    row, place = np.nonzero(lists.filled)
    shape = (len(lists.items), len(lists.metadata.table))
    return sparse.csr_matrix((np.ones(len(row)), (row, lists.items[row, place])), shape=shape)


def _shares(counts: sparse.csr_matrix) -> Floats:
    table = np.asarray(counts.todense(), dtype=np.float64)
    total = table.sum(axis=1, keepdims=True)
    return np.where(total > 0, table / np.where(total > 0, total, 1), np.nan)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """Σ p log2(p / q) per row; 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / q), 0.0 * (p + q))
    return np.asarray(terms.sum(axis=1))
