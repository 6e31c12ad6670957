"""The ladder of baselines, and the hybrid on frozen and on LoRA embeddings (one template, two namespaces)."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.hybrid_cf import nodes

_DATA = ["train_matrix", "validation_matrix", "items"]
_OUTPUTS = ["choice", "trials", "validation_model", "model", "price_list", "fusions"]


def _hybrid() -> Pipeline:
    return Pipeline(
        [
            Node(
                nodes.select_hybrid,
                [*_DATA, "told", "item_embeddings", "params:hybrid_cf", "params:tuned", "params:seed"],
                ["choice", "trials"],
                name="select_hybrid",
            ),
            Node(
                nodes.fit_hybrid,
                [
                    *_DATA[:2],
                    "order_matrix",
                    _DATA[2],
                    "told",
                    "item_embeddings",
                    "choice",
                    "params:hybrid_cf",
                    "params:seed",
                ],
                ["validation_model", "model", "price_list", "fusions"],
                name="fit_hybrid",
            ),
        ]
    )


def _on(encoder: str) -> Pipeline:
    return Pipeline(
        _hybrid(),
        namespace=encoder,
        inputs={name: name for name in (*_DATA, "order_matrix", "told")}
        | {"item_embeddings": f"item_embeddings_{encoder}"},
        outputs={name: f"hybrid_{encoder}_{name}" for name in _OUTPUTS},
        parameters={
            "params:hybrid_cf": "params:hybrid_cf",
            "params:tuned": f"params:tuned.hybrid_{encoder}",
            "params:seed": "params:seed",
        },
    )


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``hybrid_cf``."""
    ladder = Pipeline(
        [
            Node(
                nodes.select_baselines,
                [*_DATA, "item_embeddings_frozen", "params:hybrid_cf", "params:tuned.baselines", "params:seed"],
                ["baseline_choice", "baseline_trials"],
                name="select_baselines",
            ),
            Node(
                nodes.fit_baselines,
                [*_DATA, "item_embeddings_frozen", "baseline_choice", "params:seed"],
                ["baseline_validation_models", "baseline_models"],
                name="fit_baselines",
            ),
        ]
    )
    return ladder + _on("frozen") + _on("lora")
