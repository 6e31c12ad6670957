"""The folder that a process leaves its checkpoints in."""

from pathlib import Path

from tailor.models import checkpoints


def test_a_folder_is_set_and_taken_back():
    before = checkpoints.folder()
    try:
        checkpoints.set_folder("some/where")
        assert checkpoints.folder() == Path("some/where")
        checkpoints.set_folder(None)
        assert checkpoints.folder() is None
    finally:
        checkpoints.set_folder(None if before is None else str(before))
