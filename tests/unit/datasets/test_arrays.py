"""An encoder that is exported."""

import pytest
from kedro.io import DatasetError

from tailor.datasets import (
    EncoderDataset,
)


def test_an_export_is_written_and_never_loaded(root, monkeypatch):
    monkeypatch.setattr("tailor.lm.peft.export", lambda _, __, path: (path.mkdir(), (path / "a").touch()))
    dataset = EncoderDataset(filepath=f"{root}/encoder")
    dataset.save((None, None))
    assert dataset.exists()
    with pytest.raises(DatasetError, match="is an export"):
        dataset.load()
