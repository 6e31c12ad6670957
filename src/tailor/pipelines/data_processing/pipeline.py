"""Raw tables to a split, with counts of what was repaired."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.data_processing import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``data_processing``."""
    pipeline = [
        Node(
            func=nodes.clean,
            inputs={
                "raw_interactions": "raw_interactions",
                "raw_items": "raw_items",
                "raw_users": "raw_users",
                "params": "params:data_processing",
            },
            outputs=["clean_interactions", "clean_items", "clean_users", "data_quality", "data_accounts"],
            name="clean",
            tags="cpu",
        ),
        Node(
            func=nodes.split,
            inputs={
                "interactions": "clean_interactions",
                "items": "clean_items",
                "users": "clean_users",
                "params": "params:data_processing",
                "seed": "params:seed",
            },
            outputs=["interactions", "split", "items", "users"],
            name="split",
            tags="cpu",
        ),
        Node(
            func=nodes.summarise,
            inputs=["interactions", "items", "users"],
            outputs="data_summary",
            name="summarise_data",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.fingerprint,
            inputs=["interactions", "items", "split"],
            outputs="fingerprint",
            name="fingerprint",
            tags="cpu",
        ),
    ]
    return group("data_processing", pipeline)
