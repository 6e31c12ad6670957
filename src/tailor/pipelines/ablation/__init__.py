"""The pipeline ``ablation``, run on request only."""

from tailor.pipelines.ablation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
