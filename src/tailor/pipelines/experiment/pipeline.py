"""The challenger against the champion, from the events of both: ``kedro run --pipelines=experiment``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.experiment import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``experiment``."""
    pipeline = [
        Node(
            func=nodes.find_participants,
            inputs=["events", "params:experiment"],
            outputs="participants",
            name="find_participants",
            tags="cpu",
        ),
        Node(
            func=nodes.analyse,
            inputs=["participants", "params:experiment"],
            outputs=["experiment_metrics", "experiment_progress", "experiment_plot", "experiment_verdict"],
            name="analyse_experiment",
            tags=["cpu", "report"],
        ),
    ]
    return group("experiment", pipeline, private=["participants"])
