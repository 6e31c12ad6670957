"""Tests that every plug-in should pass: inherit them in a test class, say what is tested, run pytest.

Needs pytest; nothing else of Tailor imports this package.

Example:
    A model of your own, in ``tests/test_newest.py``:

    >>> from tailor.testing.models import ModelTests
    >>> class TestNewest(ModelTests):
    ...     personal = False
    ...
    ...     def make(self, seed=0):
    ...         return Newest(NewestConfig(half_life=30.0), seed)
"""

import pytest

# Before they are imported: so that an assert that fails shows its values.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("compare", "metrics", "models", "rerankers", "sources"))
)
