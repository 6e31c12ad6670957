"""The pipeline ``promotion``."""

from tailor.pipelines.promotion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
