"""Adaptation to the catalogue's language before the objective."""

from dataclasses import replace

import pytest

from tailor.errors import ConfigurationError
from tailor.lm import batching
from tailor.lm.config import (
    MaskedLMOptions,
)
from tailor.lm.trainer import tune


def test_masked_lm_needs_a_mask_token(data, options, encoder, monkeypatch):
    without = batching.tokenise([". ".join(row) for row in data.pieces], encoder)
    monkeypatch.setattr(batching, "tokenise", lambda *args: replace(without, mask=None))
    with pytest.raises(ConfigurationError, match="has no mask token"):
        tune(data, options(masked_lm=MaskedLMOptions(epochs=1)), seed=0)
