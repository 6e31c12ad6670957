"""Texts, matrices and the teacher's factors."""

from kedro.pipeline import Node, Pipeline

from tailor import columns as c
from tailor.pipelines.feature_engineering import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``feature_engineering``."""
    return Pipeline(
        [
            Node(nodes.write_texts, ["items", "params:feature_engineering"], "item_text", name="write_texts"),
            Node(
                nodes.build_matrices,
                ["interactions", "users", "items"],
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
