"""What is trained: an encoder under an objective, the closed-form start of its head, and the measure of an epoch."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from tailor.linear_algebra import ridge
from tailor.lm import ranks
from tailor.lm.batching import Rows, by_length
from tailor.lm.encoder import Batch, Tokens, pool
from tailor.lm.objective import Objective
from tailor.lm.training_data import TrainingData
from tailor.metrics.accuracy import hits, ndcg
from tailor.progress import progress
from tailor.topk import top_k

Floats = NDArray[np.float32]


class EmbeddingModel(torch.nn.Module):
    """Encoder, centring, L2 normalisation and objective."""

    def __init__(self, encoder: torch.nn.Module, centre: torch.Tensor, objective: Objective, pooling: str) -> None:
        """Join the parts; ``centre`` (m,) is subtracted from pooled states."""
        super().__init__()
        self.encoder, self.objective, self.pooling = encoder, objective, pooling
        self.centre: torch.Tensor
        self.register_buffer("centre", centre)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Embed texts, (B, m); of none, no rows."""
        if not len(batch["input_ids"]):
            return self.centre.new_zeros(0, len(self.centre))
        return torch.nn.functional.normalize(pool(self.encoder, batch, self.pooling) - self.centre, dim=1)

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """Return the parameters that training changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def embed(self, tokens: Tokens, rows: Rows, batch_size: int) -> Floats:
        """Embed the texts ``rows`` (n,) of a corpus, (n, m), in their order."""
        embeddings = np.zeros((len(rows), len(self.centre)), np.float32)
        batches = list(by_length(rows, tokens.lengths(), batch_size))
        for order in progress(ranks.shares(batches), "embed", "batch"):
            embeddings[order] = self(tokens.batch(rows[order])).cpu().numpy()
        return ranks.join_shares(embeddings, len(batches))


def ridge_head(
    embeddings: Floats, factors: Floats, weights: Floats, regularization: float, toward: torch.Tensor | None = None
) -> torch.Tensor:
    """Fit factors ≈ [e, 1] W by weighted ridge regression in closed form: the start of the head.

    Args:
        embeddings: (n, m).
        factors: of the teacher's items (n, d).
        weights: of the items (n,).
        regularization: λ, on the bias too.
        toward: another head (d, m + 1) that the ridge pulls to, |W - W₀|²; None: 0.

    Returns:
        Wᵀ (d, m + 1), last column the bias.
    """
    with_bias = np.hstack([embeddings, np.ones((len(embeddings), 1))])
    if toward is None:
        W = ridge(with_bias, factors, regularization, weights)
    else:
        start = toward.numpy().T
        W = start + ridge(with_bias, factors - with_bias @ start, regularization, weights)
    return torch.from_numpy(np.ascontiguousarray(W.T, dtype=np.float32))


class ColdRanking:
    """How well predicted factors rank the items that choose the epoch, pseudo-cold A."""

    def __init__(self, data: TrainingData, seed: int) -> None:
        """Take the positives of these items; ``seed`` breaks ties."""
        self.rows = np.flatnonzero(data.stop_on)
        self._user_factors = data.user_factors
        self._positives = sparse.csr_matrix(data.train[:, self.rows])
        self._tie_rank = np.random.default_rng(seed).permutation(len(self.rows))

    def ndcg(self, item_factors: Floats, k: int = 20, block_users: int = 1024) -> float:
        """Return the mean NDCG@k of users' lists over these items alone, by factors (n, d) of theirs."""
        values = []
        for start in range(0, len(self._user_factors), block_users):
            block = slice(start, start + block_users)
            scores = (self._user_factors[block] @ item_factors.T).astype(np.float32)
            lists, _ = top_k(scores, k, self._tie_rank)
            positives = self._positives[block]
            values.append(ndcg(hits(lists, positives), np.diff(positives.indptr), k))
        return float(np.nanmean(np.concatenate(values)))
