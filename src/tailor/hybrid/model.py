"""The recipe of the hybrid: which sources, how they are blended, at which operating point."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from tailor.errors import ConfigurationError
from tailor.hybrid.blend import BlendWeights
from tailor.hybrid.click import ClickHead
from tailor.hybrid.cold_items import KernelImputer
from tailor.hybrid.config import Boosts, HybridConfig
from tailor.hybrid.domains import data_of
from tailor.hybrid.scorer import HybridScorer, impute
from tailor.hybrid.sources import SOURCES
from tailor.models.base import (
    Derives,
    FittedModel,
    Floats,
    Model,
    Query,
    State,
    TrainSet,
    part_of_state,
)
from tailor.models.fitting import fit_all, fits
from tailor.models.registry import register_model
from tailor.threads import blocks

#: Users over whom the average user is taken.
_AVERAGED = 512


@register_model("hybrid")
class Hybrid(Model[HybridConfig]):
    """Behaviour, its order, texts, profiles and contexts in one score; :class:`HybridScorer` is what a fit returns."""

    config_class = HybridConfig
    scores_cold_items = True

    def __init__(
        self,
        config: HybridConfig | None = None,
        seed: int = 0,
        blend: BlendWeights | None = None,
        click: ClickHead | None = None,
    ) -> None:
        """Remember the recipe.

        Args:
            config: sources, cold items, boosts.
            seed: of the sources' generators.
            blend: weights that validation chose; None: the first source alone.
            click: the head for click probabilities, where there is one.
        """
        super().__init__(config, seed)
        names = tuple(self.config.sources)
        if not names:
            raise ConfigurationError("hybrid_cf.sources is empty: the hybrid needs at least one source")
        self.blend = BlendWeights.of_one(names[0], names) if blend is None else blend.aligned(names)
        self.click = click

    def with_blend(self, weights: BlendWeights) -> "Hybrid":
        """Return the same recipe with other weights."""
        return Hybrid(self.config, self.seed, weights, self.click)

    def with_boosts(self, boosts: Boosts) -> "Hybrid":
        """Return the same recipe at another operating point."""
        return Hybrid(self.config.model_copy(update={"boosts": boosts}), self.seed, self.blend, self.click)

    def with_click(self, click: ClickHead) -> "Hybrid":
        """Return the same recipe with a head for click probabilities."""
        return Hybrid(self.config, self.seed, self.blend, click)

    def settled(self, sources: Mapping[str, FittedModel]) -> "Hybrid":
        """Return the same recipe with what fits of its sources chose by themselves."""
        options = {name: given | sources[name].settled_options() for name, given in self.config.sources.items()}
        return Hybrid(self.config.model_copy(update={"sources": options}), self.seed, self.blend, self.click)

    def source_models(self) -> dict[str, Model[Any]]:
        """Return an unfitted model for each source."""
        models: dict[str, Model[Any]] = {}
        for name, options in self.config.sources.items():
            model = SOURCES[name].model
            models[name] = model(model.config_class.model_validate(options), self.seed)
        return models

    def fit(
        self, data: TrainSet, pretrained: Mapping[str, FittedModel] | None = None, before: HybridScorer | None = None
    ) -> HybridScorer:
        """See :meth:`Model.fit`.

        Args:
            data: what is learnt from.
            pretrained: sources that were fitted on the same data already, by name.
            before: of an update, what goes on: where its landmarks for cold items are the same, so is their inverse.
        """
        pretrained = pretrained or {}
        recipes = self.source_models()
        of_data = [name for name in recipes if SOURCES[name].derived_from is None]
        anew = {name: recipes[name] for name in of_data if name not in pretrained}
        fitted = fit_all(anew, lambda name: data_of(name, data)) | dict(pretrained)
        fitted = {name: fitted[name] for name in of_data}
        imputer = KernelImputer.fit(self.config.cold_items, data.item_features, data.counts)
        imputer = imputer if before is None else imputer.after(before.imputer)
        cold = np.flatnonzero(~data.warm)
        fitted = impute(fitted, imputer, cold, data.item_features[cold])
        sources = {name: fitted.get(name) or self._derived(name, recipes[name], fitted, imputer) for name in recipes}
        popularity, of_none = _standardised_popularity(data)
        scorer = HybridScorer(
            recipe=self,
            sources=sources,
            imputer=imputer,
            warm=data.warm,
            tail=data.tail,
            popularity=popularity,
            popularity_of_none=of_none,
            mean_scores=np.zeros((len(sources), data.n_items), np.float32),
            mean_zeros=np.zeros(len(sources), np.float32),
            mean_activity=0.0,
            item_features=data.item_features,
            domains=data.domains,
        )
        return _with_means(scorer, data)

    @contextmanager
    def fits_ahead(self, data: TrainSet) -> Iterator[Callable[[], dict[str, FittedModel]]]:
        """Begin the fits that take one thread; yield a function that waits for them, by name of the source.

        Args:
            data: what :meth:`fit` will learn from; its ``pretrained`` takes them.
        """
        of_data = {name: recipe for name, recipe in self.source_models().items() if not SOURCES[name].derived_from}
        slow = {name: recipe for name, recipe in of_data.items() if recipe.fits_on_one_thread}
        with fits(slow, lambda name: data_of(name, data), beside_other_work=True) as fit:
            yield lambda: {name: fit(name) for name in slow}

    def _derived(
        self, name: str, recipe: Model[Any], fitted: Mapping[str, FittedModel], imputer: KernelImputer
    ) -> FittedModel:
        base = self._base_of(name, fitted)
        if not isinstance(recipe, Derives):
            raise ConfigurationError(f"The source {name} is derived, but its model has no method 'derive'")
        return recipe.derive(base, imputer)

    @staticmethod
    def _base_of(name: str, fitted: Mapping[str, FittedModel]) -> FittedModel:
        base = SOURCES[name].derived_from or ""
        if base not in fitted:
            raise ConfigurationError(
                f"hybrid_cf.sources.{name} is computed from {base}, which is left out: set {name} to null too"
            )
        return fitted[base]

    def load(self, state: State) -> HybridScorer:
        """See :meth:`Model.load`.

        Raises:
            ConfigurationError: the state weighs a source that the configuration does not name.
        """
        blend = BlendWeights.from_state(part_of_state(state, "blend")).aligned(tuple(self.config.sources))
        click = ClickHead(state["click/theta"]) if "click/theta" in state else None
        recipe = Hybrid(self.config, self.seed, blend, click)
        sources = recipe._load_sources(part_of_state(state, "sources"))
        texts = state["item_features" if "item_features" in state else "sources/text_knn/features"]
        n_fitted = int(state["cold_items/n_items"][0]) if "cold_items/n_items" in state else len(texts)
        return HybridScorer(
            recipe=recipe,
            sources=sources,
            imputer=KernelImputer(self.config.cold_items, texts[:n_fitted], state["cold_items/landmarks"]),
            warm=state["warm"].astype(bool),
            tail=state["tail"].astype(bool),
            popularity=state["popularity"],
            popularity_of_none=float(state["popularity_of_none"].item()),
            mean_scores=np.stack([state[f"mean_scores/{name}"] for name in sources]),
            mean_zeros=state.get("mean_zeros", np.zeros(len(sources), np.float32)),  # earlier ones lack them
            mean_activity=float(state["mean_activity"].item()),
            item_features=texts,
            domains=state["domains"].astype(np.int64) if "domains" in state else None,
        )

    def _load_sources(self, state: State) -> dict[str, FittedModel]:
        models, loaded = self.source_models(), dict[str, FittedModel]()
        for name, model in models.items():
            if SOURCES[name].derived_from is None:
                loaded[name] = model.load(part_of_state(state, name))
        for name, model in models.items():
            if isinstance(model, Derives):
                loaded[name] = model.load_derived(part_of_state(state, name), self._base_of(name, loaded))
        return {name: loaded[name] for name in models}


def _standardised_popularity(data: TrainSet) -> tuple[Floats, float]:
    """Return log(1 + train interactions), standardised over warm items (n_items,), and what it is for none."""
    logs, warm = np.log1p(data.counts.astype(np.float64)), data.warm
    mean, deviation = (logs[warm].mean(), logs[warm].std() or 1.0) if warm.any() else (0.0, 1.0)
    return np.asarray((logs - mean) / deviation, dtype=np.float32), float(-mean / deviation)


def _with_means(scorer: HybridScorer, data: TrainSet) -> HybridScorer:
    """Return the scorer with the mean standardised scores of (a sample of) the users with a history."""
    queries: Query = data.queries()
    users = np.flatnonzero(queries.lengths > 0)
    if len(users) > _AVERAGED:
        users = users[np.linspace(0, len(users) - 1, _AVERAGED).astype(np.int64)]
    total, zeros = np.zeros((len(scorer.sources), scorer.n_items)), np.zeros(len(scorer.sources))
    for block in blocks(len(users)):
        query = queries.take(users[block])
        for place, name in enumerate(scorer.sources):
            scores = scorer.source_scores(name, query)
            mean, deviation = scorer.mean_and_deviation(scores)
            total[place] += ((scores - mean) / deviation).sum(axis=0)
            zeros[place] -= (mean / deviation).mean(axis=1).sum()
    n = max(len(users), 1)
    mean_scores, mean_zeros = (total / n).astype(np.float32), (zeros / n).astype(np.float32)
    activity = float(np.log1p(queries.lengths[users]).mean()) if len(users) else 0.0
    averaged = replace(scorer, mean_scores=mean_scores, mean_zeros=mean_zeros, mean_activity=activity)
    cold = np.flatnonzero(~scorer.warm)
    return averaged.with_mean_scores_of_cold(cold, scorer.item_features[cold])
