"""Which items may be listed, what is left out and what counts, for each split and candidate set (DESIGN §8).

| split      | left out of lists              | warm candidates    | cold | mixed        |
|------------|--------------------------------|--------------------|------|--------------|
| validation | train                          | all but cold and B | B    | all but cold |
| test       | train, validation, cold_unused | all but cold       | cold | all          |

Models are fitted on train (validation: without B), and so are the histories; on test these hold the validation rows
too, for all models alike: what users did before the test window is known when it begins.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import bucket_items, keep_items, pseudo_cold_items, warm_items

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class EvalProtocol:
    """One split's rules; matrices are (U, n_items)."""

    history: sparse.csr_matrix
    """What scores are computed from; values order a user's items where time is known."""
    seen: sparse.csr_matrix
    """What lists leave out."""
    candidates: dict[str, Mask]
    """warm, cold, mixed: what may be listed (n_items,)."""
    item_bucket: NDArray[np.str_]
    """head, tail, cold or unseen per item; on validation pseudo-cold B plays the cold items."""


def validation_protocol(items: pd.DataFrame, train: sparse.csr_matrix) -> EvalProtocol:
    """Return the rules of validation lists."""
    cold, held_out = pseudo_cold_items(items, "B"), bucket_items(items, c.COLD)
    bucket = np.where(cold, c.COLD, np.where(held_out, "held_out", items[c.BUCKET].to_numpy(dtype=str)))
    sets = {c.WARM: ~cold & ~held_out, c.COLD: cold, c.MIXED: ~held_out}
    return EvalProtocol(keep_items(train, warm_items(items) & ~cold), train, sets, bucket)


def test_protocol(
    items: pd.DataFrame, train: sparse.csr_matrix, validation: sparse.csr_matrix, cold_unused: sparse.csr_matrix
) -> EvalProtocol:
    """Return the rules of test lists; no positive of the test is needed for them."""
    cold = bucket_items(items, c.COLD)
    sets = {c.WARM: ~cold, c.COLD: cold, c.MIXED: np.ones(len(items), dtype=bool)}
    seen = sparse.csr_matrix(train + validation + cold_unused)
    history = keep_items(sparse.csr_matrix(train + validation), warm_items(items))
    return EvalProtocol(history, seen, sets, items[c.BUCKET].to_numpy(dtype=str))


def positives(matrix: sparse.csr_matrix, protocol: EvalProtocol, candidates: str) -> sparse.csr_matrix:
    """Return the rows that count for one candidate set: those of its items (U, n_items)."""
    return keep_items(matrix, protocol.candidates[candidates])
