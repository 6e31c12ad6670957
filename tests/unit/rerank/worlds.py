"""Pools with embeddings, categories and a tail, at random."""

import numpy as np
from scipy import sparse

from tailor.data.item_metadata import ItemMetadata
from tailor.testing.metrics import fabricate_metadata


def world(seed=0, n_users=6, n_items=30, size=12):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = fabricate_metadata(n_items).table.assign(categories=[f'["c{i}"]' for i in rng.integers(0, 4, n_items)])
    bucket = np.where(rng.random(n_items) < 0.4, "tail", "head")
    metadata = ItemMetadata(table, vectors=vectors, n_train=np.ones(n_items, np.int64), bucket=bucket)
    pool = np.stack([rng.permutation(n_items)[:size] for _ in range(n_users)])
    scores = -np.sort(-rng.normal(size=pool.shape).astype(np.float32), axis=1)
    history = sparse.csr_matrix((rng.random((n_users, n_items)) < 0.3).astype(np.float32))
    return pool, scores, history, metadata
