"""The pipeline ``inference``."""

from tailor.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
