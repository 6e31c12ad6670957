"""Texts, side features, matrices and the teacher's factors."""

from kedro.pipeline import Node, Pipeline

from tailor import columns as c
from tailor.pipelines.feature_engineering import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``feature_engineering``."""
    return group("feature_engineering", [*_texts(), *_matrices()], private=["train_interactions"])


def _texts() -> list[Node]:
    return [
        Node(
            func=nodes.keep_train,
            inputs="interactions",
            outputs="train_interactions",
            name="keep_train",
            tags="cpu",
        ),
        Node(
            func=nodes.write_item_texts,
            inputs=["items", "train_interactions", "params:feature_engineering"],
            outputs=["item_text", "item_categories"],
            name="write_item_texts",
            tags="cpu",
        ),
        Node(
            func=nodes.write_user_texts,
            inputs={
                "users": "users",
                "items": "items",
                "interactions": "interactions",
                "params": "params:feature_engineering",
            },
            outputs="user_text",
            name="write_user_texts",
            tags="cpu",
        ),
        Node(
            func=nodes.encode_side_features,
            inputs={
                "users": "users",
                "items": "items",
                "interactions": "interactions",
                "params": "params:feature_engineering",
            },
            outputs=["side_features", "feature_encoders"],
            name="encode_side_features",
            tags="cpu",
        ),
    ]


def _matrices() -> list[Node]:
    return [
        Node(
            func=nodes.order_histories,
            inputs={
                "interactions": "interactions",
                "users": "users",
                "items": "items",
                "split": "params:data_processing.split",
            },
            outputs=["order_matrix", "reveal_order_matrix"],
            name="order_histories",
            tags="cpu",
        ),
        Node(
            func=nodes.build_matrices,
            inputs=["interactions", "users", "items"],
            outputs=[f"{label}_matrix" for label in c.SPLITS],
            name="build_matrices",
            tags="cpu",
        ),
        Node(
            func=nodes.weigh_histories,
            inputs=["interactions", "users", "items"],
            outputs="strength_matrix",
            name="weigh_histories",
            tags="cpu",
        ),
        Node(
            func=nodes.fit_teacher,
            inputs={
                "train": "train_matrix",
                "strengths": "strength_matrix",
                "items": "items",
                "params": "params:feature_engineering",
                "seed": "params:seed",
            },
            outputs="teacher_factors",
            name="fit_teacher",
            tags="cpu",
        ),
    ]
