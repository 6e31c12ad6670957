"""The pipeline ``spark``, run on request only."""

from tailor.pipelines.spark.pipeline import create_pipeline

__all__ = ["create_pipeline"]
