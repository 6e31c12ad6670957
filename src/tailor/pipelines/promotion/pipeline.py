"""The challenger against the champion on the same test rows, and the alias."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.promotion import nodes
from tailor.wiring import TEST_PROTOCOL, group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``promotion``."""
    compare = Node(
        func=nodes.compare_with_champion,
        inputs={
            "registered": "registered_model",
            "checked": "registration_check",
            "test_lists": "test_lists",
            "users": "users",
            "items": "items",
            "positives": "test_positives",
            "params": "params:evaluation",
        }
        | TEST_PROTOCOL,
        outputs="promotion_decision",
        name="compare_with_champion",
        tags="cpu",
    )
    move = Node(
        func=nodes.move_alias,
        inputs=["registered_model", "promotion_decision"],
        outputs=["promotion", "promotion_log"],
        name="move_alias",
        tags=["cpu", "publish"],
    )
    return group("promotion", [compare, move])
