"""From pooled states to the embeddings e_i: centred, on request whitened, L2-normalised.

They are the item features of docs/explanation/mathematics.md, section "Text-prior iALS".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailor.linear_algebra import unit_rows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Whitening:
    """An affine map fitted on some items and applied to all."""

    centre: Floats
    """Mean of the items it was fitted on, (m,)."""
    projection: Floats | None = None
    """Symmetric (m, m), None for the identity."""

    @classmethod
    def fit(
        cls, pooled: Floats, fitted_on: NDArray[np.bool_], method: str = "none", shrinkage: float = 0.1
    ) -> "Whitening":
        """Fit on the rows ``fitted_on`` (n,) of ``pooled`` (n, m).

        ``zca`` is C^(-1/2) of the covariance C shrunk toward its mean variance σ², (1 - s) C + s σ² I: Kessy et al.
        2018, "Optimal whitening and decorrelation", with the shrinkage of Ledoit & Wolf 2004.
        """
        sample = pooled[fitted_on].astype(np.float64)
        centre = sample.mean(axis=0)
        if method == "none":
            return cls(centre.astype(np.float32))
        covariance = np.cov(sample - centre, rowvar=False, bias=True)
        values, vectors = np.linalg.eigh(covariance)
        values = (1 - shrinkage) * np.maximum(values, 0) + shrinkage * values.mean()
        return cls(centre.astype(np.float32), ((vectors / np.sqrt(values)) @ vectors.T).astype(np.float32))

    def apply(self, pooled: Floats) -> Floats:
        """Return centred, projected rows of length 1, (n, m); a row that equals the centre stays zero."""
        centred = pooled - self.centre
        projected = centred if self.projection is None else centred @ self.projection
        return np.asarray(unit_rows(projected), dtype=np.float32)
