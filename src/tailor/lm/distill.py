"""Distilling the tuned encoder into a table of token vectors, for queries where there is no torch.

Each token is first encoded alone (Tulkens & van Dongen 2024, "Model2Vec"); then the table T moves as little as it can
toward means that equal the teacher's embeddings Y of the catalogue's texts:

    min_T |A T - Y|² + λ |T - T₀|²,    T = T₀ + Aᵀ (A Aᵀ + λI)⁻¹ (Y - A T₀)

with A (n, V) the shares of the tokens in each text.
"""

import numpy as np
from scipy import sparse

from tailor.linear_algebra import solve_spd
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder

#: Texts that the table is fitted on at most (drawn by seed): the solve is of that size. λ, in units of one text.
_TEXTS, _RIDGE = 5000, 0.02


def distil(teacher: TextEncoder, texts: list[str], n_tokens: int, seed: int) -> StaticEncoder:
    """Distil the encoder ``teacher`` into a table of token vectors.

    Args:
        teacher: the encoder as it is packaged.
        texts: of the kind that will be asked for: items' texts, their pieces, names of categories.
        n_tokens: ids below are known to the student, and those of the texts; ids follow frequency in the usual
            vocabularies.
        seed: of the draw where there are too many texts.

    Returns:
        A table over the teacher's vocabulary; rows of tokens that it does not know are 0.
    """
    unique = sorted({text for text in texts if text.strip()})
    drawn = np.sort(np.random.default_rng(seed).permutation(len(unique))[:_TEXTS])
    chosen, size = [unique[index] for index in drawn], len(teacher.tokenizer)
    tokens = teacher.tokenizer.backend_tokenizer.to_str()
    A, Y = shares(tokens, chosen, size), teacher.encode(chosen)
    known = np.union1d(np.arange(min(n_tokens, size)), A.indices)
    known = np.setdiff1d(known, teacher.tokenizer.all_special_ids)
    table = np.zeros((size, Y.shape[1]), np.float32)
    table[known] = teacher.encode_tokens(known)
    # Ridge regression in its dual form: there are far fewer texts than tokens.
    kernel = (A @ A.T).toarray() + _RIDGE * np.eye(len(chosen))
    moved = A.T @ solve_spd(kernel, Y - A @ table)
    return StaticEncoder((table + moved).astype(np.float16), tokens)


def shares(tokens: str, texts: list[str], n_tokens: int) -> sparse.csr_matrix:
    """Return the share of each token in each text (n, V), by a tokenizer in JSON."""
    ids = StaticEncoder(np.zeros((0, 0), np.float16), tokens).ids(texts)
    rows = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    values = np.concatenate([np.full(len(row), 1 / max(len(row), 1)) for row in ids])
    cells = (values, (rows, np.concatenate(ids).astype(np.int64)))
    return sparse.csr_matrix(cells, shape=(len(texts), n_tokens))
