"""Lists, metrics, tables and plots of every model, by full ranking. It writes no model and calls no registry."""

from kedro.pipeline import Node, Pipeline

from tailor.evaluation.measure import describe_items
from tailor.pipelines.evaluation import nodes
from tailor.wiring import HYBRIDS, ITEM_METADATA, TEST_PROTOCOL, VALIDATION_HYBRIDS, VALIDATION_PROTOCOL, group

_TABLES = {"users": "users", "items": "items"}
_OPTIONS = {"params": "params:evaluation", "seed": "params:seed"}
_MEASURED = {
    "test_lists": "test_lists",
    **_TABLES,
    "positives": "test_positives",
    "metadata": "item_metadata",
} | TEST_PROTOCOL
_PRIVATE = ["item_metadata", "new_user_protocol", "rated_rows", "headline_values"]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``evaluation``."""
    return group("evaluation", [*_recommend(), *_measure(), *_summarise()], private=_PRIVATE)


def _recommend() -> list[Node]:
    models = {"baselines": "baseline_models"} | HYBRIDS
    validation_models = {"baselines": "baseline_validation_models"} | VALIDATION_HYBRIDS
    return [
        Node(
            func=nodes.recommend_on_validation,
            inputs=validation_models | _TABLES | VALIDATION_PROTOCOL | _OPTIONS,
            outputs="validation_lists",
            name="recommend_on_validation",
            tags="cpu",
        ),
        Node(
            func=nodes.recommend_on_test,
            inputs=models | _TABLES | TEST_PROTOCOL | _OPTIONS,
            outputs="test_lists",
            name="recommend_on_test",
            tags="cpu",
        ),
        Node(
            func=nodes.lay_down_new_users,
            inputs=_TABLES
            | {
                "new_user": "new_user_matrix",
                "reveal_order": "reveal_order_matrix",
                "side_features": "side_features",
                "user_texts": "user_text_embeddings",
            },
            outputs="new_user_protocol",
            name="lay_down_new_users",
            tags="cpu",
        ),
        Node(
            func=nodes.recommend_to_new_users,
            inputs=models | _TABLES | {"protocol": "new_user_protocol"} | _OPTIONS,
            outputs="new_user_recommendations",
            name="recommend_to_new_users",
            tags="cpu",
        ),
        Node(
            func=nodes.recommend_to_new_to_domain,
            inputs=models | {"new_user": "new_user_matrix"} | _TABLES | TEST_PROTOCOL | _OPTIONS,
            outputs="new_to_domain_recommendations",
            name="recommend_to_new_to_domain",
            tags="cpu",
        ),
    ]


def _measure() -> list[Node]:
    return [
        Node(func=describe_items, inputs=ITEM_METADATA, outputs="item_metadata", name="describe_items", tags="cpu"),
        Node(
            func=nodes.build_test_positives,
            inputs=["test_matrix", "cold_matrix"],
            outputs="test_positives",
            name="build_test_positives",
            tags="cpu",
        ),
        Node(
            func=nodes.measure_known_users,
            inputs=_MEASURED | {"validation_lists": "validation_lists", "params": "params:evaluation"},
            outputs=["known_user_metrics", "known_domain_metrics"],
            name="measure_known_users",
            tags="cpu",
        ),
        Node(
            func=nodes.measure_domains,
            inputs={
                "recommendations": "new_to_domain_recommendations",
                "known_users": "known_domain_metrics",
                "new_user": "new_user_matrix",
                **_TABLES,
                "metadata": "item_metadata",
                "params": "params:evaluation",
            }
            | TEST_PROTOCOL,
            outputs="domain_metrics",
            name="measure_domains",
            tags="cpu",
        ),
        Node(
            func=nodes.measure_new_users,
            inputs={
                "lists": "new_user_recommendations",
                "users": "users",
                "protocol": "new_user_protocol",
                "metadata": "item_metadata",
                "params": "params:evaluation",
            },
            outputs="new_user_metrics",
            name="measure_new_users",
            tags="cpu",
        ),
        Node(
            func=nodes.measure_clicks,
            inputs=HYBRIDS
            | TEST_PROTOCOL
            | _TABLES
            | {
                "positives": "test_positives",
                "data": "params:data_processing",
            }
            | _OPTIONS,
            outputs=["click_metrics", "click_calibration", "calibration_plot"],
            name="measure_clicks",
            tags="cpu",
        ),
        Node(
            func=nodes.keep_rated_rows,
            inputs={"interactions": "interactions", "users": "users"} | _OPTIONS,
            outputs="rated_rows",
            name="keep_rated_rows",
            tags="cpu",
        ),
        Node(
            func=nodes.measure_ratings,
            inputs=HYBRIDS
            | {f"{name}_validation": dataset for name, dataset in VALIDATION_HYBRIDS.items()}
            | _TABLES
            | {"interactions": "rated_rows", "params": "params:evaluation"}
            | VALIDATION_PROTOCOL,
            outputs="rating_metrics",
            name="measure_ratings",
            tags="cpu",
        ),
    ]


def _summarise() -> list[Node]:
    return [
        Node(
            func=nodes.measure_headlines,
            inputs=_MEASURED | {"params": "params:evaluation"},
            outputs="headline_values",
            name="measure_headlines",
            tags="cpu",
        ),
        Node(
            func=nodes.compare_models,
            inputs={"values": "headline_values"} | _OPTIONS,
            outputs="comparisons",
            name="compare_models",
            tags="cpu",
        ),
        Node(
            func=nodes.compare_groups,
            inputs={"values": "headline_values", "train": "train_matrix", "feature_encoders": "feature_encoders"}
            | _TABLES
            | _OPTIONS,
            outputs=["group_figures", "group_gaps", "user_quantiles"],
            name="compare_groups",
            tags="cpu",
        ),
        Node(
            func=nodes.join_metrics,
            inputs={
                "known_users": "known_user_metrics",
                "new_users": "new_user_metrics",
            }
            | _OPTIONS,
            outputs="metrics",
            name="join_metrics",
            tags="cpu",
        ),
        Node(
            func=nodes.summarise,
            inputs={
                "metrics": "metrics",
                "params": "params:evaluation",
            },
            outputs=["summary", "comparison_plot"],
            name="summarise",
            tags=["cpu", "report"],
        ),
    ]
