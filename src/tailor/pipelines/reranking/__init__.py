"""The pipeline ``reranking``."""

from tailor.pipelines.reranking.pipeline import create_pipeline

__all__ = ["create_pipeline"]
