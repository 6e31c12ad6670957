"""The ``implicit`` library's ALS (Hu, Koren & Volinsky 2008), users recalculated from their history: a peer."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tailor.config import Count, Options, Positive
from tailor.models.base import FittedModel, Floats, Model, Query, State, TrainSet
from tailor.models.registry import register_model
from tailor.progress import progress
from tailor.threads import n_threads


class ImplicitALSConfig(Options):
    """Configuration of ``implicit.als.AlternatingLeastSquares``."""

    factors: Count = 64
    """Latent dimension."""
    regularization: Positive = 0.01
    """L2 penalty on both sides."""
    alpha: Positive = 1.0
    """Weight of an observed interaction."""
    iterations: Annotated[int, Field(ge=1)] = 15
    """Alternating sweeps."""


@dataclass(frozen=True, eq=False)
class FittedImplicitALS(FittedModel):
    """Item factors; user factors are recalculated for each query."""

    recipe: "ImplicitALS"
    item_factors: Floats
    """(n_items, d)."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.item_factors)

    def _score(self, query: Query) -> Floats:
        model = self.recipe.library_model()
        model.item_factors = self.item_factors
        factors = model.recalculate_user(np.arange(len(query)), query.weights)
        return np.asarray(factors @ self.item_factors.T, dtype=np.float32)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"item_factors": self.item_factors}


@register_model("implicit_als")
class ImplicitALS(Model[ImplicitALSConfig]):
    """Matrix factorization by the library ``implicit``: alternating least squares."""

    config_class = ImplicitALSConfig

    def library_model(self) -> Any:
        """Return the library's unfitted model; a row is solved by one thread, so their number changes no bit of it."""
        from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415  (a peer: fitted here, never served)

        with self._one_thread_of_blas():
            return AlternatingLeastSquares(**self.config.model_dump(), random_state=self.seed, num_threads=n_threads())

    @staticmethod
    def _one_thread_of_blas() -> AbstractContextManager[object]:
        """Hold BLAS to one thread, as the library asks for: with more it sums in another order."""
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
        return limits

    def fit(self, data: TrainSet) -> FittedImplicitALS:
        """See :meth:`Model.fit`."""
        model = self.library_model()
        with self._one_thread_of_blas(), progress((), "implicit ALS", "sweep", self.config.iterations) as bar:
            model.fit(data.weights, show_progress=False, callback=lambda *_: bar.update())
        return FittedImplicitALS(self, np.asarray(model.item_factors))

    def load(self, state: State) -> FittedImplicitALS:
        """See :meth:`Model.load`; a copy, since the library asks for arrays that it could write to."""
        return FittedImplicitALS(self, state["item_factors"].copy())
