"""The pipeline ``experiment``, run on request only."""

from tailor.pipelines.experiment.pipeline import create_pipeline

__all__ = ["create_pipeline"]
