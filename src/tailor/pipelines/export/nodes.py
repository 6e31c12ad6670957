"""Nodes of ``export``."""

from typing import Any

from tailor.lm.peft import Adapter
from tailor.options import EncoderOptions, LMOptions, parse


def merge_encoder(adapter: Adapter, params: dict[str, Any]) -> tuple[Adapter, EncoderOptions]:
    """Pair the adapter with its base model; saving merges them."""
    return adapter, parse(LMOptions, params, "lm_finetuning").encoder
