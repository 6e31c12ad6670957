"""Recipes that are fitted in a second, shared by tests."""

from typing import Any

from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import Boosts, HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Model
from tailor.models.registry import BASELINES, build
from tests.conftest import by_source

FAST: dict[str, dict[str, Any]] = {
    "implicit_als": {"factors": 8, "iterations": 5},
    "ials": {"factors": 8, "iterations": 5},
    "text_ials": {"factors": 8, "iterations": 5, "lambda_item_feature": 1.0},
    "item_knn": {"neighbours": 20},
    "ease": {"regularization": 20.0},
    "text_ease": {"regularization": 20.0, "text_pull": 20.0},
    "marec": {"regularization": 20.0, "percentile": 50.0},
    "dropoutnet": {"factors": 8, "iterations": 5, "hidden": 32, "steps": 150},
    "slit": {"regularization": 20.0, "half_life": 20.0},
    "sasrec": {"width": 16, "epochs": 12, "learning_rate": 0.005},
    "transformer": {"width": 16, "epochs": 12},
}
#: Options of the hybrid's sources.
FAST_SOURCES: dict[str, dict[str, Any]] = {name: {} for name in SOURCES} | {
    "ials": FAST["text_ials"],
    "ease": FAST["text_ease"],
    "slit": {},
    "transformer": FAST["transformer"],
    "sasrec": FAST["sasrec"],
}
BLEND = BlendWeights(
    tuple(SOURCES),
    BlendModel(
        by_source(ials=0.5, ease=0.25, slit=0.1, popular=0.15), by_source(ials=0.1), by_source(ease=0.1), bias=0.1
    ),
    few_shot=((1, by_source(text_knn=0.5, popular=0.5)),),
    cold=by_source(ials=0.5, ease=0.5),
    cold_shift=0.5,
)
MODELS = (*BASELINES, "hybrid")


def hybrid(blend: BlendWeights = BLEND, seed: int = 0, **config: Any) -> Hybrid:
    """Return a hybrid of all built-in sources, every boost a little on."""
    boosts = Boosts(cold_boost=0.1, tail_boost=0.1, popularity_debias=0.1)
    return Hybrid(HybridConfig(**{"sources": FAST_SOURCES, "boosts": boosts} | config), seed, blend)


def make(name: str, seed: int = 0) -> Model[Any]:
    """Return the recipe of a baseline, or of the hybrid, by name."""
    return hybrid(seed=seed) if name == "hybrid" else build(name, FAST.get(name, {}), seed)
