"""Lists, metrics, plots, and the registered model."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.evaluation import frontiers, nodes, reporting
from tailor.registry import promote as promotion
from tailor.registry import publish as registry

_VALIDATION = ["baseline_validation_models", "hybrid_frozen_validation_model", "hybrid_lora_validation_model"]
_FINAL = ["baseline_models", "hybrid_frozen_model", "hybrid_lora_model"]
_PARAMS = ["params:evaluation", "params:seed"]
_TEXTS = ["items", "item_text", "item_categories"]
_TEST = ["users", "items", "test_protocol", "test_positives"]
#: The rules of test lists, and what counts; both are passed on in memory.
TEST_SIDE = [
    Node(
        nodes.build_test_protocol,
        ["items", "train_matrix", "validation_matrix", "cold_unused_matrix"],
        "test_protocol",
        name="build_test_protocol",
    ),
    Node(nodes.build_test_positives, ["test_matrix", "cold_matrix"], "test_positives", name="build_test_positives"),
]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``evaluation``."""
    return Pipeline(
        [
            *TEST_SIDE,
            Node(
                nodes.recommend_on_validation,
                [*_VALIDATION, "users", "items", "train_matrix", *_PARAMS],
                "validation_lists",
                name="recommend_on_validation",
            ),
            Node(
                nodes.recommend_on_test,
                [*_FINAL, "users", "items", "test_protocol", *_PARAMS],
                "test_lists",
                name="recommend_on_test",
            ),
            Node(
                nodes.recommend_to_new_users,
                [*_FINAL, "users", "items", "new_user_matrix", *_PARAMS],
                "new_user_recommendations",
                name="recommend_to_new_users",
            ),
            Node(nodes.join_lists, ["validation_lists", "test_lists"], "recommendations", name="join_lists"),
            Node(
                nodes.measure_known_users,
                [
                    "recommendations",
                    "users",
                    "items",
                    "train_matrix",
                    "validation_matrix",
                    *_TEST[2:],
                    "item_metadata",
                    _PARAMS[0],
                ],
                "known_user_metrics",
                name="measure_known_users",
            ),
            Node(
                nodes.measure_new_users,
                ["new_user_recommendations", "users", "new_user_matrix", "item_metadata", "params:evaluation"],
                "new_user_metrics",
                name="measure_new_users",
            ),
            Node(
                nodes.compare_models,
                ["recommendations", "users", *_TEST[2:], "item_metadata", *_PARAMS],
                "comparisons",
                name="compare_models",
            ),
            Node(
                nodes.join_metrics,
                ["known_user_metrics", "new_user_metrics", "params:seed"],
                "metrics",
                name="join_metrics",
            ),
            Node(
                nodes.measure_clicks,
                [*_FINAL[1:], "users", *_TEST[2:], "params:data_processing.split", "params:evaluation"],
                ["click_metrics", "click_calibration", "calibration_plot"],
                name="measure_clicks",
            ),
            Node(
                nodes.measure_ratings,
                [*_FINAL[1:], "interactions", "users", "items", "train_matrix", "params:evaluation"],
                "rating_metrics",
                name="measure_ratings",
            ),
            Node(
                reporting.note_seed,
                ["summary", "fingerprint", "tracked_run", "parameters"],
                "seed_summaries",
                name="note_seed",
            ),
            Node(frontiers.describe_items, [*_TEXTS, "item_embeddings_frozen"], "item_metadata", name="describe_items"),
            Node(
                frontiers.frontier_on_validation,
                [*_VALIDATION[1:], "users", "items", "train_matrix", "validation_matrix", "item_metadata", *_PARAMS],
                ["validation_frontier", "balance_preset"],
                name="frontier_on_validation",
            ),
            Node(
                frontiers.frontier_on_test,
                [*_FINAL[1:], *_TEST, "item_metadata", *_PARAMS],
                "test_frontier",
                name="frontier_on_test",
            ),
            Node(
                frontiers.join_frontiers,
                ["validation_frontier", "test_frontier", "balance_preset"],
                ["frontier", "frontier_plot"],
                name="join_frontiers",
            ),
            Node(
                nodes.summarise,
                ["metrics", "hybrid_frozen_price_list", "hybrid_lora_price_list", "params:evaluation"],
                ["summary", "comparison_plot", "trade_off_plot"],
                name="summarise",
            ),
            Node(
                registry.track,
                ["metrics", "comparison_plot", "trade_off_plot", "lm_training_plot"],
                "tracked_run",
                name="track",
            ),
            Node(
                registry.gather_metadata,
                ["items", "item_text", "item_categories", "params:feature_engineering"],
                "serving_metadata",
                name="gather_metadata",
            ),
            Node(
                registry.package_encoders,
                [
                    "serving_metadata",
                    "item_embeddings_frozen",
                    "item_embeddings_lora",
                    "adapter",
                    _PARAMS[0],
                    "params:lm_finetuning",
                    _PARAMS[1],
                ],
                "serving_encoders",
                name="package_encoders",
            ),
            Node(
                registry.build_recommender,
                [
                    *_FINAL[1:],
                    "users",
                    "items",
                    "test_protocol",
                    "serving_metadata",
                    "serving_encoders",
                    "told_space",
                    *_PARAMS,
                ],
                "recommender",
                name="build_recommender",
            ),
            Node(
                registry.register,
                [
                    "recommender",
                    "adapter",
                    "item_embeddings_lora",
                    "fingerprint",
                    "tracked_run",
                    "params:model_name",
                    _PARAMS[0],
                ],
                "registered_model",
                name="register",
            ),
            Node(
                reporting.explain_sample_users,
                [*_FINAL[1:], "users", "items", "test_protocol", "recommendations", *_PARAMS],
                "people",
                name="explain_sample_users",
            ),
            Node(
                reporting.collect_figures,
                ["comparison_plot", "trade_off_plot", "frontier_plot", "calibration_plot", "lm_training_plot"],
                "report_figures",
                name="collect_figures",
            ),
            Node(
                reporting.collect_tables,
                ["click_metrics", "rating_metrics", "data_quality", "data_summary"],
                "report_tables",
                name="collect_tables",
            ),
            Node(
                registry.check,
                ["registered_model", "recommendations", "users", "items", "test_protocol"],
                "registration_check",
                name="check_registered",
            ),
            Node(
                promotion.compare_with_champion,
                [
                    "registered_model",
                    "registration_check",
                    "recommender",
                    "recommendations",
                    "users",
                    "items",
                    "train_matrix",
                    *_TEST[2:],
                    _PARAMS[0],
                ],
                "judged",
                name="compare_with_champion",
            ),
            Node(
                promotion.move_alias,
                ["registered_model", "judged"],
                ["promotion", "promotion_log"],
                name="move_alias",
            ),
            Node(
                reporting.write_report,
                [
                    "summary",
                    "comparisons",
                    "metrics",
                    "seed_summaries",
                    "report_tables",
                    "people",
                    "balance_preset",
                    "report_figures",
                    "promotion",
                    "params:evaluation",
                ],
                "report",
                name="write_report",
            ),
        ]
    )
