"""People out of the registered package, and a list of what still holds them: ``kedro run --pipelines=forget``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.forget import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``forget``."""
    pipeline = [
        Node(
            func=nodes.suppress,
            inputs=["champion", "params:forget"],
            outputs="added_suppressions",
            name="suppress",
            tags="cpu",
        ),
        Node(
            func=nodes.take_out,
            inputs=["champion", "added_suppressions", "params:forget"],
            outputs="forgotten_model",
            name="take_out",
            tags="cpu",
        ),
        Node(
            func=nodes.register,
            inputs={"forgotten": "forgotten_model", "params": "params:forget", "model_name": "params:model_name"},
            outputs="registered_forgotten",
            name="register_forgotten",
            tags=["cpu", "publish"],
        ),
        Node(
            func=nodes.list_holders,
            inputs={
                "registered": "registered_forgotten",
                "suppressions": "added_suppressions",
                "params": "params:forget",
                "checkpoints": "params:hybrid_cf.checkpoints",
                "storage": "params:tuning.storage",
            },
            outputs="forgotten",
            name="list_holders",
            tags=["cpu", "publish", "report"],
        ),
    ]
    return group("forget", pipeline, private=["forgotten_model"])
