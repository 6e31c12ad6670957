"""New interactions in the champion, without a fit of everything: ``kedro run --pipelines=update``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.update import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``update``."""
    return Pipeline(
        [
            Node(
                nodes.read_new,
                ["new_interactions", "champion", "params:data_processing.cleaning"],
                ["clean_new_interactions", "update_quality"],
                name="read_new",
            ),
            Node(
                nodes.fold_in,
                ["champion", "clean_new_interactions", "params:update", "params:seed"],
                ["update", "drift", "drift_plot"],
                name="fold_in",
            ),
            Node(
                nodes.register,
                ["update", "drift", "drift_plot", "params:update", "params:model_name"],
                "registered_update",
                name="register_update",
            ),
        ]
    )
