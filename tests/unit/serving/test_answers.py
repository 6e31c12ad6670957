"""Answers of the app: titles and categories beside each item, all of one model."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.serving.answers import RecommendBody, UnknownItemError, find, recommend, similar
from tailor.serving.schema import Request
from tests.unit.serving.conftest import listed


@pytest.fixture
def row_of(served):
    return {item: row for row, item in enumerate(served.item_ids)}


def test_places_scores_titles_and_categories_stand_beside_each_other(served, row_of, known):
    answer, plain = recommend((served, "7"), RecommendBody(user_id=known, k=4)), listed(served, Request(known), k=4)
    assert (answer.path, answer.model_version) == ("known_user", "7")
    assert [entry.rank for entry in answer.items] == [1, 2, 3, 4]
    assert [entry.item_id for entry in answer.items] == plain.item_ids
    assert [entry.score for entry in answer.items] == plain.scores
    assert [entry.reason for entry in answer.items] == plain.reasons
    for entry in answer.items:
        assert entry.title == served.metadata.titles[row_of[entry.item_id]]
        assert entry.categories == served.metadata.categories[row_of[entry.item_id]]
        assert entry.explanation is None
    assert answer.titles == {}


def test_explanations_come_with_the_titles_of_the_history_they_name(served, row_of, history):
    body = RecommendBody(history=history[:3], exclude=["i2", "ghost"], k=5, explain=True)
    answer = recommend((served, "7"), body)
    named = {item for entry in answer.items for item in entry.explanation["history"]}
    assert named
    assert named <= set(history[:3])
    # Those of the request are told too, so that a page can name what it was opened with.
    expected = {*history[:3], "i2"}
    assert answer.titles == {item: served.metadata.titles[row_of[item]] for item in expected}


def test_unknown_items_are_counted_apart(served):
    body = RecommendBody(history=["ghost1", "ghost2", str(served.item_ids[0])], candidates=["ghost3"])
    answer = recommend((served, "1"), body)
    assert (answer.unknown_history, answer.unknown_candidates) == (2, 1)


def test_without_metadata_ids_stand_for_titles(served):
    bare = replace(served, metadata=None)
    answer = recommend((bare, "1"), RecommendBody(k=2))
    assert [entry.title for entry in answer.items] == [entry.item_id for entry in answer.items]
    assert [entry.categories for entry in answer.items] == [[], []]


def test_similar_items_have_titles_but_no_reasons(served, row_of):
    answer = similar((served, "3"), str(served.item_ids[0]), 3)
    ids, scores = served.similar(str(served.item_ids[0]), 3)
    assert (answer.path, answer.model_version) == ("similar", "3")
    assert [(entry.rank, entry.item_id, entry.score) for entry in answer.items] == list(
        zip((1, 2, 3), ids, scores, strict=True)
    )
    assert [entry.title for entry in answer.items] == [served.metadata.titles[row_of[item]] for item in ids]
    assert {entry.reason for entry in answer.items} == {""}
    with pytest.raises(UnknownItemError, match="Unknown item 'ghost'"):
        similar((served, "3"), "ghost", 3)
    assert similar((served, "3"), f" {served.item_ids[0]} ", 3) == answer


def test_items_are_found_by_every_word_of_their_title(served):
    title = served.metadata.titles[5]
    first = find((served, "7"), title.split()[0].upper(), 3)
    assert 1 <= len(first) <= 3
    assert all(title.split()[0].lower() in entry["title"].lower() for entry in first)
    exact = find((served, "7"), " ".join(reversed(title.split())), 10)
    assert {"item_id": served.item_ids[5], "title": title, "categories": served.metadata.categories[5]} in exact
    assert find((served, "7"), f"{title} nowhere", 10) == []
    everything = find((served, "7"), "", 4)
    assert [entry["item_id"] for entry in everything] == list(served.item_ids[:4])


def test_removed_items_are_not_found(served):
    removed = np.zeros(len(served.item_ids), dtype=bool)
    removed[:2] = True
    without = replace(served, removed=removed)
    assert [entry["item_id"] for entry in find((without, "7"), "", 2)] == list(served.item_ids[2:4])


def test_items_carry_what_they_can_be_filtered_by(served):
    answer = recommend((served, "3"), RecommendBody(query="before 1990", k=5))
    table = served.known_metadata.table.set_index("item_id")
    assert [item.numbers for item in answer.items] == [
        {"year": table.loc[item.item_id, "year"]} for item in answer.items
    ]
    assert answer.understood["filters"] == {"year": {"max": 1989.0}}


def test_titles_are_found_without_accents_and_with_a_typing_error(served):
    metadata = served.known_metadata
    table = metadata.table.assign(title=["Léon", *metadata.titles[1:]])
    renamed = replace(served, metadata=replace(metadata, table=table))
    first = served.item_ids[0]
    assert [item["item_id"] for item in find((renamed, "7"), "leon", 5)] == [first]
