"""Several catalogues as one: ids, people who are shared, the split of each as if it were alone, refusals."""

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.config import parse
from tailor.data.buckets import item_table, user_table
from tailor.data.cleaning import RowRules
from tailor.data.config import ColumnOptions, DataProcessingOptions, SplitOptions
from tailor.data.domains import domain_masks, domain_numbers, local_ids, rows_by_domain
from tailor.data.fabricate import planted_catalogue
from tailor.data.interactions import order_matrix
from tailor.data.join_domains import clean_domains
from tailor.data.people import SUPPRESSED, People, Pseudonyms, SuppressionList
from tailor.data.quality import QualityReport
from tailor.data.split import split_interactions
from tailor.errors import BadInputError, ConfigurationError

COLUMNS = {
    "interactions": {"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp"},
    "items": {"item_id": "item_id", "title": "title"},
    "users": {"user_id": "user_id", "age": "age"},
}
SPLIT = SplitOptions(cold_items=0.15, new_users=0.1, pseudo_cold=0.1)


def catalogue(seed, **options):
    made = planted_catalogue(seed, n_items=60, per_user=10, **options)
    return {"interactions": made.interactions, "items": made.items, "users": made.users}


FILMS, BOOKS = catalogue(0, n_users=80), catalogue(1, n_users=40)


def options(**changes):
    shared = {"columns": COLUMNS, "shared_users": True}
    domains = {"films": shared, "books": shared} | changes
    return DataProcessingOptions.model_validate({"domains": domains})


def raw(films=FILMS, books=BOOKS):
    return {table: {"films": films[table], "books": books[table]} for table in films}


def joined(report=None, **changes):
    return clean_domains(raw(), options(**changes), report or QualityReport())


def alone(tables):
    columns = ColumnOptions.model_validate(COLUMNS)
    return clean_domains(tables, DataProcessingOptions(columns=columns), QualityReport())


def test_items_carry_the_domain_in_their_ids_and_shared_people_are_one():
    tables = joined()
    assert len(tables.items) == 60 + 60
    assert tables.items[c.ITEM].is_unique
    assert set(tables.items[c.ITEM].str.split("/").str[0]) == {"films", "books"}
    assert (tables.interactions[c.ITEM].str.split("/").str[0] == tables.interactions[c.DOMAIN]).all()
    assert tables.interactions[c.USER].nunique() == 80  # the 40 readers are among the 80 viewers
    assert len(tables.users) == 80
    assert tables.users[c.USER].is_unique


def test_people_of_one_domain_alone_have_its_name_in_their_ids():
    tables = joined(books={"columns": COLUMNS})
    assert tables.interactions[c.USER].nunique() == 80 + 40
    assert tables.interactions[c.USER].str.startswith("books/").sum() == len(alone(BOOKS).interactions)


def test_nothing_is_read_of_a_suppressed_person_of_one_domain_alone():
    key = b"k" * 32
    times = [1, 2, *["never"] * 8]
    books = {
        "interactions": pd.DataFrame({"user_id": list("aa" + "x" * 8), "item_id": list("pq" * 5), "timestamp": times}),
        "items": pd.DataFrame({"item_id": list("pq"), "title": ["Persuasion", "Quo Vadis"]}),
        "users": pd.DataFrame({"user_id": list("ax"), "age": ["30-39", "40-49"]}),
    }
    for pseudonyms in (None, Pseudonyms(b"p" * 32)):
        report = QualityReport()
        rules = RowRules(People(SuppressionList.of(["books/x"], key), pseudonyms))
        tables = clean_domains(raw(books=books), options(books={"columns": COLUMNS}), report, rules)
        of_books = tables.interactions[tables.interactions[c.DOMAIN] == "books"]
        name = "books/a" if pseudonyms is None else pseudonyms.of("books/a")
        assert of_books[c.USER].tolist() == [name, name]
        assert len(tables.users) == len(FILMS["users"]) + 1
        counted = report.to_frame().set_index(["table", "problem"])["rows"]
        assert counted[("books/interactions", SUPPRESSED)] == 8
        assert counted[("books/users", SUPPRESSED)] == 1


