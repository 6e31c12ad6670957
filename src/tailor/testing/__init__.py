"""Tests that every model and every source of the hybrid has to pass, for whoever writes one; needs pytest and numpy.

Nothing else of Tailor imports this package: pytest is needed where you test, not where you serve.

Example:
    A model of your own, in ``tests/test_newest.py``:

    >>> from tailor.testing import ModelTests
    >>> class TestNewest(ModelTests):
    ...     personal = False
    ...
    ...     def make(self, seed=0):
    ...         return Newest(NewestConfig(half_life=30.0), seed)
"""

import pytest

pytest.register_assert_rewrite("tailor.testing.models", "tailor.testing.sources")

from tailor.testing.models import ModelTests  # noqa: E402  (after the line above, so that a failed assert shows values)
from tailor.testing.planted import PlantedBlocks, planted_blocks  # noqa: E402
from tailor.testing.sources import SourceTests  # noqa: E402

__all__ = ["ModelTests", "PlantedBlocks", "SourceTests", "planted_blocks"]
