"""The former champion again: ``kedro run --pipelines=rollback``."""

from kedro.pipeline import Node, Pipeline

from tailor.registry.promote import roll_back


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``rollback``."""
    return Pipeline([Node(roll_back, "params:model_name", "rolled_back", name="roll_back")])
