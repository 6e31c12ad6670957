"""The pipeline ``tuning``, run on request only."""

from tailor.pipelines.tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
