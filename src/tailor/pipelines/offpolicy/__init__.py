"""The pipeline ``offpolicy``, run on request only."""

from tailor.pipelines.offpolicy.pipeline import create_pipeline

__all__ = ["create_pipeline"]
