"""From texts to batches: views are tokenised once, and a batch holds texts of like length, with little padding."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tailor.data.text import join_pieces
from tailor.lm.augment import drop_pieces
from tailor.lm.config import LMOptions
from tailor.lm.encoder import Tokens, tokenise

Rows = NDArray[np.int64]

#: Batches per pool: texts are sorted by length within a pool only, so batches stay random.
_POOL = 16


def tokenise_views(pieces: list[list[str]], options: LMOptions, seed: int) -> tuple[Tokens, list[Tokens]]:
    """Tokenise the whole texts, and every view of them, once.

    Args:
        pieces: of each item's text, (n_items,).
        options: encoder and augmentation.
        seed: of the pieces that views leave out.

    Returns:
        The whole texts, and the views that an epoch draws one of: the whole texts where no piece is dropped.
    """
    whole = tokenise(join_pieces(pieces).tolist(), options.encoder)
    drop = options.augmentation.attribute_drop
    if not drop:
        return whole, [whole]
    rng = np.random.default_rng([seed, 0])
    views = [drop_pieces(pieces, drop, rng) for _ in range(options.augmentation.n_views)]
    return whole, [tokenise(view, options.encoder) for view in views]


def draw_items(rows: Rows, counts: Rows, balance: float, rng: np.random.Generator) -> Rows:
    """Return the items of one epoch, (n,): each once in random order, or drawn in proportion to n_i^-balance."""
    if balance == 0:
        return rng.permutation(rows)
    chances = np.maximum(counts[rows], 1.0) ** -balance
    return rng.choice(rows, len(rows), p=chances / chances.sum())


def by_length(rows: Rows, lengths: Rows, batch_size: int) -> Iterator[Rows]:
    """Yield positions in ``rows`` (n,), batch by batch, the shortest texts first; ``lengths`` are of all texts."""
    order = np.argsort(lengths[rows], kind="stable")
    yield from (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def shuffled_batches(rows: Rows, lengths: Rows, batch_size: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield batches of ``rows`` (n,) in random order; within pools of 16 batches, rows are sorted by length."""
    pool_size = _POOL * batch_size
    pools = [rows[start : start + pool_size] for start in range(0, len(rows), pool_size)]
    batches = [members[order] for members in pools for order in by_length(members, lengths, batch_size)]
    yield from (batches[index] for index in rng.permutation(len(batches)))
