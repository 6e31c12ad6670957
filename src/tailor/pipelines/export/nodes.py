"""Nodes of ``export``."""

from typing import Any

from tailor.config import parse
from tailor.lm.config import EncoderOptions, LMOptions
from tailor.lm.peft import Adapter


def merge_encoder(adapter: Adapter, params: dict[str, Any]) -> tuple[Adapter, EncoderOptions]:
    """Pair the adapter with its base model; saving merges them."""
    return adapter, parse(LMOptions, params, "lm_finetuning").encoder
