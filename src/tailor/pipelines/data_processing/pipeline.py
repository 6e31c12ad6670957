"""Raw tables to a split, with counts of what was repaired, and a data card."""

from kedro.pipeline import Node, Pipeline

from tailor.data.summary import summarise
from tailor.pipelines.data_processing import card_nodes, nodes
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
                "suppressions": "suppressions",
                "params": "params:data_processing",
                "strengths": "params:tuned.events",
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
            func=summarise,
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
    return group("data_processing", [*pipeline, *_describe()], private=["choosing_rows"])


def _describe() -> list[Node]:
    return [
        Node(
            func=card_nodes.keep_choosing_rows,
            inputs="interactions",
            outputs="choosing_rows",
            name="keep_choosing_rows",
            tags="cpu",
        ),
        Node(
            func=card_nodes.draw_learning_curve,
            inputs={
                "rows": "choosing_rows",
                "users": "users",
                "items": "items",
                "params": "params:data_processing",
                "seed": "params:seed",
            },
            outputs="learning_curve",
            name="draw_learning_curve",
            tags=["cpu", "report"],
        ),
        Node(
            func=card_nodes.describe_data,
            inputs={
                "interactions": "interactions",
                "items": "items",
                "curve": "learning_curve",
                "project": "parameters",
                "summary": "data_summary",
                "quality": "data_quality",
                "accounts": "data_accounts",
            },
            outputs="data_card",
            name="describe_data",
            tags=["cpu", "report"],
        ),
        Node(
            func=card_nodes.write_data_card,
            inputs={"card": "data_card", "model_name": "params:model_name"},
            outputs="data_card_page",
            name="write_data_card",
            tags=["cpu", "publish", "report"],
        ),
    ]
