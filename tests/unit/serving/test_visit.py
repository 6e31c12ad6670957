"""A visitor's first minutes: each step against what the model answers, on planted tastes of one genre each."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tailor.serving.schema import Request, Settings
from tailor.serving.visit import choose_likes, describe, query_by_category, visit
from tests.unit.serving.conftest import listed

NAMES = ["Nothing is known", "One like", "Three likes", "A wish", "Not for me", "Why"]


@pytest.fixture(scope="module")
def steps(served):
    return {step["step"]: step for step in visit(served)}


@pytest.fixture(scope="module")
def titles_of(served):
    return lambda ids: [served.metadata.titles[row] for row in served.item_indices(ids)]


def test_the_likes_are_the_most_popular_item_and_the_nearest_to_it(served, genres):
    likes = choose_likes(served)
    counts = np.bincount(served.histories.history.indices, minlength=len(served.items))
    assert likes[0] == served.item_ids[counts.argmax()]
    known = [item for item in served.similar(likes[0], 100)[0] if counts[served.items.index(item)] > 0]
    assert likes[1:] == known[:2]
    assert len({genres[item] for item in likes}) == 1


def test_without_a_measure_of_nearness_the_likes_are_the_most_popular(popular):
    counts = np.bincount(popular.histories.history.indices, minlength=len(popular.items))
    assert choose_likes(popular) == popular.item_ids[np.argsort(-counts, kind="stable")[:3]].tolist()


def test_what_is_removed_is_not_liked(served):
    first = choose_likes(served)[0]
    assert first not in choose_likes(served.without_items([first]))


def test_the_six_steps_are_what_the_model_answers(served, steps, titles_of):
    likes = choose_likes(served)
    assert list(steps) == NAMES
    asked = {
        "Nothing is known": Request(),
        "One like": Request(history=likes[:1]),
        "Three likes": Request(history=likes),
    }
    for name, request in asked.items():
        answer = listed(served, request, k=5)
        assert (steps[name]["titles"], steps[name]["path"]) == (titles_of(answer.item_ids), answer.path)
        assert steps[name]["given"] == "; ".join(titles_of(request.history))
    refused = steps["Three likes"]["titles"][0]
    assert steps["Not for me"]["given"] == refused
    assert steps["Not for me"]["titles"][:4] == steps["Three likes"]["titles"][1:]
    assert refused not in steps["Not for me"]["titles"]


def test_the_wish_is_for_another_genre_than_the_likes(served, steps, genres):
    likes = choose_likes(served)
    taste = genres[likes[0]]
    everybody = listed(served, Request(), k=5).item_ids
    other = next(genres[item] for item in [*everybody, *served.item_ids] if genres[item] != taste)
    assert query_by_category(served, likes, everybody) == f"{other}, but no {taste}"
    assert steps["A wish"]["given"] == f"“{other}, but no {taste}”"
    assert steps["A wish"]["path"] == "query"
    (answer,) = served.recommend([Request(history=likes, query=f"{other}, but no {taste}")], Settings(k=5))
    assert {genres[item] for item in answer.item_ids} == {other}
    assert steps["A wish"]["titles"] == [served.metadata.titles[row] for row in served.item_indices(answer.item_ids)]


def test_without_categories_the_wish_is_for_a_title(served, titles_of):
    """Of the last item that everybody gets; what takes after it is listed."""
    table = served.metadata.table.assign(categories="[]")
    plain = replace(served.metadata, table=table)
    model = replace(served, metadata=plain)
    steps = {step["step"]: step for step in visit(model)}
    title = steps["Nothing is known"]["titles"][-1]
    assert steps["A wish"]["given"] == f"“something like {title}”"
    assert steps["A wish"]["path"] == "query"
    assert steps["A wish"]["note"] == ""
    assert len(steps["A wish"]["titles"]) == 5
    nameless = replace(served, metadata=replace(plain, table=table.assign(title="")))
    assert {step["step"]: step for step in visit(nameless)}["A wish"]["note"].startswith("The items of this model have")


def test_the_reason_names_likes(served, steps, titles_of):
    because, _, rest = steps["Why"]["note"].removeprefix("Because of ").partition(" (")
    assert steps["Why"]["given"] == steps["Three likes"]["titles"][0]
    assert set(re.split("; | and ", because)) <= set(titles_of(choose_likes(served)))
    assert rest.endswith("% of what lifts it comes from the likes.")


def test_what_a_model_cannot_is_said(popular, served):
    steps = {step["step"]: step for step in visit(popular)}
    assert list(steps) == NAMES
    assert steps["A wish"]["note"] == "This model takes no words."
    assert steps["Why"]["note"] == "The scores of this model cannot be taken apart."
    assert steps["A wish"]["titles"] == steps["Why"]["titles"] == []
    assert len(steps["Nothing is known"]["titles"]) == 5
    silent = {step["step"]: step for step in visit(replace(served, encoder_of=None))}
    assert silent["A wish"]["note"].startswith("This model takes no words")
    assert query_by_category(served, [], []) == query_by_category(popular, ["i1"], []) == ""


def test_a_reason_without_history_is_its_source(served):
    """Popularity alone carries the list, so no like is named."""
    from tests.unit.serving.conftest import weights

    alone = replace(served, model=served.model.with_blend(weights(popular=1.0)))
    assert visit(alone)[-1]["note"] == "popular; 0% of what lifts it comes from the likes."


def test_a_visit_is_told_in_lines():
    steps = [
        {"step": "One like", "given": "it", "path": "fold_in", "titles": ["near", "far"], "note": ""},
        {"step": "Why", "given": "", "path": "", "titles": [], "note": "Because."},
    ]
    assert describe(steps) == "1. One like: it  [fold_in]\n   near; far\n2. Why\n   Because."
