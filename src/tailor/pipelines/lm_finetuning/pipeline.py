"""Item and user text to embeddings, frozen and tuned."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.lm_finetuning import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``lm_finetuning``."""
    return group("lm_finetuning", [*_tune(), *_encode()])


def _tune() -> list[Node]:
    return [
        Node(
            func=nodes.tune_adapter,
            inputs={
                "item_text": "item_text",
                "items": "items",
                "train": "train_matrix",
                "teacher": "teacher_factors",
                "item_categories": "item_categories",
                "params": "params:lm_finetuning",
                "seed": "params:seed",
            },
            outputs=["adapter", "lm_history"],
            name="tune_adapter",
            tags="gpu",
        ),
        Node(
            func=nodes.plot_training,
            inputs="lm_history",
            outputs="lm_training_plot",
            name="plot_training",
            tags=["cpu", "report"],
        ),
    ]


def _encode() -> list[Node]:
    return [
        Node(
            func=nodes.encode_frozen,
            inputs=["item_text", "items", "params:lm_finetuning"],
            outputs="item_embeddings_frozen",
            name="encode_frozen",
            tags="gpu",
        ),
        Node(
            func=nodes.encode_tuned,
            inputs={
                "item_text": "item_text",
                "items": "items",
                "adapter": "adapter",
                "params": "params:lm_finetuning",
            },
            outputs="item_embeddings_lora",
            name="encode_tuned",
            tags="gpu",
        ),
        Node(
            func=nodes.encode_user_texts,
            inputs={
                "user_text": "user_text",
                "params": "params:lm_finetuning",
                "user_text_params": "params:feature_engineering.user_text",
            },
            outputs=["user_text_embeddings", "late_user_text_embeddings"],
            name="encode_user_texts",
            tags="gpu",
        ),
    ]
