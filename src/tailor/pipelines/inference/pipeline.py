"""Batch top-k of the champion for every user."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.inference import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``inference``."""
    recommend = Node(
        func=nodes.recommend_to_all_users,
        inputs={
            "champion": "champion",
            "item_state": "item_state",
            "users": "users",
            "promotion": "promotion",
            "params": "params:inference",
        },
        outputs="batch_recommendations",
        name="recommend_to_all_users",
        tags="cpu",
    )
    return group("inference", [recommend])
