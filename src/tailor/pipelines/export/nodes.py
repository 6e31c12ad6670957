"""Nodes of ``export``."""

from tailor.config import parse
from tailor.lm.config import EncoderOptions, LMOptions
from tailor.lm.peft import Adapter
from tailor.types import Parameters


def merge_encoder(adapter: Adapter, params: Parameters) -> tuple[Adapter, EncoderOptions]:
    """Pair the adapter with its base model; saving merges them."""
    return adapter, parse(LMOptions, params, "lm_finetuning").encoder
