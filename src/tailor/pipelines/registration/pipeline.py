"""The run in MLflow, the registered model, and the proof that it is what was measured."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.registration import nodes
from tailor.wiring import HYBRIDS, TEST_PROTOCOL, group

_TABLES = {"users": "users", "items": "items"}
_OPTIONS = {"params": "params:evaluation", "seed": "params:seed"}


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``registration``."""
    return group(
        "registration",
        [*_build(), *_publish()],
        private=[
            "item_metadata",
            "encoders",
            "recommender_description",
            "evaluated_recommender",
            "all_interactions",
            "blocked_pairs",
            "recommender",
        ],
    )


def _build() -> list[Node]:
    return [
        Node(
            func=nodes.gather_metadata,
            inputs={
                "items": "items",
                "texts": "item_text",
                "categories": "item_categories",
                "params": "params:feature_engineering",
            },
            outputs="item_metadata",
            name="gather_metadata",
            tags="cpu",
        ),
        Node(
            func=nodes.package_encoders,
            inputs={
                "metadata": "item_metadata",
                "embeddings_frozen": "item_embeddings_frozen",
                "embeddings_lora": "item_embeddings_lora",
                "adapter": "adapter",
                "lm": "params:lm_finetuning",
                "words": "params:words",
            }
            | _OPTIONS,
            outputs="encoders",
            name="package_encoders",
            tags="cpu",
        ),
        Node(
            func=nodes.describe_recommender,
            inputs={
                "metadata": "item_metadata",
                "feature_encoders": "feature_encoders",
                "balance": "balance_preset",
                "project": "parameters",
            },
            outputs="recommender_description",
            name="describe_recommender",
            tags="cpu",
        ),
        Node(
            func=nodes.build_evaluated,
            inputs=HYBRIDS | _TABLES | {"about": "recommender_description"} | TEST_PROTOCOL,
            outputs="evaluated_recommender",
            name="build_evaluated",
            tags="cpu",
        ),
        Node(
            func=nodes.gather_all,
            inputs={
                "interactions": "interactions",
                "feature_encoders": "feature_encoders",
                "user_texts": "user_text_embeddings",
                "late_user_texts": "late_user_text_embeddings",
                "params": "params:data_processing",
                "seed": "params:seed",
            }
            | _TABLES,
            outputs="all_interactions",
            name="gather_all",
            tags="cpu",
        ),
        Node(
            func=nodes.gather_blocked,
            inputs={"interactions": "interactions"} | _TABLES,
            outputs="blocked_pairs",
            name="gather_blocked",
            tags="cpu",
        ),
        Node(
            func=nodes.refit_recommender,
            inputs={
                "evaluated": "evaluated_recommender",
                "all_interactions": "all_interactions",
                "interactions": "interactions",
                "blocked": "blocked_pairs",
                "metadata": "item_metadata",
                "packaged": "encoders",
            },
            outputs="recommender",
            name="refit",
            tags="cpu",
        ),
    ]


def _publish() -> list[Node]:
    return [
        Node(
            func=nodes.describe_choice,
            inputs=HYBRIDS
            | {
                "frozen_choice": "hybrid_frozen_choice",
                "lora_choice": "hybrid_lora_choice",
                "balance": "balance_preset",
                "items": "items",
                "name": "params:evaluation.registered",
            },
            outputs="chosen_options",
            name="describe_choice",
            tags="cpu",
        ),
        Node(
            func=nodes.track_run,
            inputs={
                "split": "split",
                "fingerprint": "fingerprint",
                "choice": "chosen_options",
                "model_name": "params:model_name",
                "metrics": "metrics",
                "comparisons": "comparisons",
                "summary": "summary",
            },
            outputs="tracked_run",
            name="track",
            tags=["cpu", "publish"],
        ),
        Node(
            func=nodes.register,
            inputs={
                "recommender": "recommender",
                "evaluated": "evaluated_recommender",
                "adapter": "adapter",
                "embeddings": "item_embeddings_lora",
                "fingerprint": "fingerprint",
                "tracked": "tracked_run",
                "model_name": "params:model_name",
                "params": "params:evaluation",
            },
            outputs="registered_model",
            name="register",
            tags=["cpu", "publish"],
        ),
        Node(
            func=nodes.check_registered,
            inputs={
                "registered": "registered_model",
                "test_lists": "test_lists",
                "interactions": "interactions",
            }
            | _TABLES
            | TEST_PROTOCOL,
            outputs="registration_check",
            name="check_registered",
            tags="cpu",
        ),
        Node(
            func=nodes.describe_version,
            inputs={
                "registered": "registered_model",
                "tracked": "tracked_run",
                "params": "params:evaluation",
                "metrics": "metrics",
                "comparisons": "comparisons",
                "summary": "summary",
                "lm_history": "lm_history",
                "data_summary": "data_summary",
                "group_gaps": "group_gaps",
                "user_quantiles": "user_quantiles",
            },
            outputs="model_card",
            name="describe_version",
            tags=["cpu", "publish"],
        ),
    ]
