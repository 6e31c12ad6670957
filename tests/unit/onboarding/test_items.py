import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.onboarding.column_summary import ColumnSummary
from tailor.onboarding.items import describe_items, sample_texts, split_categories
from tailor.onboarding.tables import TEXT, RawTable
from tests.unit.onboarding.conftest import shop_products


def table(frame: pd.DataFrame) -> RawTable:
    return RawTable("products.csv", frame, len(frame), True, TEXT)


def described(**columns):
    n = len(next(iter(columns.values())))
    return describe_items(table(pd.DataFrame({"id": range(n), **columns})), "id")


def test_a_shop():
    columns = describe_items(table(shop_products()), "sku")
    assert {choice.ours: choice.theirs for choice in columns.columns} == {"title": "Product Name", "tags": "tags"}
    assert columns.template == ("{title}", "{tags}")
    assert (columns.categories.column, columns.categories.separator) == ("tags", "|")
    assert dict(columns.unused) == {"picture": "links, names of images, or keys"}


def test_a_title_without_a_usual_name_is_the_short_text_that_differs():
    columns = described(
        xyz=[f"Thing number {n}" for n in range(20)],
        tale=[
            "A long story about things that nobody ever needs to read to its end, since " * 2 + str(n)
            for n in range(20)
        ],
        hue=["red", "blue"] * 10,
    )
    assert columns.columns[0].theirs == "xyz"
    assert columns.template == ("{title}", "{hue}", "{tale}")  # the longest last


def test_items_without_words_are_refused():
    with pytest.raises(BadInputError, match=r"products.csv has no column with words .* at least a title or a text"):
        described(weight=[1.5, 2.5])


def test_makers_stand_behind_by_and_years_stay():
    columns = described(title=[f"Book {n}" for n in range(10)], Author=["Ann Li", "Bo Ek"] * 5, year=range(1990, 2000))
    assert columns.template == ("{title}", "by {author}", "{year}")


def test_what_tells_nothing_is_left_out_with_a_reason():
    columns = described(
        title=[f"Book {n}" for n in range(100)],
        weight=[n / 3 for n in range(100)],
        blank=[None] * 100,
        rare=["word"] + ["other"] + [None] * 98,
        same=["yes"] * 100,
        added=["2020-01-01"] * 99 + ["2020-01-02"],
        crew=["[{'name': 'Ann'}]"] * 99 + ["[{'name': 'Bo'}]"],
    )
    assert columns.template == ("{title}",)
    assert dict(columns.unused) == {
        "weight": "numbers; a language model makes little of them",
        "blank": "empty",
        "rare": "98 % are empty",
        "same": "the same in all rows",
        "added": "dates",
        "crew": "objects in braces",
    }


def test_names_that_tailor_writes_itself_are_not_taken():
    columns = described(title=["Tea", "Cup"] * 5, bucket=["red pail", "blue pail"] * 5)
    assert "item_bucket" in [choice.ours for choice in columns.columns]


def test_vectors():
    columns = described(title=["Tea", "Cup"], image=[[0.1] * 8, [0.2] * 8])
    assert [choice.ours for choice in columns.columns] == ["title", "vector_image"]
    assert columns.template == ("{title}",)


def test_a_text_has_eight_pieces_at_most():
    extra = {f"part_{n}": [f"red {n}", f"blue {n}"] * 10 for n in range(10)}
    columns = described(title=[f"Book {n}" for n in range(20)], **extra)
    assert len(columns.template) == 8
    assert [reason for _, reason in columns.unused] == ["a text has 8 pieces already"] * 3


def categories_of(name: str, cells: list) -> tuple | None:
    found = split_categories(ColumnSummary.of(name, pd.Series(cells)))
    return found if found is None else found[0]


@pytest.mark.parametrize("separator", ["|", ",", ";", "/", " "])
def test_separators_of_categories(separator):
    kinds = ["drama", "war", "crime", "music"]
    cells = [separator.join(kinds[k] for k in range(4) if mask >> k & 1) for mask in range(1, 16)] * 3
    assert categories_of("genres", cells) == separator


def test_one_category_a_cell():
    assert categories_of("type", ["Movie", "TV"] * 20) == "|"
    assert categories_of("shelf", ["Sci-Fi, new | old", "War"] * 20) != "|"  # what stands in a cell is no separator


def test_a_name_with_a_comma_is_no_list():
    assert categories_of("author", ["Li, Ann", "Ek, Bo"] * 20) != ","


def test_lists_need_no_separator():
    found = split_categories(ColumnSummary.of("tags", pd.Series([["tea", "x"], ["tea"], ["x"]] * 9)))
    assert found == (None, "the cells are lists")
    assert split_categories(ColumnSummary.of("tags", pd.Series(["['tea', 'x']", "['tea']"] * 9)))[0] is None


def test_titles_are_no_categories():
    assert split_categories(ColumnSummary.of("zzz", pd.Series([f"Thing {n}" for n in range(50)]))) is None


def test_texts_are_written_as_a_run_would():
    frame = pd.DataFrame({"title": ["Tea", "Cup", "Pot", "Pan"], "brand": ["Li", None, "Ek", None]})
    frame = pd.concat([frame] * 5, ignore_index=True).assign(id=range(20))
    texts = sample_texts(table(frame), describe_items(table(frame), "id"))
    assert texts[:2] == ["Tea. by Li", "Cup"]
    assert len(sample_texts(table(frame), describe_items(table(frame), "id"), n=5)) == 5
