"""Raw tables to a split, with counts of what was repaired."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.data_processing import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``data_processing``."""
    return Pipeline(
        [
            Node(
                nodes.clean,
                ["raw_interactions", "raw_items", "raw_users", "params:data_processing"],
                ["clean_interactions", "clean_items", "clean_users", "data_quality"],
                name="clean",
            ),
            Node(
                nodes.split,
                ["clean_interactions", "clean_items", "clean_users", "params:data_processing", "params:seed"],
                ["interactions", "split", "items", "users"],
                name="split",
            ),
            Node(nodes.summarise, ["interactions", "items", "users"], "data_summary", name="summarise_data"),
            Node(nodes.fingerprint, ["interactions", "items", "split"], "fingerprint", name="fingerprint"),
        ]
    )
