"""A table made part by part: killed, taken up again, whatever the file system."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from tailor.datasets import (
    Parts,
    ResumableParquetDataset,
    parts,
)
from tailor.processes import in_processes
from tests.unit.datasets.made_parts import interrupted_at_two, numbers_to

PARTS = """
import sys, time
import pandas as pd
from tailor.datasets import Parts, ResumableParquetDataset

def make(part):
    print("made", part, flush=True)
    time.sleep(0.3)
    return pd.DataFrame({"user_id": [f"u{part}"], "rank": [part]})

ResumableParquetDataset(filepath=sys.argv[1]).save(Parts({"model": "a"}, range(6), make))
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder in which a process was killed while it made a table that had existed before."""
    folder = tmp_path_factory.mktemp("killed")
    path = folder / "lists.parquet"
    pd.DataFrame({"user_id": ["old"], "rank": [9]}).to_parquet(path)
    process = subprocess.Popen([sys.executable, "-c", PARTS, str(path)], stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    return folder


@pytest.fixture
def path(killed, tmp_path):
    """The table in a copy of that folder."""
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "lists.parquet"


def made_by_another_save(path, model):
    """Save the same table again; return which parts were made."""
    made = []

    def make(part):
        made.append(part)
        return pd.DataFrame({"user_id": [f"u{part}"], "rank": [part]})

    ResumableParquetDataset(filepath=str(path)).save(Parts({"model": model}, range(6), make))
    return made


def test_a_killed_table_keeps_the_old_file_and_is_taken_up_again(path):
    assert pd.read_parquet(path)["user_id"].tolist() == ["old"]
    done = len(list(path.parent.glob(".lists.parquet.*.parts/[0-9]*.parquet")))
    assert done in (2, 3)
    assert made_by_another_save(path, "a") == list(range(done, 6))
    assert ResumableParquetDataset(filepath=str(path)).load()["user_id"].tolist() == [f"u{part}" for part in range(6)]
    assert [file.name for file in path.parent.iterdir()] == ["lists.parquet"]


def test_parts_of_another_model_are_thrown_away(path):
    assert made_by_another_save(path, "b") == list(range(6))
    assert [file.name for file in path.parent.iterdir()] == ["lists.parquet"]


OF_TWO = """
import sys
from tailor.datasets import Parts, ResumableParquetDataset
from tests.unit.datasets.made_parts import slowly

ResumableParquetDataset(filepath=sys.argv[1]).save(Parts({"model": "a"}, range(40), slowly, 2))
"""


def test_what_two_processes_made_before_they_were_killed_is_taken_up_by_one(tmp_path):
    path, made = tmp_path / "lists.parquet", []
    paths = os.pathsep.join([str(Path.cwd()), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", OF_TWO, str(path)], env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    )
    while len(list(tmp_path.glob(".lists.parquet.*.parts/[0-9]*.parquet"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = len(list(tmp_path.glob(".lists.parquet.*.parts/[0-9]*.parquet")))

    def make(part):
        made.append(part)
        return numbers_to(part)

    ResumableParquetDataset(filepath=str(path)).save(Parts({"model": "a"}, range(40), make))
    assert made == list(range(done, 40))
    assert pd.read_parquet(path)["rank"].tolist() == [rank for part in range(40) for rank in range(part)]
    assert [file.name for file in tmp_path.iterdir()] == ["lists.parquet"]


def test_of_two_runs_at_once_the_second_is_refused_and_leaves_what_the_first_has(tmp_path):
    path = tmp_path / "lists.parquet"

    def make(part):
        if part == 1:
            with pytest.raises(DatasetError, match=r"lists\.parquet: another run is writing it; wait for its end"):
                ResumableParquetDataset(filepath=str(path)).save(Parts({"model": "b"}, range(3), numbers_to))
        return numbers_to(part)

    ResumableParquetDataset(filepath=str(path)).save(Parts({"model": "a"}, range(3), make))
    assert pd.read_parquet(path)["rank"].tolist() == [0, 0, 1]
    ResumableParquetDataset(filepath=str(path)).save(Parts({"model": "b"}, range(2), numbers_to))
    assert [file.name for file in tmp_path.iterdir()] == ["lists.parquet"]


def test_no_parts_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="a table of no parts cannot be written"):
        ResumableParquetDataset(filepath=str(tmp_path / "t.parquet")).save(Parts({}, [], lambda _: pd.DataFrame()))


def test_parts_are_made_once_whatever_the_file_system(root):
    dataset, made = ResumableParquetDataset(filepath=f"{root}/lists.parquet"), []

    def make(part):
        made.append(part)
        if len(made) == 3:
            raise KeyboardInterrupt
        return pd.DataFrame({"part": [part]})

    dataset.save(Parts({"model": "old"}, [0], lambda _: pd.DataFrame({"part": [9]})))
    with pytest.raises(KeyboardInterrupt):
        dataset.save(Parts({"model": "a"}, range(4), make))
    assert dataset.load()["part"].tolist() == [9]
    dataset.save(Parts({"model": "a"}, range(4), make))
    assert made == [0, 1, 2, 2, 3]
    assert dataset.load()["part"].tolist() == [0, 1, 2, 3]
    assert dataset.location.siblings(".*") == []


def test_several_processes_write_the_same_file_and_make_the_missing_parts_only(tmp_path, monkeypatch):
    alone = ResumableParquetDataset(filepath=f"{tmp_path}/alone.parquet")
    alone.save(Parts({"model": "a"}, range(5), numbers_to))
    dataset, handed = ResumableParquetDataset(filepath=f"{tmp_path}/lists.parquet"), []

    def watched(work, tasks, n_processes, option):
        assert (n_processes, option) == (2, "inference.workers")
        handed.extend(tasks)
        return in_processes(work, tasks, n_processes, option)

    monkeypatch.setattr(parts, "in_processes", watched)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(Parts({"model": "a"}, range(5), interrupted_at_two))
    dataset.save(Parts({"model": "a"}, range(5), numbers_to, 2, "inference.workers"))
    assert handed == [2, 3, 4]
    assert (tmp_path / "lists.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()
