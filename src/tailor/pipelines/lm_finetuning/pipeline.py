"""Item texts to embeddings, frozen and tuned."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.lm_finetuning import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``lm_finetuning``."""
    return Pipeline(
        [
            Node(
                nodes.tune_adapter,
                [
                    "item_text",
                    "items",
                    "train_matrix",
                    "teacher_factors",
                    "item_categories",
                    "params:lm_finetuning",
                    "params:seed",
                ],
                ["adapter", "lm_history"],
                name="tune_adapter",
            ),
            Node(
                nodes.encode_frozen,
                ["item_text", "items", "params:lm_finetuning"],
                "item_embeddings_frozen",
                name="encode_frozen",
            ),
            Node(
                nodes.encode_tuned,
                ["item_text", "items", "adapter", "params:lm_finetuning"],
                "item_embeddings_lora",
                name="encode_tuned",
            ),
            Node(nodes.plot_training, "lm_history", "lm_training_plot", name="plot_training"),
        ]
    )
