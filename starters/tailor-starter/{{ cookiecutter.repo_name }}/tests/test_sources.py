"""The tests that Tailor's own sources pass, on ours."""

from {{ cookiecutter.python_package }}.sources import UserKNN

from tailor.testing.models import ModelTests
from tailor.testing.sources import SourceTests


class TestUserKNN(ModelTests):
    """As a model."""

    def make(self, seed=0):
        """Return the recipe that is tested."""
        return UserKNN(seed=seed)


class TestUserKNNSource(SourceTests):
    """As a source of the hybrid."""

    source = "user_knn"
