"""Where an interrupted training goes on."""

import torch

from tailor.lm.checkpoint import Checkpoint


def test_a_checkpoint_of_another_training_or_a_broken_one_is_not_taken_up(tmp_path, caplog):
    path = tmp_path / "checkpoint.safetensors"
    assert Checkpoint.load(path, "a") is None
    Checkpoint("a", {"done": 1}, {"x": torch.ones(2)}).save(path)
    assert Checkpoint.load(path, "a").progress == {"done": 1}
    assert Checkpoint.load(path, "b") is None
    path.write_bytes(path.read_bytes()[:-3])
    assert Checkpoint.load(path, "a") is None
    assert "cannot be read" in caplog.text
