"""The pipeline ``feature_engineering``."""

from tailor.pipelines.feature_engineering.pipeline import create_pipeline

__all__ = ["create_pipeline"]
