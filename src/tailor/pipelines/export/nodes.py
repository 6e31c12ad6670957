"""Nodes of ``export``."""

from tailor.config import parse
from tailor.errors import BadInputError
from tailor.lm.config import EncoderOptions, LMOptions
from tailor.lm.peft import Adapter
from tailor.types import Parameters


def merge_encoder(adapter: Adapter, params: Parameters) -> tuple[Adapter, EncoderOptions]:
    """Pair the adapter with its base model; saving merges them.

    Raises:
        BadInputError: nothing was tuned.
    """
    if not adapter.is_tuned:
        raise BadInputError(
            "There is no tuned encoder to export: lm_finetuning.enabled was false when the run was made."
        )
    return adapter, parse(LMOptions, params, "lm_finetuning").encoder
