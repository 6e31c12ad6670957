"""The pipeline ``export``, run on request only."""

from tailor.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
