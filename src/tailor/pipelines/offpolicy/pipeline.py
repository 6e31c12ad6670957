"""What the tuned hybrid would have earned, from a log with propensities: ``kedro run --pipelines=offpolicy``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.offpolicy import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``offpolicy``."""
    return Pipeline(
        [
            Node(
                nodes.value_policy,
                [
                    "policy_log",
                    "hybrid_frozen_model",
                    "hybrid_lora_model",
                    "users",
                    "items",
                    "train_matrix",
                    "params:evaluation",
                    "params:offpolicy",
                    "params:seed",
                ],
                "policy_value",
                name="value_policy",
            )
        ]
    )
