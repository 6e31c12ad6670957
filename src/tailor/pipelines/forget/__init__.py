"""The pipeline ``forget``, run on request only."""

from tailor.pipelines.forget.pipeline import create_pipeline

__all__ = ["create_pipeline"]
