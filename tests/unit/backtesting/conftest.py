"""The fabricated catalogue of conf/test, read once."""

import pytest

from tailor.backtesting.project import Project
from tailor.models import checkpoints
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def fabricated() -> Project:
    read = Project.read("test", str(ROOT / "conf"), ROOT)
    checkpoints.set_folder(None)  # of this process: other tests leave nothing in the project's folder
    return read
