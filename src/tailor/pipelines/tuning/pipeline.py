"""The search over all models' options, on request: what it chooses is in force from the next run on."""

from kedro.pipeline import Node, Pipeline

from tailor.hybrid.holdout import hold_out
from tailor.pipelines.tuning import nodes
from tailor.wiring import HOLDOUT, group

_OPTIONS = {"params": "params:tuning", "hybrid": "params:hybrid_cf", "seed": "params:seed"}
_SEARCHES = ["baseline_search", "frozen_search", "lora_search", "events_search"]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``tuning``."""
    return group("tuning", [*_search(), *_choose()], private=["holdout", *_SEARCHES])


def _search() -> list[Node]:
    return [
        Node(func=hold_out, inputs=HOLDOUT, outputs="holdout", name="hold_out", tags="cpu"),
        Node(
            func=nodes.tune_baselines,
            inputs={"holdout": "holdout", "embeddings": "item_embeddings_frozen"} | _OPTIONS,
            outputs="baseline_search",
            name="tune_baselines",
            tags="cpu",
        ),
        Node(
            func=nodes.tune_frozen,
            inputs={"holdout": "holdout", "embeddings": "item_embeddings_frozen"} | _OPTIONS,
            outputs="frozen_search",
            name="tune_frozen",
            tags="cpu",
        ),
        Node(
            func=nodes.tune_lora,
            inputs={"holdout": "holdout", "embeddings": "item_embeddings_lora"} | _OPTIONS,
            outputs="lora_search",
            name="tune_lora",
            tags="cpu",
        ),
        Node(
            func=nodes.tune_events,
            inputs={
                "holdout": "holdout",
                "embeddings": "item_embeddings_frozen",
                "data": "params:data_processing",
                "tuned": "params:tuned.events",
            }
            | _OPTIONS,
            outputs="events_search",
            name="tune_events",
            tags="cpu",
        ),
    ]


def _choose() -> list[Node]:
    return [
        Node(
            func=nodes.choose,
            inputs=_SEARCHES,
            outputs=["tuned_parameters", "tuning_trials", "tuning_importances", "tuning_summary"],
            name="choose",
            tags="cpu",
        ),
        Node(
            func=nodes.plot,
            inputs=["tuning_trials", "tuning_importances", "params:tuning"],
            outputs=["tuning_front_plot", "tuning_history_plot", "tuning_importance_plot"],
            name="plot_tuning",
            tags=["cpu", "report"],
        ),
    ]
