"""The pipeline ``reporting``."""

from tailor.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
