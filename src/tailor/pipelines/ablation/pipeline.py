"""The hybrid with parts left out, on request: ``kedro run --pipelines=ablation`` after a whole run."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.ablation import nodes

_SEEN = ["users", "items", "train_matrix", "validation_matrix", "cold_unused_matrix"]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``ablation``."""
    fit = [
        Node(
            nodes.fit_variants,
            [
                f"hybrid_{encoder}_validation_model",
                f"hybrid_{encoder}_model",
                "train_matrix",
                "validation_matrix",
                "items",
                "params:hybrid_cf",
                "params:seed",
            ],
            f"variants_{encoder}",
            name=f"fit_variants_{encoder}",
        )
        for encoder in ("frozen", "lora")
    ]
    recommend = Node(
        nodes.recommend_by_variants,
        ["variants_frozen", "variants_lora", *_SEEN, "params:evaluation", "params:seed"],
        "variant_lists",
        name="recommend_by_variants",
    )
    measure = Node(
        nodes.measure_variants,
        ["variant_lists", *_SEEN, "test_matrix", "cold_matrix", "params:evaluation"],
        "ablation",
        name="measure_variants",
    )
    return Pipeline([*fit, recommend, measure])
