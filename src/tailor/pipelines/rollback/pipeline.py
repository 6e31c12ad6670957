"""The former champion again: ``kedro run --pipelines=rollback``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.rollback import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``rollback``."""
    roll_back = Node(
        func=nodes.roll_back,
        inputs="params:model_name",
        outputs="rolled_back",
        name="roll_back",
        tags=["cpu", "publish"],
    )
    return group("rollback", [roll_back])
