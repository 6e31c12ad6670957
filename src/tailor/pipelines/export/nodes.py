"""Nodes of ``export``."""

import logging

from tailor.config import parse
from tailor.errors import BadInputError
from tailor.lm.config import EncoderOptions, LMOptions
from tailor.lm.peft import Adapter
from tailor.types import Parameters

log = logging.getLogger(__name__)


def merge_encoder(adapter: Adapter, params: Parameters) -> tuple[Adapter, EncoderOptions]:
    """Pair the adapter with its base model; saving merges them.

    Raises:
        BadInputError: nothing was tuned.
    """
    if not adapter.is_tuned:
        raise BadInputError(
            "There is no tuned encoder to export: lm_finetuning.enabled was false when the run was made."
        )
    if adapter.domains:
        log.warning("The export holds the adapter that all domains share, not those of %s", ", ".join(adapter.domains))
    return adapter, parse(LMOptions, params, "lm_finetuning").encoder
