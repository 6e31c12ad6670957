"""The pipeline ``update``, run on request only."""

from tailor.pipelines.update.pipeline import create_pipeline

__all__ = ["create_pipeline"]
