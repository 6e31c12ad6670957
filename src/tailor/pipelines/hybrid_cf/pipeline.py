"""The baselines, and the hybrid on frozen and on LoRA embeddings (one template, two namespaces)."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.hybrid_cf import nodes
from tailor.wiring import group

_DATA = {"train": "train_matrix", "validation": "validation_matrix", "items": "items"}
#: Outputs of the template; they are called ``hybrid_frozen_choice``, ``hybrid_lora_choice``, and so on.
_OUTPUTS = ["choice", "trials", "validation_model", "model", "trade_off_curves", "blend_models"]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``hybrid_cf``."""
    return group("hybrid_cf", [*_baselines(), _hybrid("frozen"), _hybrid("lora")])


def _baselines() -> list[Node]:
    return [
        Node(
            func=nodes.select_baselines,
            inputs=_DATA
            | {
                "embeddings": "item_embeddings_frozen",
                "params": "params:hybrid_cf",
                "tuned": "params:tuned.baselines",
                "seed": "params:seed",
            },
            outputs=["baseline_choice", "baseline_trials"],
            name="select_baselines",
            tags="cpu",
        ),
        Node(
            func=nodes.fit_baselines,
            inputs=_DATA
            | {
                "embeddings": "item_embeddings_frozen",
                "choice": "baseline_choice",
                "seed": "params:seed",
            },
            outputs=["baseline_validation_models", "baseline_models"],
            name="fit_baselines",
            tags="cpu",
        ),
    ]


def _template() -> Pipeline:
    data = _DATA | {"told": "side_features", "embeddings": "item_embeddings"}
    return Pipeline(
        [
            Node(
                func=nodes.select_hybrid,
                inputs=data | {"params": "params:hybrid_cf", "tuned": "params:tuned", "seed": "params:seed"},
                outputs=["choice", "trials"],
                name="select_hybrid",
                tags="cpu",
            ),
            Node(
                func=nodes.fit_hybrid,
                inputs=data
                | {
                    "order": "order_matrix",
                    "choice": "choice",
                    "params": "params:hybrid_cf",
                    "seed": "params:seed",
                },
                outputs=["validation_model", "model", "trade_off_curves", "blend_models"],
                name="fit_hybrid",
                tags="cpu",
            ),
        ]
    )


def _hybrid(encoder: str) -> Pipeline:
    shared = (*_DATA.values(), "order_matrix", "side_features")
    return Pipeline(
        _template(),
        namespace=encoder,
        inputs={name: name for name in shared} | {"item_embeddings": f"item_embeddings_{encoder}"},
        outputs={name: f"hybrid_{encoder}_{name}" for name in _OUTPUTS},
        parameters={
            "params:hybrid_cf": "params:hybrid_cf",
            "params:tuned": f"params:tuned.hybrid_{encoder}",
            "params:seed": "params:seed",
        },
    )
