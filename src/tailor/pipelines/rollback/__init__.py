"""The pipeline ``rollback``, run on request only."""

from tailor.pipelines.rollback.pipeline import create_pipeline

__all__ = ["create_pipeline"]
