"""What every re-ranker must do, as tests to inherit.

from tailor.testing.rerankers import RerankerTests

class TestRecentFirst(RerankerTests):
    method = "recent_first"
"""

from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.rerank import base
from tailor.rerank.base import RerankOptions, rerank
from tailor.testing.metrics import fabricate_metadata

#: Pool (U, P), its scores (U, P), histories (U, n_items), items.
Case = tuple[NDArray[np.int64], NDArray[np.float32], sparse.csr_matrix, ItemMetadata]
Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]


def fabricate_pool(seed: int = 0, n_users: int = 9, n_items: int = 30, size: int = 12) -> Case:
    """Return pools of distinct items with falling scores; the first has empty places, the second no item at all."""
    rng = np.random.default_rng(seed)
    pool = np.stack([rng.permutation(n_items)[:size] for _ in range(n_users)])
    scores = -np.sort(-rng.normal(size=pool.shape).astype(np.float32), axis=1)
    pool[0, 3:], scores[0, 3:] = -1, -np.inf
    pool[1], scores[1] = -1, -np.inf
    history = sparse.csr_matrix((rng.random((n_users, n_items)) < 0.3).astype(np.float32))
    return pool, scores, history, fabricate_metadata(n_items, seed)


@pytest.mark.parametrize("seed", range(3))
class RerankerTests:
    """Inherit, and set ``method``."""

    method: ClassVar[str]
    """Its registered name."""
    strength: ClassVar[float] = 0.6

    def case(self, seed: int) -> Case:
        """Return pool, scores, histories and items; override it where the method needs others."""
        return fabricate_pool(seed)

    def ranked(self, case: Case, strength: float, k: int = 6) -> Ranked:
        """Return items (U, k) and scores (U, k)."""
        pool, scores, history, metadata = case
        return rerank(pool, scores, history, metadata, RerankOptions(method=self.method, strength=strength), k)

    def test_strength_zero_is_the_list_as_it_is(self, seed: int) -> None:
        """Bit for bit."""
        case = self.case(seed)
        items, values = self.ranked(case, 0.0)
        assert items.tobytes() == case[0][:, :6].tobytes()
        assert values.tobytes() == case[1][:, :6].tobytes()

    def test_a_tiny_strength_changes_nothing_that_scores_tell_apart(self, seed: int) -> None:
        """The method goes to the list as it is when its strength goes to 0."""
        case = self.case(seed)
        items, _ = self.ranked(case, 1e-9)
        assert items.tolist() == case[0][:, :6].tolist()

    @pytest.mark.parametrize("strength", [0.3, 1.0])
    def test_lists_hold_items_of_the_pool_once_with_their_scores(self, seed: int, strength: float) -> None:
        """A list is a choice of the pool; nothing is repeated, and scores stay those of the items."""
        case = self.case(seed)
        items, values = self.ranked(case, strength)
        for listed, listed_scores, pool, scores in zip(items, values, case[0], case[1], strict=True):
            filled = listed >= 0
            assert filled.sum() == min(len(listed), (pool >= 0).sum())
            assert len(set(listed[filled])) == filled.sum()
            score_of = dict(zip(pool.tolist(), scores.tolist(), strict=True))
            assert [score_of[item] for item in listed[filled].tolist()] == listed_scores[filled].tolist()

    def test_empty_places_come_last(self, seed: int) -> None:
        """-1 with the score -inf, behind all items."""
        items, values = self.ranked(self.case(seed), self.strength)
        filled = items >= 0
        assert (np.diff(filled.astype(int), axis=1) <= 0).all()
        assert np.isneginf(values[~filled]).all()
        assert not np.isneginf(values[filled]).any()

    def test_it_is_deterministic_and_leaves_its_input_alone(self, seed: int) -> None:
        """Twice the same pool gives the same lists, and no array is written to."""
        case = self.case(seed)
        before = [case[0].copy(), case[1].copy(), case[2].toarray()]
        first, again = self.ranked(case, self.strength), self.ranked(case, self.strength)
        assert first[0].tolist() == again[0].tolist()
        for old, new in zip(before, [case[0], case[1], case[2].toarray()], strict=True):
            np.testing.assert_array_equal(old, new)

    def test_neither_blocks_nor_the_order_of_users_matter(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user's list depends on nobody else's."""
        pool, scores, history, metadata = self.case(seed)
        whole = self.ranked((pool, scores, history, metadata), self.strength)[0]
        monkeypatch.setattr(base, "_BLOCK", 2)
        assert self.ranked((pool, scores, history, metadata), self.strength)[0].tolist() == whole.tolist()
        order = np.random.default_rng(seed).permutation(len(pool))
        shuffled = (pool[order], scores[order], sparse.csr_matrix(history[order]), metadata)
        assert self.ranked(shuffled, self.strength)[0].tolist() == whole[order].tolist()
