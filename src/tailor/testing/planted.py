"""Data with a planted truth: two blocks of users and items that history, texts, profiles, contexts and what users write
all tell apart.

The checkerboard of benfred/implicit's own tests, with the rest of what a Tailor model may read: whatever learns from
any of it must rank the items of a user's own block first.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from tailor.data.user_texts import NO_ITEM, UserTexts
from tailor.models.base import Contexts, Csr, Floats, Indices, Mask, Query, TrainSet

N_BLOCKS = 2
#: Every so many items one is cold, and every so many users one has taken nothing.
_COLD_EVERY, _EMPTY_EVERY = 5, 12


@dataclass(frozen=True)
class PlantedBlocks:
    """A train set, and the truth behind it."""

    data: TrainSet
    """Histories stay in the user's own block; every fifth item is cold, every twelfth user has no history."""
    item_block: Indices
    """(n_items,)."""
    user_block: Indices
    """(U,)."""

    @property
    def cold(self) -> Indices:
        """Items without interactions (c,)."""
        return np.flatnonzero(~self.data.warm)

    @property
    def known_users(self) -> Indices:
        """Users with a history and a profile."""
        return np.flatnonzero((np.diff(self.data.interactions.indptr) > 0) & self.data.profiles.any(axis=1))

    def query(self, users: Indices | None = None) -> Query:
        """Return some users (all by default) with all that is known of them: history, order, profile, context."""
        rows = np.arange(len(self.user_block)) if users is None else users
        query = self.data.queries().take(rows)
        contexts = block_indicators(self.user_block[rows])
        return replace(query, context=contexts, memo={})

    def share_in_order(self, scores: Floats, users: Indices, items: Mask) -> float:
        """Return how often an unseen item of the own block is above one of the other block: 1 always, .5 by chance.

        Args:
            scores: (B, n_items).
            users: rows of the user table (B,).
            items: which items count (n_items,).
        """
        shares = []
        for row, user in zip(scores, users, strict=True):
            unseen = items & ~np.isin(np.arange(len(row)), self.data.interactions[[user]].indices)
            in_block = self.item_block == self.user_block[user]
            gaps = row[unseen & in_block][:, None] - row[unseen & ~in_block]
            shares.append(np.mean((gaps > 0) + 0.5 * (gaps == 0)))
        return float(np.mean(shares))


def planted_blocks(seed: int = 0, n_users: int = 80, n_items: int = 50) -> PlantedBlocks:
    """Plant two blocks.

    Args:
        seed: of the generator.
        n_users: users, every other one in the second block.
        n_items: likewise.

    Example:
        >>> planted = planted_blocks(n_users=6, n_items=10)
        >>> planted.data.interactions.shape, planted.cold
        ((6, 10), array([4, 9]))
    """
    rng = np.random.default_rng(seed)
    item_block, user_block = np.arange(n_items) % N_BLOCKS, np.arange(n_users) % N_BLOCKS
    warm = np.arange(n_items) % _COLD_EVERY != _COLD_EVERY - 1
    order = _histories(rng, item_block, user_block, warm)
    ones = np.ones(order.nnz, np.float32)
    interactions = sparse.csr_matrix((ones, order.indices.copy(), order.indptr.copy()), shape=order.shape)
    counts = np.bincount(order.indices, minlength=n_items)
    profiles = block_indicators(user_block)
    profiles[:: _EMPTY_EVERY // 2] = 0  # nothing is known of these
    users, items = interactions.nonzero()
    contexts = Contexts(users.astype(np.int64), items.astype(np.int64), block_indicators(item_block[items]))
    data = TrainSet.of(
        interactions,
        warm,
        order=order,
        tail=warm & (counts < np.median(counts[warm])),
        item_features=_texts(rng, item_block),
        profiles=profiles,
        contexts=contexts,
    ).with_user_texts(_user_texts(np.random.default_rng([seed, 1]), user_block))
    return PlantedBlocks(data, item_block, user_block)


def block_indicators(blocks: Indices) -> Floats:
    """Return centred indicators of the blocks (n, 2), as :mod:`tailor.data.side_features` writes them."""
    return np.eye(N_BLOCKS, dtype=np.float32)[blocks] - np.float32(1 / N_BLOCKS)


def _histories(rng: np.random.Generator, item_block: Indices, user_block: Indices, warm: Mask) -> Csr:
    """Return the places (U, n_items) of what users have taken, from 1: half to four fifths of the own block."""
    rows: list[int] = []
    columns: list[int] = []
    positions: list[int] = []
    for user, block in enumerate(user_block):
        candidates = np.flatnonzero(warm & (item_block == block))
        n_taken = 0 if user % _EMPTY_EVERY == _EMPTY_EVERY - 1 else _draw(rng, len(candidates))
        rows += [user] * n_taken
        columns += rng.permutation(candidates)[:n_taken].tolist()
        positions += range(1, n_taken + 1)
    values = np.array(positions, np.float32)
    order = sparse.csr_matrix((values, (rows, columns)), shape=(len(user_block), len(item_block)))
    order.sort_indices()
    return order


def _draw(rng: np.random.Generator, n_candidates: int) -> int:
    return int(rng.integers(max(1, n_candidates // 2), max(2, 4 * n_candidates // 5) + 1))


def _user_texts(rng: np.random.Generator, user_block: Indices) -> UserTexts:
    """Return two texts for each user, about no item: one near their block that praises, one near the other block."""
    users = np.repeat(np.arange(len(user_block)), 2)
    is_praise = np.arange(len(users)) % 2 == 0
    vectors = _texts(rng, np.where(is_praise, user_block[users], 1 - user_block[users]))
    return UserTexts(users, np.full(len(users), NO_ITEM), is_praise, np.arange(len(users)), vectors)


def _texts(rng: np.random.Generator, item_block: Indices, width: int = 6) -> Floats:
    """Return embeddings (n_items, width) near that of their block, of length 1."""
    features = np.eye(N_BLOCKS, width)[item_block] + 0.1 * rng.normal(size=(len(item_block), width))
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), dtype=np.float32)
