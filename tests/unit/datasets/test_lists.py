"""Lists of many models: one file for each, made and read one at a time."""

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from tailor.datasets import ListsDataset
from tailor.evaluation.ranking import label, to_frame

USERS, ITEMS = pd.Series(["u0", "u1", "u2"]), pd.Series([f"i{i}" for i in range(5)])


def table(model):
    lists = np.array([[4, 1], [0, -1]]), np.array([[0.5, 0.25], [1.0, 0.0]], np.float32)
    return label(to_frame(lists, np.array([2, 0]), USERS, ITEMS), model=model, candidates="warm", split="test")


def test_each_model_has_a_file_and_all_are_one_table(tmp_path):
    """The order is that of the models, not of their names; names may hold any character."""
    names = ["popular", "ease", "without slit | lora/50%"]
    dataset = ListsDataset(filepath=str(tmp_path / "lists" / "test"))
    dataset.save({name: lambda name=name: table(name) for name in names})
    found = dataset.load()
    assert list(found) == names
    for name in names:
        pd.testing.assert_frame_equal(found[name](), table(name))
    together = pd.read_parquet(tmp_path / "lists")
    assert together["model"].astype(str).unique().tolist() == names
    assert together["item_id"].astype(str).tolist() == ["i4", "i1", "i0"] * 3
    assert together["user_id"].cat.codes.dtype.itemsize <= 4


def test_no_table_is_read_or_made_before_it_is_asked_for(root):
    made = []

    def make(name):
        made.append(name)
        return table(name)

    dataset = ListsDataset(filepath=f"{root}/test")
    dataset.save({name: lambda name=name: make(name) for name in ("b", "a")})
    assert made == ["b", "a"]
    found = dataset.load()
    dataset.save({"c": lambda: table("c")})
    with pytest.raises(FileNotFoundError):
        found["b"]()
    assert list(dataset.load()) == ["c"]


def test_an_interrupted_run_leaves_the_lists_that_were_there(root):
    dataset = ListsDataset(filepath=f"{root}/test")
    dataset.save({"a": lambda: table("a")})

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset.save({"a": lambda: table("a").head(1), "b": stop})
    assert list(dataset.load()) == ["a"]
    assert len(dataset.load()["a"]()) == 3


def test_what_are_no_lists_is_refused(root):
    dataset = ListsDataset(filepath=f"{root}/test")
    with pytest.raises(DatasetError, match="takes functions that make tables, by model, not a DataFrame"):
        dataset.save(table("a"))
    with pytest.raises(DatasetError, match="takes tables, not a list"):
        dataset.save({"a": lambda: []})
    with pytest.raises(DatasetError, match=r"not a table of lists: .*'rank'"):
        dataset.save({"a": lambda: table("a").drop(columns="rank")})
    with pytest.raises(DatasetError, match=r"There are no lists in .*test, or not of every model: run the pipeline"):
        dataset.load()
    dataset.save({"a": lambda: table("a")})
    assert list(dataset.load()) == ["a"]


def test_the_first_rows_are_shown(root):
    dataset = ListsDataset(filepath=f"{root}/test")
    assert dataset.preview()["data"] == []
    dataset.save({"a": lambda: table("a")})
    assert dataset.preview(nrows=1)["data"] == [["(not shown)", "i4", 1, 0.5, "a", "warm", "test"]]
    dataset.save({})
    assert dataset.load() == {}
    assert dataset.exists()
    assert dataset.preview()["data"] == []


@pytest.mark.parametrize("deleted", [["a"], ["a", "b"]])
def test_lists_of_which_a_table_was_deleted_are_not_there(root, deleted):
    dataset = ListsDataset(filepath=f"{root}/test")
    dataset.save({"a": lambda: table("a"), "b": lambda: table("b")})
    assert dataset.exists()
    for file in dataset.location.sibling("test/*").siblings("*.parquet"):
        if file.name.removesuffix(".parquet").partition("-")[2] in deleted:
            file.remove()
    assert not dataset.exists()
    assert dataset.preview()["data"] == []
    with pytest.raises(DatasetError, match=r"There are no lists in .*test, or not of every model: run the pipeline"):
        dataset.load()
    dataset.save({"b": lambda: table("b")})
    assert list(dataset.load()) == ["b"]
