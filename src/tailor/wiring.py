"""What the wiring of several pipelines shares: names of datasets that are read together, and how nodes are grouped."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

#: The pipelines of ``kedro run``, in the order in which docs, kedro-viz and the report show them.
STAGES = (
    "data_processing",
    "feature_engineering",
    "lm_finetuning",
    "hybrid_cf",
    "evaluation",
    "reranking",
    "registration",
    "promotion",
    "reporting",
    "inference",
)
#: What the rules of test lists are made of; the arguments of :func:`tailor.evaluation.protocol.test_protocol`.
TEST_PROTOCOL = {
    "train": "train_matrix",
    "validation": "validation_matrix",
    "cold_unused": "cold_unused_matrix",
    "order": "order_matrix",
    "side_features": "side_features",
    "user_texts": "user_text_embeddings",
    "strengths": "strength_matrix",
}
#: The same for validation lists.
VALIDATION_PROTOCOL = {
    name: TEST_PROTOCOL[name] for name in ("train", "order", "side_features", "user_texts", "strengths")
}
#: What metrics and re-rankers know of items; the arguments of :func:`tailor.evaluation.measure.describe_items`.
ITEM_METADATA = {
    "items": "items",
    "texts": "item_text",
    "categories": "item_categories",
    "embeddings": "item_embeddings_frozen",
}
#: What choices are made on; the arguments of :func:`tailor.hybrid.holdout.hold_out`.
HOLDOUT = {
    "train": "train_matrix",
    "validation": "validation_matrix",
    "order": "order_matrix",
    "reveal_order": "reveal_order_matrix",
    "items": "items",
    "side_features": "side_features",
    "user_texts": "user_text_embeddings",
    "strengths": "strength_matrix",
    "few_shot_share": "params:hybrid_cf.blend.few_shot_share",
    "seed": "params:seed",
}
#: The hybrids as they are measured on test and registered.
HYBRIDS = {"frozen": "hybrid_frozen_model", "lora": "hybrid_lora_model"}
#: The same without pseudo-cold B, for validation lists.
VALIDATION_HYBRIDS = {"frozen": "hybrid_frozen_validation_model", "lora": "hybrid_lora_validation_model"}


def group(name: str, nodes: Iterable[Node | Pipeline], private: Iterable[str] = ()) -> Pipeline:
    """Put nodes into one namespace: a box in kedro-viz, whose nodes are called ``name.node`` in every pipeline.

    Datasets keep their names, so that other pipelines and the catalog find them.

    Args:
        name: of the pipeline.
        nodes: nodes, or pipelines with namespaces of their own.
        private: outputs that only this pipeline reads; they are called ``name.output`` and stay in memory.
    """
    return Pipeline(
        nodes,
        namespace=name,
        prefix_datasets_with_namespace=False,
        outputs={output: f"{name}.{output}" for output in private},
    )
