"""What the tuned hybrid would have earned, from a log with propensities: ``kedro run --pipelines=offpolicy``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.offpolicy import nodes
from tailor.wiring import HYBRIDS, VALIDATION_PROTOCOL, group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``offpolicy``."""
    value = Node(
        func=nodes.value_policy,
        inputs=HYBRIDS
        | {
            "policy_log": "raw_policy_log",
            "users": "users",
            "items": "items",
            "evaluation": "params:evaluation",
            "params": "params:offpolicy",
            "seed": "params:seed",
        }
        | VALIDATION_PROTOCOL,
        outputs=["policy_value", "domain_policy_value"],
        name="value_policy",
        tags=["cpu", "report"],
    )
    return group("offpolicy", [value])
