"""The pipeline ``hybrid_cf``."""

from tailor.pipelines.hybrid_cf.pipeline import create_pipeline

__all__ = ["create_pipeline"]
