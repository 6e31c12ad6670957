"""The pipeline ``data_processing``."""

from tailor.pipelines.data_processing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
