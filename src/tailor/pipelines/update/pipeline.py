"""New interactions and events in the champion, without a fit of everything: ``kedro run --pipelines=update``."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.update import nodes
from tailor.serving.update import with_events
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``update``."""
    pipeline = [
        Node(
            func=nodes.read_new,
            inputs={
                "raw": "raw_new_interactions",
                "champion": "champion",
                "suppressions": "suppressions",
                "params": "params:data_processing",
                "strengths": "params:tuned.events",
                "item_state": "item_state",
            },
            outputs=["new_interactions", "update_quality", "update_accounts"],
            name="read_new",
            tags="cpu",
        ),
        Node(
            func=nodes.read_events,
            inputs=["item_state", "champion", "suppressions"],
            outputs=["new_events", "events_read"],
            name="read_events",
            tags="cpu",
        ),
        Node(
            func=with_events,
            inputs=["new_interactions", "new_events"],
            outputs="new_rows",
            name="gather_new",
            tags="cpu",
        ),
        Node(
            func=nodes.join_items,
            inputs=["champion", "item_state", "new_rows"],
            outputs="to_update",
            name="join_items",
            tags="cpu",
        ),
        Node(
            func=nodes.fold_in,
            inputs={
                "begins": "to_update",
                "events_read": "events_read",
                "suppressions": "suppressions",
                "params": "params:update",
                "seed": "params:seed",
            },
            outputs=["updated_model", "drift", "drift_plot"],
            name="fold_in",
            tags="cpu",
        ),
        Node(
            func=nodes.check,
            inputs={
                "begins": "to_update",
                "suppressions": "suppressions",
                "params": "params:update",
                "seed": "params:seed",
            },
            outputs="update_evidence",
            name="check_update",
            tags="cpu",
        ),
        Node(
            func=nodes.register,
            inputs={
                "update": "updated_model",
                "drift_table": "drift",
                "evidence": "update_evidence",
                "figure": "drift_plot",
                "item_state": "item_state",
                "params": "params:update",
                "model_name": "params:model_name",
            },
            outputs="registered_update",
            name="register_update",
            tags=["cpu", "publish"],
        ),
        Node(
            func=nodes.tables_of_rows,
            inputs={
                "interactions": "new_interactions",
                "events": "new_events",
                "registered": "registered_update",
                "suppressions": "suppressions",
            },
            outputs=["clean_new_interactions", "clean_new_events"],
            name="tables_of_rows",
            tags="cpu",
        ),
    ]
    private = ["new_interactions", "new_events", "new_rows", "to_update", "updated_model", "update_evidence"]
    return group("update", pipeline, private=private)
