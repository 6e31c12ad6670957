"""Nothing half-written is left under the final name."""

import os
import time

import pytest

from tailor import files
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


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path):
    target, day = tmp_path / "items[1].json", 24 * 3600
    names = {
        ".items[1].json.0123abcd.tmp": 2 * day,
        ".items[1].json.89abcdef.tmp": 60,
        ".other.json.0123abcd.tmp": 2 * day,
    }
    for name, age in names.items():
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with write_aside(target) as aside:
        aside.write_text("{}")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"items[1].json", ".items[1].json.89abcdef.tmp", ".other.json.0123abcd.tmp"}


def test_the_folder_is_synced_once_the_file_has_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: synced.append((tmp_path / "a").exists()))
    with write_aside(tmp_path / "a") as aside:
        aside.write_text("x")
    assert synced == [True]
