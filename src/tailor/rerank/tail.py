"""A lift for tail items."""

from tailor.rerank.base import Floats, Reranker, reranker


@reranker("tail", summary="Lift items of the tail.")
class Tail(Reranker):
    """Gain (1 - s) · relevance + s for items of the tail."""

    def gain(self, step: int) -> Floats:  # noqa: ARG002
        """Return relevance plus the lift (B, P)."""
        lifted = self.pool.metadata.tail[self.pool.items]
        return (1 - self.pool.strength) * self.pool.relevance + self.pool.strength * lifted
