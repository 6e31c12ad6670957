"""What kedro-viz shows of data: files of a build may be published, so nobody is named."""

import pandas as pd

from tailor.datasets import ModelsDataset, PlantedDataset, TextTableDataset
from tailor.datasets.tables import table_preview
from tests.recipes import hybrid


def test_a_table_of_people_hides_ids_and_their_words():
    people = pd.DataFrame({"user_id": ["u1", "u2"], "age": [31, 47], "about": ["I like", "I do"], "text": ["a", "b"]})
    preview = table_preview(people)
    assert preview["columns"] == ["user_id", "age", "about", "text"]
    hidden = "(not shown)"
    assert preview["data"] == [[hidden, 31, hidden, hidden], [hidden, 47, hidden, hidden]]
    items = pd.DataFrame({"item_id": ["i1"], "text": ["a comedy"]})
    assert table_preview(items)["data"] == [["i1", "a comedy"]]


def test_a_raw_table_shows_its_columns_and_no_cell(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("customer,age\nsecret-1,31\nsecret-2,\n")
    preview = TextTableDataset(filepath=str(path)).preview()
    assert preview["columns"] == ["column", "type", "different values in the first 2 rows", "empty"]
    rows = {row[0]: row[2:] for row in preview["data"]}
    assert rows["customer"] == [2, 0] and rows["age"][1] == 1
    assert "secret" not in str(preview)
    assert TextTableDataset(filepath=str(tmp_path / "none.csv")).preview()["data"] == []
    names = [row[0] for row in PlantedDataset(table="users", seed=0, n_items=40, per_user=8).preview()["data"]]
    assert "user_id" in names


def test_models_are_shown_by_class_items_and_size(tmp_path, tables):
    dataset = ModelsDataset(filepath=str(tmp_path / "models.safetensors"))
    dataset.save({"hybrid": hybrid().fit(tables.train_set)})
    ((name, kind, items, size),) = dataset.preview()["data"]
    assert (name, kind, items) == ("hybrid", "Hybrid", len(tables.items))
    assert 0 < size < 100
