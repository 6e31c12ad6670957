"""The pipeline ``lm_finetuning``."""

from tailor.pipelines.lm_finetuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
