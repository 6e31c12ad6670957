"""The pipeline ``evaluation``."""

from tailor.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
