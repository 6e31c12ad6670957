"""Nothing half-written is left under the final name."""

import pytest

from tailor.files import write_aside


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "adapter"
    for content in ("old", "new"):
        with write_aside(target) as aside:
            aside.mkdir()
            (aside / content).write_text(content)
    assert [p.name for p in target.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), write_aside(target) as aside:
        aside.mkdir()
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]
