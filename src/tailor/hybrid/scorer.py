"""The hybrid scorer (docs/explanation/mathematics.md, "Hybrid score"): sources standardised per user, blended by
weights that validation chose, under boosts.

Items with train interactions, items without, and short histories have weights of their own; a user without any history
gets the popular items unless validation showed better.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tailor.appending import append, append_columns
from tailor.config import parse
from tailor.data.domains import domain_masks_of
from tailor.data.interactions import empty_rows
from tailor.errors import BadInputError
from tailor.hybrid.blend import BlendWeights, MetaFeatures, blend
from tailor.hybrid.click import ClickHead
from tailor.hybrid.cold_items import KernelImputer, PreparedImputer
from tailor.hybrid.config import Boosts
from tailor.hybrid.domains import data_of, is_apart, new_to_domains, score_by_domain
from tailor.hybrid.sources import SOURCES
from tailor.models.base import (
    AcceptsImputedItems,
    AcceptsNewItems,
    ColdItemImputer,
    Embeds,
    FittedModel,
    Floats,
    ImputesColdItems,
    Indices,
    Mask,
    PartialFit,
    Query,
    Rebases,
    ScoresTexts,
    State,
    TrainSet,
)
from tailor.types import AnyArray

if TYPE_CHECKING:
    from tailor.hybrid.model import Hybrid

#: Blended scores (B, n_items), and the standardised scores of every source behind them.
Scored = tuple[Floats, list[Floats]]


@dataclass(frozen=True, eq=False)
class HybridScorer(FittedModel):
    """Fitted sources; the recipe says how they are blended, and at which operating point."""

    recipe: "Hybrid"
    sources: dict[str, FittedModel]
    """By name, in the order of the blend's weights."""
    imputer: KernelImputer
    warm: Mask
    """Items with train interactions (n_items,)."""
    tail: Mask
    """Warm items outside the head (n_items,)."""
    popularity: Floats
    """log(1 + train interactions), standardised over warm items (n_items,)."""
    popularity_of_none: float
    """The same for an item that nobody has taken."""
    mean_scores: Floats
    """Mean standardised scores by source (S, n_items), over users with a history; of cold items, what texts predict."""
    mean_zeros: Floats
    """What a score of 0 is on average by source, standardised (S,)."""
    mean_activity: float
    """Their mean log(1 + length of the history)."""
    item_features: Floats
    """Embeddings of the items' texts (n_items, m)."""
    domains: Indices | None = None
    """Number of the domain of each item (n_items,), -1: none; None: there is one domain."""

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.warm)

    @property
    def exposure_classes(self) -> dict[str, Mask]:
        """Items that lists may keep places for (n_items,), by name: new ones, and those of the tail."""
        return {"new": ~self.warm, "tail": self.tail}

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources, in the order of the blend's weights."""
        return tuple(self.sources)

    @property
    def blend(self) -> BlendWeights:
        """What validation chose."""
        return self.recipe.blend

    @property
    def boosts(self) -> Boosts:
        """Where the scorer stands between accuracy and exposure."""
        return self.recipe.config.boosts

    @property
    def click(self) -> ClickHead | None:
        """The head for click probabilities."""
        return self.recipe.click

    # --- the same sources, blended otherwise -------------------------------------------------------------------------

    def with_blend(self, weights: BlendWeights) -> Self:
        """Return a scorer on the same sources with other weights."""
        return replace(self, recipe=self.recipe.with_blend(weights))

    def with_boosts(self, boosts: Boosts) -> Self:
        """Return a scorer at another operating point; see :class:`tailor.hybrid.config.Boosts`."""
        twin = replace(self, recipe=self.recipe.with_boosts(boosts))
        if boosts.popularity_debias:
            # Once, not for each request that sets its own boosts.
            twin.__dict__["population_score"] = self.population_score
        return twin

    def boosted(self, settings: dict[str, float]) -> Self:
        """See :class:`Boostable`."""
        parsed = parse(Boosts, self.boosts.model_dump() | settings, "boosts")
        return self.with_boosts(self.boosts.everywhere(**{name: getattr(parsed, name) for name in settings}))

    def with_click(self, click: ClickHead) -> Self:
        """Return a scorer that also has a head for click probabilities."""
        return replace(self, recipe=self.recipe.with_click(click))

    # --- scores ------------------------------------------------------------------------------------------------------

    def standardised(self, query: Query) -> Iterator[Floats]:
        """Yield each source's scores (B, n_items), mean 0 and deviation 1 over a user's warm items."""
        for name in self.sources:
            yield self._standardised(name, query)

    def source_scores(self, name: str, query: Query) -> Floats:
        """Return the scores of one source (B, n_items).

        A source that reads an order is asked for the items of each domain with the history in that domain alone: times
        of different domains need not be of one clock, and what was taken last elsewhere is no last item here.
        """
        model = self.sources[name]
        return score_by_domain(model, query, self.domains) if is_apart(self.domains, name) else model.score(query)

    def _standardised(self, name: str, query: Query) -> Floats:
        scores = self.source_scores(name, query)
        mean, deviation = self.mean_and_deviation(scores)
        return np.asarray((scores - mean) / deviation)

    def mean_and_deviation(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation over a user's warm items, (B, 1); equal scores, or none, have 1.

        Of several domains each item has those of its domain, (B, n_items): a list holds items of one.
        """
        if self.domains is None:
            return self._mean_and_deviation(scores, self.warm)
        mean, deviation = (np.tile(figure, scores.shape[1]) for figure in self._mean_and_deviation(scores, self.warm))
        for inside in domain_masks_of(self.domains, self.n_items):
            mean[:, inside], deviation[:, inside] = self._mean_and_deviation(scores, self.warm & inside)
        return mean, deviation

    @staticmethod
    def _mean_and_deviation(scores: Floats, items: Mask) -> tuple[Floats, Floats]:
        warm = scores[:, items]
        if not warm.size:
            return np.zeros((len(scores), 1), np.float32), np.ones((len(scores), 1), np.float32)
        deviation = warm.std(axis=1, keepdims=True)
        return warm.mean(axis=1, keepdims=True), np.where(deviation > 0, deviation, 1)

    def scored(self, query: Query) -> Scored:
        """Return scores (B, n_items) and the standardised scores of the sources behind them."""
        z = list(self.standardised(query))
        meta = self.meta_features(query, self.blend.warm.reads_vectors)
        common = self.population_score if self.boosts.popularity_debias else None
        return blend(z, self.blend, self.boosts, self.warm, self.tail, meta, common, self.domains), z

    def _score(self, query: Query) -> Floats:
        return self.scored(query)[0]

    def meta_features(self, query: Query, vectors: bool = False) -> MetaFeatures:
        """Return what weights may depend on; ``vectors``: where users and items lie in the sources' spaces too."""
        meta = MetaFeatures(np.log1p(query.lengths).astype(np.float32), self.popularity)
        if self.domains is not None:
            meta = replace(meta, new_to=new_to_domains(query.history, self.domains))
        if not vectors:
            return meta
        users = [model.user_vectors(query) for model in self.sources.values() if isinstance(model, Embeds)]
        return replace(meta, users=_unit(users), items=self.item_vectors)

    @property
    def item_vectors(self) -> Floats:
        """Where items lie in the space of each source that has one, each part of length 1 (n_items, x)."""
        return _unit([model.item_vectors for model in self.sources.values() if isinstance(model, Embeds)])

    def similarities(self, item: int) -> Floats:
        """Return the mean cosine of every item with one (n_items,), over the spaces that items lie in."""
        vectors = self.item_vectors
        n_spaces = sum(isinstance(model, Embeds) for model in self.sources.values())
        return np.asarray(vectors @ vectors[item] / np.float32(max(n_spaces, 1)))

    @cached_property
    def population_score(self) -> Floats:
        """What the average user with a history gets, boosts at 0 (n_items,)."""
        meta = MetaFeatures(np.array([self.mean_activity], np.float32), self.popularity)
        if self.blend.warm.reads_vectors:
            nobody = Query.of(empty_rows(1, self.n_items))
            meta = replace(self.meta_features(nobody, vectors=True), activity=meta.activity)
        rows = [scores[None] for scores in self.mean_scores]
        population: Floats = blend(rows, self.blend, Boosts(), self.warm, self.tail, meta, domains=self.domains)[0]
        return population

    def source_weights(self, query: Query, items: Indices) -> NDArray[np.float64]:
        """Return the weight of each source (B, k, S) for the items (B, k) of each user's list."""
        weights = self._source_weights(query, items, self.blend)
        if self.domains is not None and self.blend.by_domain.size:
            for domain in range(len(self.blend.by_domain)):
                of_domain = self._source_weights(query, items, self.blend.of_domain(domain))
                weights = np.where((self.domains[items] == domain)[..., None], of_domain, weights)
        if self.domains is not None and self.blend.new_to_domain.size:
            new_to, of_item = new_to_domains(query.history, self.domains), self.domains[items]
            is_new = (of_item >= 0) & (query.lengths > 0)[:, None] & np.take_along_axis(new_to, of_item, axis=1)
            weights = np.where(is_new[..., None], self.blend.new_to_domain, weights)
        return weights

    def _source_weights(self, query: Query, items: Indices, chosen: BlendWeights) -> NDArray[np.float64]:
        activity, x_i = np.log1p(query.lengths), self.popularity[items][..., None]
        weights = np.zeros((*items.shape, len(self.sources)))
        for models, rows in chosen.by_history(query.lengths):
            for part, model in models:
                by_user = model.by_activity * model.standardised_activity(activity[rows])[:, None]
                weights[rows] += part * (model.base + model.by_popularity * x_i[rows] + by_user[:, None])
        weights = np.where(self.warm[items][..., None], weights, chosen.cold)
        weights[query.lengths == 0] = chosen.without_history
        return weights

    def click_probability(self, query: Query, horizon: float = 1.0) -> NDArray[np.float64]:
        """Return the chance (B, n_items) that each item is taken up within ``horizon`` validation windows.

        Raises:
            BadInputError: the scorer has no click head.
        """
        if self.click is None:
            raise BadInputError("This scorer was fitted without a click head")
        scores = self.with_boosts(Boosts()).score(query)
        return self.click.probability(scores, self.meta_features(query), self.warm, horizon)

    # --- items that come and change ----------------------------------------------------------------------------------

    def with_new_items(self, features: Floats) -> Self:
        """See :class:`AcceptsNewItems`: new items are what their texts say, in every source.

        What is known of other items is neither copied nor computed again, however many joined before.

        Raises:
            BadInputError: a source cannot take items in.
        """
        n_new, before = len(features), self.n_items
        joined, absent = np.arange(before, before + n_new), np.zeros(n_new, dtype=bool)
        imputer = self.imputer.prepared(features)
        grown = replace(
            self,
            sources=rebase(self._sources_with(features, joined, imputer), joined),
            warm=append(self.warm, absent),
            tail=append(self.tail, absent),
            popularity=append(self.popularity, np.full(n_new, self.popularity_of_none, np.float32)),
            item_features=append(self.item_features, features),
            domains=None if self.domains is None else append(self.domains, np.full(n_new, -1)),
        )
        means = grown._mean_scores_of_cold(joined, features, imputer)
        return replace(grown, mean_scores=append_columns(self.mean_scores, means))

    def with_domains(self, rows: Indices, domains: Indices) -> Self:
        """Return a scorer whose items ``rows`` (a,) are of ``domains`` (a,); the same where there is one domain."""
        if self.domains is None:
            return self
        changed = self.domains.copy()
        changed[rows] = domains
        return replace(self, domains=changed)

    def _sources_with(self, features: Floats, joined: Indices, imputer: PreparedImputer) -> dict[str, FittedModel]:
        """Return the sources with more items; those that can, impute them."""
        sources: dict[str, FittedModel] = {}
        for name, model in self.sources.items():
            if isinstance(model, AcceptsImputedItems):
                sources[name] = model.with_imputed_items(features, imputer)
            elif isinstance(model, AcceptsNewItems):
                sources |= impute({name: model.with_new_items(features)}, imputer, joined, features)
            elif isinstance(model, Rebases):
                sources[name] = model
            else:
                raise BadInputError(f"The source {name} cannot take items in without being fitted again")
        return sources

    def with_item_texts(self, rows: Indices, features: Floats) -> Self:
        """Return a scorer that knows other texts (a, m) of some items.

        An item with interactions keeps its place in the sources that read behaviour; an item without is what its new
        text says.
        """
        sources = {
            name: model.with_item_texts(rows, features) if isinstance(model, ScoresTexts) else model
            for name, model in self.sources.items()
        }
        cold, item_features = ~self.warm[rows], self.item_features.copy()
        item_features[rows] = features
        changed = replace(self, sources=sources, item_features=item_features)
        return changed._imputed(rows[cold], features[cold]) if cold.any() else changed

    def _imputed(self, cold: Indices, features: Floats) -> Self:
        """Impute the items ``cold`` in every source, and their mean scores."""
        imputer = self.imputer.prepared(features)
        sources = rebase(impute(self.sources, imputer, cold, features), cold)
        changed = replace(self, sources=sources)
        means = self.mean_scores.copy()
        means[:, cold] = changed._mean_scores_of_cold(cold, features, imputer)
        return replace(changed, mean_scores=means)

    def with_mean_scores_of_cold(self, cold: Indices, features: Floats) -> Self:
        """Return a scorer with the mean scores of items without interactions: the same for one text, in the fit or not.

        Sources that read texts give what the landmarks predict, the others what they say of an item nobody has taken:
        to nobody, or, where they read histories, to the average user.
        """
        means = self.mean_scores.copy()
        means[:, cold] = self._mean_scores_of_cold(cold, features, self.imputer)
        return replace(self, mean_scores=means)

    def _mean_scores_of_cold(self, cold: Indices, features: Floats, imputer: ColdItemImputer) -> Floats:
        """Return the mean scores by source (S, a) of items without interactions, see :meth:`with_mean_scores_of_cold`.

        The scorer has these items, but need not have their mean scores yet.
        """
        of_landmarks = np.ascontiguousarray(self.mean_scores[:, imputer.landmarks].T)
        means = np.ascontiguousarray(imputer.predict(features, of_landmarks).T)
        # Scores are mixed before they are standardised: shares that do not sum to 1 leave a part of a score of 0.
        of_zero = 1 - imputer.predict(features, np.ones((len(of_landmarks), 1), np.float32)).ravel()
        means += self.mean_zeros[:, None] * of_zero
        nobody = Query.of(empty_rows(1, self.n_items))
        for place, name in enumerate(self.sources):
            if SOURCES[name].text_dependent:
                continue
            if SOURCES[name].reads_history:
                means[place] = self._mean_of_untaken(place, cold)
            else:
                means[place] = self._standardised(name, nobody)[0, cold]
        return means

    def _mean_of_untaken(self, place: int, cold: Indices) -> Floats:
        """Return the mean scores of items of the fit as they are; of others, the mean over those that nobody has taken.

        Where all items of the fit were taken, the least mean score of these.
        """
        n_fitted, means = len(self.imputer.features), self.mean_scores[place]
        untaken = means[:n_fitted][~self.warm[:n_fitted]]
        of_others = untaken.mean() if len(untaken) else means[:n_fitted].min(initial=0.0)
        of_cold = np.full(len(cold), of_others, np.float32)
        of_cold[cold < n_fitted] = means[cold[cold < n_fitted]]
        return of_cold

    # --- interactions that come --------------------------------------------------------------------------------------

    def partial_fit(self, data: TrainSet, sweeps: int) -> FittedModel:
        """Return a scorer that knows more interactions, under the same weights and boosts; see :class:`PartialFit`.

        Closed forms are computed anew; sources that can, go on from where they stand.

        Args:
            data: all interactions, old and new.
            sweeps: of the factorization.
        """
        continued = {
            name: model.partial_fit(data_of(name, data), sweeps)
            for name, model in self.sources.items()
            if isinstance(model, PartialFit)
        }
        return self.recipe.fit(data, pretrained=continued, before=self)

    # --- saved -------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """See :meth:`FittedModel.state`; every array of a source stands under the source's name."""
        state: State = {
            "warm": self.warm,
            "tail": self.tail,
            "popularity": self.popularity,
            "popularity_of_none": np.array([self.popularity_of_none]),
            "mean_zeros": self.mean_zeros,
            "mean_activity": np.array([self.mean_activity]),
            "cold_items/landmarks": self.imputer.landmarks,
            "cold_items/n_items": np.array([len(self.imputer.features)]),
        }
        for place, (name, model) in enumerate(self.sources.items()):
            state[f"mean_scores/{name}"] = self.mean_scores[place]
            state |= {f"sources/{name}/{key}": value for key, value in model.state().items()}
        state |= {f"blend/{key}": value for key, value in self.blend.state().items()}
        if self.domains is not None:
            state["domains"] = self.domains
        if "text_knn" not in self.sources:
            state["item_features"] = self.item_features
        return state if self.click is None else state | {"click/theta": self.click.theta}


def impute(
    sources: Mapping[str, FittedModel], imputer: ColdItemImputer, cold: Indices, features: Floats
) -> dict[str, FittedModel]:
    """Impute the items ``cold`` (a,) with texts (a, m) in every source that can."""
    return {
        name: model.impute_cold_items(cold, features, imputer) if isinstance(model, ImputesColdItems) else model
        for name, model in sources.items()
    }


def rebase(sources: Mapping[str, FittedModel], changed: Indices) -> dict[str, FittedModel]:
    """Compute sources that are derived from another one anew, for the items ``changed`` (a,)."""
    rebased = dict(sources)
    for name, model in sources.items():
        base = SOURCES[name].derived_from
        if base is not None and isinstance(model, Rebases):
            rebased[name] = model.rebased(sources[base], changed)
    return rebased


def _unit(blocks: list[AnyArray]) -> Floats:
    """Put blocks (R, ·) side by side, the rows of each scaled to length 1 (zeros stay)."""
    lengths = [np.sqrt((block**2).sum(axis=1, keepdims=True)) for block in blocks]
    scaled = [block / np.where(length > 0, length, 1) for block, length in zip(blocks, lengths, strict=True)]
    return np.hstack(scaled).astype(np.float32)


def scorer_of(models: Mapping[str, FittedModel]) -> HybridScorer:
    """Return the hybrid among fitted models.

    Raises:
        BadInputError: there is none.
    """
    model = models.get("hybrid")
    if not isinstance(model, HybridScorer):
        raise BadInputError(f"There is no hybrid among the models: {', '.join(models)}. Rerun the pipeline hybrid_cf.")
    return model


def by_encoder(frozen: Mapping[str, FittedModel], lora: Mapping[str, FittedModel]) -> dict[str, HybridScorer]:
    """Return the hybrids by the names that figures and lists call them.

    Args:
        frozen: models fitted on embeddings of the encoder as it was downloaded.
        lora: models fitted on embeddings of the tuned encoder; empty where none was tuned.
    """
    hybrids = {"hybrid_frozen": scorer_of(frozen)}
    return hybrids | {"hybrid_lora": scorer_of(lora)} if lora else hybrids
