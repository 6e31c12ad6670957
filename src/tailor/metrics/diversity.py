"""How varied, surprising and fitting lists are: one number per user, in blocks.

Shapes: ``B`` users, ``K`` list length, ``m`` embedding dimensions, ``C`` categories. Lists hold internal item ids, -1
for an empty place. NaN where a metric has nothing to say (fewer than two items, no history, no category).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Lists = NDArray[np.int64]
Floats = NDArray[np.float64]
_BLOCK = 1024
_SMOOTHING = 0.01


def intra_list_diversity(lists: Lists, vectors: NDArray[np.float32]) -> Floats:
    """1 - mean cosine over the pairs of a list (Smyth & McClave 2001; Ziegler et al. 2005), (B,).

    Args:
        vectors: L2-normalised item embeddings (n_items, m).
    """
    out = np.full(len(lists), np.nan)
    for start in range(0, len(lists), _BLOCK):
        block = lists[start : start + _BLOCK]
        filled = block >= 0
        n = filled.sum(axis=1)
        listed = vectors[block] * filled[..., None]
        total = listed.sum(axis=1, dtype=np.float64)
        own = (listed.astype(np.float64) ** 2).sum(axis=(1, 2))
        pairs = n * (n - 1)
        similar = ((total**2).sum(axis=1) - own) / np.where(pairs > 0, pairs, 1)
        out[start : start + _BLOCK] = np.where(pairs > 0, 1 - similar, np.nan)
    return out


def category_diversity(lists: Lists, categories: sparse.csr_matrix) -> Floats:
    """1 - mean Jaccard similarity of the category sets over the pairs of a list, (B,); pairs without any category count
    as unlike.

    Args:
        categories: 0/1 (n_items, C).
    """
    out, sizes = np.full(len(lists), np.nan), np.diff(categories.indptr)
    for start in range(0, len(lists), _BLOCK // 4):
        block = lists[start : start + _BLOCK // 4]
        filled = block >= 0
        shape = (*block.shape, categories.shape[1])
        sets = np.asarray(categories[np.where(filled, block, 0).ravel()].toarray(), np.float32).reshape(shape)
        sets *= filled[..., None]
        common = sets @ sets.transpose(0, 2, 1)
        size = sizes[np.where(filled, block, 0)] * filled
        union = size[:, :, None] + size[:, None, :] - common
        alike = common / np.where(union > 0, union, 1)
        n = filled.sum(axis=1)
        pairs = n * (n - 1)
        similar = alike.sum(axis=(1, 2)) - np.einsum("bii->b", alike)
        out[start : start + len(block)] = np.where(pairs > 0, 1 - similar / np.where(pairs > 0, pairs, 1), np.nan)
    return out


def unexpectedness(lists: Lists, history: sparse.csr_matrix, vectors: NDArray[np.float32]) -> Floats:
    """Return 1 - mean cosine of each listed item with the user's history items, (B, K); NaN where there is none.

    Content distance to what is expected, Kaminskas & Bridge 2016, §3.3.2.

    Args:
        history: (B, n_items), row b belongs to ``lists[b]``.
        vectors: L2-normalised item embeddings (n_items, m).
    """
    lengths = np.diff(history.indptr)
    profile = ((history > 0).astype(np.float32) @ vectors) / np.maximum(lengths, 1)[:, None]
    out = np.full(lists.shape, np.nan)
    for start in range(0, len(lists), _BLOCK):
        block = slice(start, start + _BLOCK)
        known = (lists[block] >= 0) & (lengths[block] > 0)[:, None]
        cosine = np.einsum("bkm,bm->bk", vectors[lists[block]], profile[block])
        out[block] = np.where(known, 1 - cosine, np.nan)
    return out


def mean_unexpectedness(lists: Lists, history: sparse.csr_matrix, vectors: NDArray[np.float32]) -> Floats:
    """Mean of :func:`unexpectedness` over a list, (B,)."""
    values = unexpectedness(lists, history, vectors)
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def serendipity(
    lists: Lists, hit: NDArray[np.bool_], history: sparse.csr_matrix, vectors: NDArray[np.float32]
) -> Floats:
    """Σ_(places) hit · unexpectedness / places filled, (B,): what is both wanted and far from the history.

    Relevance times unexpectedness, Kaminskas & Bridge 2016, §3.3.3.

    Args:
        hit: which listed items are positives (B, K).
    """
    values = unexpectedness(lists, history, vectors)
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    gained = np.where(known & hit, values, 0).sum(axis=1)
    return np.where(counts > 0, gained / np.maximum(counts, 1), np.nan)


def popularity_calibration(lists: Lists, history: sparse.csr_matrix, group: NDArray[np.int64], n_groups: int) -> Floats:
    """Jensen-Shannon divergence (bits, 0 to 1) between the popularity groups of the history and of the list, (B,).

    User popularity deviation, Abdollahpouri et al. 2021, "User-centered evaluation of popularity bias", eq. 3.

    Args:
        group: popularity group per item (n_items,), 0 … n_groups - 1.
    """
    member = sparse.csr_matrix((np.ones(len(group)), (np.arange(len(group)), group)), shape=(len(group), n_groups))
    p, q = _shares((history > 0).astype(float) @ member), _shares(_listed(lists, len(group)) @ member)
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def category_calibration(lists: Lists, history: sparse.csr_matrix, categories: sparse.csr_matrix) -> Floats:
    """KL(p || q̃) in bits between the categories of the history, p, and of the list, q̃ = 0.99 q + 0.01 p, (B,).

    Steck 2018, "Calibrated recommendations", eq. 6 and 7; an item's weight is spread evenly over its categories.
    """
    even = sparse.diags(1 / np.maximum(np.diff(categories.indptr), 1)) @ categories
    p, q = _shares((history > 0).astype(float) @ even), _shares(_listed(lists, categories.shape[0]) @ even)
    return _relative_entropy(p, (1 - _SMOOTHING) * q + _SMOOTHING * p)


def _listed(lists: Lists, n_items: int) -> sparse.csr_matrix:
    row, place = np.nonzero(lists >= 0)
    return sparse.csr_matrix((np.ones(len(row)), (row, lists[row, place])), shape=(len(lists), n_items))


def _shares(counts: sparse.csr_matrix) -> Floats:
    table = np.asarray(counts.todense(), dtype=np.float64)
    total = table.sum(axis=1, keepdims=True)
    return np.where(total > 0, table / np.where(total > 0, total, 1), np.nan)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """Σ p log2(p / q) per row; 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / q), 0.0 * (p + q))
    return np.asarray(terms.sum(axis=1))
