"""A table made part by part: killed, taken up again, whatever the file system."""

import subprocess
import sys

import pandas as pd
import pytest
from kedro.io import DatasetError

from tailor.datasets import (
    Parts,
    ResumableParquetDataset,
)

PARTS = """
import sys, time
import pandas as pd
from tailor.datasets import Parts, ResumableParquetDataset

def make(at):
    print("made", at, flush=True)
    time.sleep(float(sys.argv[2]))
    return pd.DataFrame({"user_id": [f"u{at}"], "rank": [at]})

ResumableParquetDataset(filepath=sys.argv[1]).save(Parts({"model": sys.argv[3]}, 6, make))
"""


def part_run(path, pause, model="a"):
    return subprocess.Popen(
        [sys.executable, "-c", PARTS, str(path), str(pause), model], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_table_keeps_the_old_file_and_is_taken_up_again(tmp_path):
    path = tmp_path / "lists.parquet"
    pd.DataFrame({"user_id": ["old"], "rank": [9]}).to_parquet(path)
    process = part_run(path, 0.3)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    assert pd.read_parquet(path)["user_id"].tolist() == ["old"]
    done = len(list(tmp_path.glob(".lists.parquet.*.parts/[0-9]*.parquet")))
    assert done in (2, 3)
    made = part_run(path, 0).communicate()[0].splitlines()
    assert made == [f"made {at}" for at in range(done, 6)]
    assert ResumableParquetDataset(filepath=str(path)).load()["user_id"].tolist() == [f"u{at}" for at in range(6)]
    assert [found.name for found in tmp_path.iterdir()] == ["lists.parquet"]


def test_parts_of_another_model_are_thrown_away(tmp_path):
    path = tmp_path / "lists.parquet"
    process = part_run(path, 0.3)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    assert len(part_run(path, 0, "b").communicate()[0].splitlines()) == 6
    assert [found.name for found in tmp_path.iterdir()] == ["lists.parquet"]


def test_no_parts_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="a table of no parts cannot be written"):
        ResumableParquetDataset(filepath=str(tmp_path / "t.parquet")).save(Parts({}, 0, lambda _: pd.DataFrame()))


def test_parts_are_made_once_whatever_the_file_system(root):
    dataset, made = ResumableParquetDataset(filepath=f"{root}/lists.parquet"), []

    def make(part):
        made.append(part)
        if len(made) == 3:
            raise KeyboardInterrupt
        return pd.DataFrame({"part": [part]})

    dataset.save(Parts({"model": "old"}, 1, lambda _: pd.DataFrame({"part": [9]})))
    with pytest.raises(KeyboardInterrupt):
        dataset.save(Parts({"model": "a"}, 4, make))
    assert dataset.load()["part"].tolist() == [9]
    dataset.save(Parts({"model": "a"}, 4, make))
    assert made == [0, 1, 2, 2, 3]
    assert dataset.load()["part"].tolist() == [0, 1, 2, 3]
    assert dataset.location.siblings(".*") == []
