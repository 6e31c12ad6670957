"""The base model without what is random in it."""

import torch

from tailor.lm.encoder import load_base


def without_dropout(options):
    """Load the base model with every dropout at 0; of a module, so that another process can import it."""
    base = load_base(options)
    for module in base.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return base
