"""Batch top-k of the champion for every user."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.inference import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``inference``."""
    return Pipeline(
        [
            Node(
                nodes.recommend_to_everybody,
                ["champion", "users", "promotion", "params:inference"],
                "batch_recommendations",
                name="recommend_to_everybody",
            )
        ]
    )
