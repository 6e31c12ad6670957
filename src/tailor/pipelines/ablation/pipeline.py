"""The hybrid with parts left out, on request: ``kedro run --pipelines=ablation`` after a whole run."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.ablation import nodes
from tailor.pipelines.evaluation.pipeline import TEST_SIDE


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
                "order_matrix",
                "items",
                "told",
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
        ["variants_frozen", "variants_lora", "users", "items", "test_protocol", "params:evaluation", "params:seed"],
        "variant_lists",
        name="recommend_by_variants",
    )
    measure = Node(
        nodes.measure_variants,
        ["variant_lists", "users", "items", "test_protocol", "test_positives", "params:evaluation"],
        "ablation",
        name="measure_variants",
    )
    return Pipeline([*TEST_SIDE, *fit, recommend, measure])
