"""The hybrid with parts left out, on request: ``kedro run --pipelines=ablation`` after a whole run."""

from kedro.pipeline import Node, Pipeline

from tailor.hybrid.holdout import hold_out
from tailor.pipelines.ablation import nodes
from tailor.wiring import HOLDOUT, TEST_PROTOCOL, group

_TABLES = {"users": "users", "items": "items"}
_VARIANTS = {"frozen": "variants_frozen", "lora": "variants_lora"}


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``ablation``."""
    hold = Node(func=hold_out, inputs=HOLDOUT, outputs="holdout", name="hold_out", tags="cpu")
    nodes_of_all = [hold, _fit("frozen"), _fit("lora"), *_measure()]
    return group("ablation", nodes_of_all, private=["holdout", *_VARIANTS.values()])


def _fit(encoder: str) -> Node:
    return Node(
        func=nodes.fit_variants,
        inputs={
            "held_out": f"hybrid_{encoder}_validation_model",
            "final": f"hybrid_{encoder}_model",
            "holdout": "holdout",
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
            inputs={"lists": "variant_lists", **_TABLES, "positives": "test_positives", "params": "params:evaluation"}
            | TEST_PROTOCOL,
            outputs="ablation",
            name="measure_variants",
            tags=["cpu", "report"],
        ),
    ]
