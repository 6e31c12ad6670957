"""The hybrid with parts left out, on request: ``kedro run --pipelines=ablation`` after a whole run."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.ablation import nodes
from tailor.wiring import TEST_PROTOCOL, group

_TABLES = {"users": "users", "items": "items"}
_VARIANTS = {"frozen": "variants_frozen", "lora": "variants_lora"}


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``ablation``."""
    return group("ablation", [_fit("frozen"), _fit("lora"), *_measure()], private=_VARIANTS.values())


def _fit(encoder: str) -> Node:
    return Node(
        func=nodes.fit_variants,
        inputs={
            "held_out": f"hybrid_{encoder}_validation_model",
            "final": f"hybrid_{encoder}_model",
            "train": "train_matrix",
            "validation": "validation_matrix",
            "order": "order_matrix",
            "items": "items",
            "told": "side_features",
            "params": "params:hybrid_cf",
            "seed": "params:seed",
        },
        outputs=f"variants_{encoder}",
        name=f"fit_variants_{encoder}",
        tags="cpu",
    )


def _measure() -> list[Node]:
    return [
        Node(
            func=nodes.recommend_by_variants,
            inputs=_VARIANTS | _TABLES | TEST_PROTOCOL | {"params": "params:evaluation", "seed": "params:seed"},
            outputs="variant_lists",
            name="recommend_by_variants",
            tags="cpu",
        ),
        Node(
            func=nodes.measure_variants,
            inputs={"lists": "variant_lists", **_TABLES, "truth": "test_positives", "params": "params:evaluation"}
            | TEST_PROTOCOL,
            outputs="ablation",
            name="measure_variants",
            tags=["cpu", "report"],
        ),
    ]
