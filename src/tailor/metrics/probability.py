"""Are probabilities right? AUC, log-loss and calibration over all unobserved cells, in one pass over blocks.

Everything is counted in bins of log odds, so the result does not depend on how cells come in blocks (sums of
probabilities: up to rounding), and memory is that of the bins.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

_BINS, _EDGE = 1 << 16, 20.0


@dataclass
class Tally:
    """Cells by log odds of their predicted probability."""

    cells: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    positives: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    predicted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS))
    loss: float = 0.0

    def add(self, probability: NDArray[np.float64], label: NDArray[np.bool_]) -> None:
        """Count cells; both arrays have the same shape, probabilities lie within (0, 1)."""
        p, y = probability.ravel(), label.ravel()
        p = np.clip(p, 1e-12, 1 - 1e-12)
        bins = np.clip(((logit(p) / _EDGE + 1) / 2 * _BINS).astype(np.int64), 0, _BINS - 1)
        self.cells += np.bincount(bins, minlength=_BINS)
        self.positives += np.bincount(bins[y], minlength=_BINS)
        self.predicted += np.bincount(bins, weights=p, minlength=_BINS)
        self.loss -= float(np.log(p[y]).sum() + np.log1p(-p[~y]).sum())

    def auc(self) -> float:
        """Chance that a positive cell is ranked above a negative one, ties count half (Hanley & McNeil 1982).

        Cells within one bin (6e-4 of log odds) count as ties. NaN without positives or without negatives.
        """
        negatives = self.cells - self.positives
        n_pairs = float(self.positives.sum()) * float(negatives.sum())
        if not n_pairs:
            return float("nan")
        below = np.cumsum(negatives) - negatives
        return float((self.positives * (below + negatives / 2)).sum() / n_pairs)

    def log_loss(self) -> float:
        """-Σ y log p + (1 - y) log(1 - p) / all cells, in nats."""
        return self.loss / int(self.cells.sum()) if self.cells.any() else float("nan")

    def ece(self, n_groups: int = 20) -> float:
        """Expected calibration error Σ_g |Σ_g p - Σ_g y| / all cells (Naeini et al. 2015), groups of equal numbers of
        *positives*: clicks are rare, and groups of equal width or size would put nearly all of them into one."""
        return float(np.abs(self.curve(n_groups) @ [0.0, 1.0, -1.0]).sum() / max(int(self.cells.sum()), 1))

    def curve(self, n_groups: int = 20) -> NDArray[np.float64]:
        """Return per group (cells, Σ p, Σ y), lowest probabilities first; at most ``n_groups`` rows."""
        seen = np.cumsum(self.positives)
        group = np.minimum((seen - self.positives) * n_groups // max(int(seen[-1]), 1), n_groups - 1)
        sums = [np.bincount(group, weights=v, minlength=n_groups) for v in (self.cells, self.predicted, self.positives)]
        table = np.stack(sums, axis=1)
        return np.asarray(table[table[:, 0] > 0])


def rmse(predicted: NDArray[np.float64], rating: NDArray[np.float64]) -> float:
    """sqrt(Σ (r̂ - r)² / n) over rated test cells; NaN without any."""
    return float(np.sqrt(np.mean((predicted - rating) ** 2))) if len(rating) else float("nan")


def mae(predicted: NDArray[np.float64], rating: NDArray[np.float64]) -> float:
    """Σ |r̂ - r| / n over rated test cells; NaN without any."""
    return float(np.abs(predicted - rating).mean()) if len(rating) else float("nan")
