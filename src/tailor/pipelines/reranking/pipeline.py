"""What re-ranking wins and costs on the registered model's lists, and the preset that validation chooses."""

from kedro.pipeline import Node, Pipeline

from tailor.evaluation.measure import describe_items
from tailor.pipelines.reranking import nodes
from tailor.wiring import HYBRIDS, ITEM_METADATA, TEST_PROTOCOL, VALIDATION_HYBRIDS, VALIDATION_PROTOCOL, group

_TABLES = {"users": "users", "items": "items", "metadata": "item_metadata"}
_OPTIONS = {"params": "params:evaluation", "seed": "params:seed"}


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``reranking``."""
    pipeline = [
        Node(func=describe_items, inputs=ITEM_METADATA, outputs="item_metadata", name="describe_items", tags="cpu"),
        Node(
            func=nodes.trace_on_validation,
            inputs=VALIDATION_HYBRIDS | _TABLES | VALIDATION_PROTOCOL | {"validation": "validation_matrix"} | _OPTIONS,
            outputs=["validation_frontier", "balance_preset"],
            name="trace_on_validation",
            tags="cpu",
        ),
        Node(
            func=nodes.trace_on_test,
            inputs=HYBRIDS | _TABLES | {"positives": "test_positives"} | TEST_PROTOCOL | _OPTIONS,
            outputs="test_frontier",
            name="trace_on_test",
            tags="cpu",
        ),
        Node(
            func=nodes.join_frontiers,
            inputs=["validation_frontier", "test_frontier", "balance_preset"],
            outputs=["frontier", "frontier_plot"],
            name="join_frontiers",
            tags=["cpu", "report"],
        ),
    ]
    return group("reranking", pipeline, private=["item_metadata"])
