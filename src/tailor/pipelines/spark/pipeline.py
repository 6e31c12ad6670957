"""Split, encoding, factorization, lists and figures on Apache Spark; what it reads is cleaned already."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.spark import nodes
from tailor.wiring import group

_DATA = {"params": "params:data_processing", "seed": "params:seed"}


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``spark``."""
    pipeline = [
        Node(
            func=nodes.split,
            inputs={"interactions": "spark_interactions"} | _DATA,
            outputs="spark_split",
            name="split",
            tags="cpu",
        ),
        Node(
            func=nodes.describe_items,
            inputs={"labelled": "spark_split", "items": "clean_items"} | _DATA,
            outputs="spark_items",
            name="describe_items",
            tags="cpu",
        ),
        Node(
            func=nodes.make_blocks,
            inputs={"labelled": "spark_split", "items": "spark_items", "spark": "params:spark"} | _DATA,
            outputs="spark_blocks",
            name="make_blocks",
            tags="cpu",
        ),
        Node(
            func=nodes.encode_items,
            inputs={
                "texts": "item_text",
                "items": "spark_items",
                "labelled": "spark_split",
                "lm": "params:lm_finetuning",
                "spark": "params:spark",
            },
            outputs="spark_embeddings",
            name="encode_items",
            tags="cpu",
        ),
        Node(
            func=nodes.fit_factors,
            inputs={
                "table": "spark_blocks",
                "items": "spark_items",
                "embeddings": "spark_embeddings",
                "hybrid": "params:hybrid_cf",
                "params": "params:evaluation",
                "spark": "params:spark",
                "seed": "params:seed",
            },
            outputs="spark_models",
            name="fit_factors",
            tags="cpu",
        ),
        Node(
            func=nodes.fit_item_weights,
            inputs={
                "table": "spark_blocks",
                "embeddings": "spark_embeddings",
                "items": "spark_items",
                "hybrid": "params:hybrid_cf",
                "params": "params:evaluation",
                "spark": "params:spark",
                "seed": "params:seed",
            },
            outputs="spark_item_weights",
            name="fit_item_weights",
            tags="cpu",
        ),
        Node(
            func=nodes.recommend,
            inputs={
                "table": "spark_blocks",
                "factors": "spark_models",
                "weights": "spark_item_weights",
                "items": "spark_items",
                "params": "params:evaluation",
                "seed": "params:seed",
            },
            outputs="spark_lists",
            name="recommend",
            tags="cpu",
        ),
        Node(
            func=nodes.measure,
            inputs={
                "made": "spark_lists",
                "labelled": "spark_split",
                "items": "spark_items",
                "params": "params:evaluation",
            },
            outputs="spark_metrics",
            name="measure",
            tags="cpu",
        ),
    ]
    return group("spark", pipeline)
