"""What a language model is tuned on holds no leak."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.lm.config import (
    ObjectiveOptions,
)
from tailor.lm.trainer import tune


def test_interactions_outside_the_trainable_items_cannot_leak(data, options):
    """Plant a leak: rewrite the interactions of every item that is not trainable; training must not notice."""
    poisoned = data.train.tolil()
    poisoned[:, np.flatnonzero(data.stop_on)] = 1.0
    for name in ("implicit_quadratic", "multitask"):
        plain = options(epochs=1, objective=ObjectiveOptions(name=name))
        _, history = tune(data, plain, seed=0)
        _, poisoned_history = tune(replace(data, train=poisoned.tocsr()), plain, seed=0)
        assert history[1]["loss"] == poisoned_history[1]["loss"]
    with pytest.raises(ValueError, match="16 items are both trainable and stopped on"):
        replace(data, trainable=np.ones(80, bool))