def test_every_row_is_accounted_for_by_domain():
    report = QualityReport()
    tables = joined(report)
    accounts = report.accounts().set_index("table")
    for name in ("films", "books"):
        assert accounts.loc[f"{name}/interactions", "kept"] == (tables.interactions[c.DOMAIN] == name).sum()
    assert accounts.loc["films/interactions", "dropped"] == 3 * 7  # the planted dirt


@pytest.mark.parametrize("shared", [True, False])
def test_each_domain_is_split_as_if_it_were_alone(shared):
    tables = joined(films={"columns": COLUMNS, "shared_users": shared}, books={"columns": COLUMNS})
    rows = tables.interactions.assign(split=split_interactions(tables.interactions, SPLIT, 3))
    items = item_table(tables.items, rows, SPLIT, 0.8, 3)
    for name, own in (("films", FILMS), ("books", BOOKS)):
        single = alone(own)
        labels = single.interactions.assign(split=split_interactions(single.interactions, SPLIT, 3))
        of_domain = local_ids(rows[rows[c.DOMAIN] == name])
        keys = [c.USER, c.ITEM, c.SPLIT]
        pd.testing.assert_frame_equal(
            of_domain[keys].sort_values(keys, ignore_index=True), labels[keys].sort_values(keys, ignore_index=True)
        )
        table = item_table(single.items, labels, SPLIT, 0.8, 3).set_index(c.ITEM)
        of_items = local_ids(items[items[c.DOMAIN] == name]).set_index(c.ITEM)
        columns = list(c.ADDED_TO_ITEMS)
        pd.testing.assert_frame_equal(of_items.loc[table.index, columns], table[columns])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_those_in_several_domains_lose_all_rows_of_one(share):
    tables = joined()
    plain = SplitOptions(cold_items=0.0, new_users=0.0)
    labels = split_interactions(tables.interactions, plain.model_copy(update={"new_to_domain": share}), 0)
    rows = tables.interactions.assign(split=labels)
    hidden = rows[rows[c.SPLIT] == c.NEW_USER]
    assert hidden[c.USER].nunique() == round(share * 40)
    assert (hidden.groupby(c.USER)[c.DOMAIN].agg(lambda names: len(set(names))) == 1).all()
    pairs = pd.MultiIndex.from_frame(hidden[[c.USER, c.DOMAIN]].drop_duplicates())
    others = rows[rows[c.SPLIT] != c.NEW_USER]
    assert not pd.MultiIndex.from_frame(others[[c.USER, c.DOMAIN]]).isin(pairs).any()
    assert hidden[c.USER].isin(others[c.USER]).all()
    assert (user_table(tables.users, rows)[c.BUCKET] == "new").sum() == 0  # known from the other domain
    if share == 1.0:
        assert set(hidden[c.DOMAIN]) == {"films", "books"}


def test_orders_do_not_cross_domains():
    rows = pd.DataFrame({c.USER: "u", c.ITEM: ["a/1", "b/1", "a/2"], c.TIMESTAMP: [9.0, 1.0, 8.0]})
    rows = rows.assign(split=c.TRAIN, domain=["a", "b", "a"])
    items = pd.DataFrame({c.ITEM: ["a/1", "b/1", "a/2"]})
    order = order_matrix(rows, pd.DataFrame({c.USER: ["u"]}), items, [c.TRAIN]).toarray()
    np.testing.assert_array_equal(order, [[2, 3, 1]])


