"""The search over all models' options, on request: what it chooses is in force from the next run on."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.tuning import nodes

_DATA = ["train_matrix", "validation_matrix", "items"]
_PARAMS = ["params:tuning", "params:hybrid_cf", "params:seed"]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``tuning``."""
    searches: dict[str, tuple[Callable[..., Any], list[str]]] = {
        "baseline_search": (nodes.tune_baselines, ["item_embeddings_frozen"]),
        "frozen_search": (nodes.tune_frozen, ["told", "item_embeddings_frozen"]),
        "lora_search": (nodes.tune_lora, ["told", "item_embeddings_lora"]),
    }
    tune = [
        Node(function, [*_DATA, *evidence, *_PARAMS], output, name=function.__name__)
        for output, (function, evidence) in searches.items()
    ]
    after = [
        Node(nodes.choose, list(searches), ["tuned_parameters", "tuning_trials", "tuning_importances"], name="choose"),
        Node(
            nodes.plot,
            ["tuning_trials", "tuning_importances", "params:tuning"],
            ["tuning_front_plot", "tuning_history_plot", "tuning_importance_plot"],
            name="plot_tuning",
        ),
    ]
    return Pipeline([*tune, *after])
