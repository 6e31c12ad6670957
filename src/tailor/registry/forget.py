"""Register a champion without some people: what it holds of them goes, and on request what was fitted on them."""

import logging
from dataclasses import replace

import mlflow
import numpy as np

from tailor.data.buckets import HEAD_SHARE, tail_items
from tailor.errors import BadInputError
from tailor.hybrid.refit import refit
from tailor.hybrid.scorer import HybridScorer
from tailor.models.base import TrainSet
from tailor.registry.publish import FIT_ON, log_package
from tailor.registry.versions import (
    CHAMPION,
    DECISION,
    REASONS,
    champion_that_replaced,
    delete_version,
    git_commit,
    tag,
)
from tailor.serving.people import Forgotten
from tailor.serving.recommender import Recommender
from tailor.types import JsonObject

log = logging.getLogger(__name__)
_KEPT_TAGS = ("model", "seed", "data_hash", FIT_ON)
#: What is said of a version that was not fitted anew.
NOT_UNTRAINED = (
    "Item factors, item-item weights, popularity, blend and language model are those that were fitted with the rows of "
    "these people, and texts of items may quote them; `forget.refit: true` fits the recipe without them, `kedro run` "
    "everything"
)
REFITTED = (
    "The recipe is fitted on the remaining histories; its options, blend, boosts and language model were chosen with "
    "the rows of these people, and `kedro run` chooses them anew"
)


def refitted(recommender: Recommender) -> Recommender:
    """Fit the recipe of a recommender on the histories it holds: nothing that is fitted here saw anybody else.

    Blend weights, operating point, click head and the language model stay as they were chosen, as they do when a
    measured recipe is fitted on all interactions (:mod:`tailor.hybrid.refit`).

    Raises:
        BadInputError: the model is no hybrid, or was fitted on what a package does not hold: contexts of interactions,
            single texts of users.
    """
    model = recommender.model
    if not isinstance(model, HybridScorer):
        raise BadInputError(
            f"forget.refit: the model '{model.recipe.name}' is not fitted from a package, only the hybrid is: run "
            "`kedro run`, which leaves these people out."
        )
    lacking = _lacking(recommender)
    if lacking:
        raise BadInputError(
            f"forget.refit: this model was also fitted on {lacking}, which its package does not hold row by row, so a "
            "fit from the package would be another model: run `kedro run`, which leaves these people out, instead."
        )
    return recommender.keeping_the_encoder(replace(recommender, model=refit(model, _train_set(recommender))))


def _lacking(recommender: Recommender) -> str:
    """Name what the model was fitted on and its package does not hold; empty where it holds all."""
    lacking = ["texts of users"] if recommender.histories.user_text.any() else []
    lacking += ["contexts of interactions"] if recommender.side_feature_columns("context") else []
    return " and ".join(lacking)


def _train_set(recommender: Recommender) -> TrainSet:
    """Return all histories as what is learnt from; only what nobody has taken is cold."""
    histories = recommender.histories
    counts = np.bincount(histories.history.indices, minlength=histories.n_items).astype(np.int64)
    share, seed = float(recommender.about.get("head_share", HEAD_SHARE)), int(recommender.about.get("seed", 0))
    return TrainSet.of(
        histories.history,
        counts > 0,
        order=histories.order,
        confidence=histories.confidence,
        tail=tail_items(counts, recommender.item_domains, share, seed),
        profiles=histories.profile,
    ).with_domains(getattr(recommender.model, "domains", None))


def register_forgotten(forgotten: Forgotten, is_refitted: bool, name: str) -> JsonObject:
    """Register a champion without some people; the alias moves to it at once, in one call and last.

    The version that held them is noted nowhere as the one before: `kedro run --pipelines=rollback` does not lead back
    to it. Where the champion holds nobody of the list, nothing is registered. A champion that came meanwhile is never
    replaced by one that knows nothing of it.

    Args:
        forgotten: the champion without them, and what went.
        is_refitted: whether it was fitted anew.
        name: in the registry.

    Returns:
        name, version, alias, whether it is a new version, the counts, and what is still in it.

    Raises:
        BadInputError: another version became the champion since this one was loaded; nothing new stays registered.
    """
    client = mlflow.MlflowClient()
    _check_it_is_still_champion(name, forgotten)
    old = client.get_model_version_by_alias(name, CHAMPION)
    common = {"name": name, "alias": CHAMPION} | forgotten.counts
    if not forgotten.counts["users"]:
        log.info("%s: the champion, version %s, holds nobody of the suppression list", name, old.version)
        return common | {"version": str(old.version), "new": False, "left": ""}
    number = str(log_package(forgotten.recommender, name).registered_model_version)
    try:
        _check_it_is_still_champion(name, forgotten)
    except BadInputError:
        delete_version(name, number)
        raise
    left = REFITTED if is_refitted else NOT_UNTRAINED
    reason = f"version {old.version} without people who were forgotten"
    tags = {key: old.tags[key] for key in _KEPT_TAGS if key in old.tags} | {"git_commit": git_commit()}
    tag(name, number, tags | {DECISION: "promoted", REASONS: reason})
    client.update_model_version(name, number, description=f"{reason[0].upper()}{reason[1:]}. {left}.")
    client.set_registered_model_alias(name, CHAMPION, number)
    log.info("Version %s: %s", number, reason)
    return common | {"version": number, "new": True, "left": left}


def _check_it_is_still_champion(name: str, forgotten: Forgotten) -> None:
    number = champion_that_replaced(name, forgotten.model_id)
    if number is not None:
        raise BadInputError(
            f"Version {number} of '{name}' became the champion while people were taken out of the one before, so "
            "nothing is registered; these people are on the suppression list and are hidden at once. Run `kedro run "
            "--pipelines=forget` again."
        )