def test_a_column_of_the_items_names_domains_too():
    columns = ColumnOptions(items={"item_id": "item_id", "title": "title", "domain": "genre"})
    tables = clean_domains(FILMS, DataProcessingOptions(columns=columns), QualityReport())
    genre = FILMS["items"].set_index("item_id")["genre"]
    assert tables.interactions[c.DOMAIN].tolist() == genre[tables.interactions[c.ITEM]].tolist()
    assert tables.items[c.ITEM].tolist() == FILMS["items"]["item_id"].tolist()
    assert set(domain_masks(tables.items)) == set(genre)


def test_masks_and_numbers_agree_and_one_domain_is_none():
    items = pd.DataFrame({c.DOMAIN: ["toys", "beauty", "toys"]})
    masks, numbers = domain_masks(items), domain_numbers(items)
    assert list(masks) == ["beauty", "toys"]
    assert [numbers[mask].tolist() for mask in masks.values()] == [[0], [1, 1]]
    assert domain_masks(items[::2]) == {}
    assert domain_numbers(items[::2]) is None
    assert list(rows_by_domain(items.drop(columns=c.DOMAIN))) == [""]


def test_an_item_without_a_domain_is_refused():
    items = FILMS["items"].assign(shop=[""] + ["north"] * 59)
    columns = ColumnOptions(items={"item_id": "item_id", "domain": "shop"})
    with pytest.raises(BadInputError, match=r"raw_items column 'shop' .* is empty for 1 items, first for 'i0': fill"):
        clean_domains(FILMS | {"items": items}, DataProcessingOptions(columns=columns), QualityReport())


def test_catalog_and_parameters_name_the_same_domains():
    with pytest.raises(
        BadInputError, match=r"domains names films, books, but raw_interactions of the catalog has a si"
    ):
        clean_domains(FILMS, options(), QualityReport())
    with pytest.raises(BadInputError, match=r"raw_interactions holds a table for each of films, books, but .* none"):
        clean_domains(raw(), DataProcessingOptions(), QualityReport())


def test_what_is_wrong_with_one_domain_names_it():
    with pytest.raises(BadInputError, match=r"Domain 'books': raw_items has no column 'name'.* The file has"):
        joined(books={"columns": COLUMNS | {"items": {"item_id": "item_id", "title": "name"}}})


def test_ids_that_two_people_could_have_are_refused():
    films = FILMS | {"interactions": FILMS["interactions"].assign(user_id="books/u1"), "users": FILMS["users"][:0]}
    with pytest.raises(BadInputError, match=r"Domain 'films': \d+ rows have a user_id that opens with books/"):
        clean_domains(raw(films=films), options(books={"columns": COLUMNS}), QualityReport())


def test_names_and_columns_are_checked():
    with pytest.raises(ConfigurationError, match=r"data_processing.domains.a/b"):
        parse(DataProcessingOptions, {"domains": {"a/b": {}}}, "data_processing")
    with pytest.raises(ValueError, match=r"the column 'shop' cannot be called 'domain': an interaction has the domain"):
        ColumnOptions(interactions={"user_id": "u", "item_id": "i", "domain": "shop"})


def test_hidden_rows_of_who_is_new_to_a_domain_are_hits_alone():
    rows = joined().interactions
    rows = rows.assign(**{c.CONFIDENCE: np.array([0.0, 0.2, 1.0])[np.arange(len(rows)) % 3]})
    plain = SplitOptions(cold_items=0.0, new_users=0.0)
    labels = split_interactions(rows, plain.model_copy(update={"new_to_domain": 1.0}), 0, 1.0)
    hidden = rows[labels == c.NEW_USER]
    assert len(hidden)
    assert set(hidden[c.CONFIDENCE]) == {1.0}
    pairs = pd.MultiIndex.from_frame(hidden[[c.USER, c.DOMAIN]].drop_duplicates())
    beside = labels[pd.MultiIndex.from_frame(rows[[c.USER, c.DOMAIN]]).isin(pairs) & (rows[c.CONFIDENCE] < 1)]
    assert set(beside) == {c.LATER}
