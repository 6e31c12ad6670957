"""Texts, matrices and the teacher's factors."""

from kedro.pipeline import Node, Pipeline

from tailor import columns as c
from tailor.pipelines.feature_engineering import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``feature_engineering``."""
    return Pipeline(
        [
            Node(nodes.keep_train, "interactions", "train_interactions", name="keep_train"),
            Node(
                nodes.write_item_texts,
                ["items", "train_interactions", "params:feature_engineering"],
                ["item_text", "item_categories"],
                name="write_item_texts",
            ),
            Node(
                nodes.encode_side_features,
                ["users", "items", "interactions", "params:feature_engineering"],
                ["told", "told_space"],
                name="encode_side_features",
            ),
            Node(
                nodes.order_histories,
                ["interactions", "users", "items"],
                "order_matrix",
                name="order_histories",
            ),
            Node(
                nodes.build_matrices,
                ["interactions", "users", "items", "order_matrix", "params:data_processing.split"],
                [f"{label}_matrix" for label in c.SPLITS],
                name="build_matrices",
            ),
            Node(
                nodes.fit_teacher,
                ["train_matrix", "items", "params:feature_engineering", "params:seed"],
                "teacher_factors",
                name="fit_teacher",
            ),
        ]
    )
