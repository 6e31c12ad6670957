import pytest

from tailor.data.vocabulary import Vocabulary, stem
from tailor.serving.query import parse_query

NAMES = ["Action", "Children's", "Comedy", "Drama", "Romance", "Sci-Fi", "Slice of Life", "War"]
VOCABULARY = Vocabulary(NAMES)


def names(categories):
    return [NAMES[category] for category in categories]


@pytest.mark.parametrize(
    ("query", "text", "categories", "excluded"),
    [
        ("comedy", "comedy", ["Comedy"], []),
        ("Comedies for a rainy day", "comedies for a rainy day", ["Comedy"], []),
        ("sci-fi", "sci fi", ["Sci-Fi"], []),
        ("a SCI FI slice of life", "a sci fi slice of life", ["Sci-Fi", "Slice of Life"], []),
        ("childrens films", "childrens films", ["Children's"], []),
        ("slow space opera, no romance", "slow space opera", [], ["Romance"]),
        ("no romance, action", "action", ["Action"], ["Romance"]),
        ("action without drama or war", "action", ["Action"], ["Drama", "War"]),
        ("not a comedy but drama", "drama", ["Drama"], ["Comedy"]),
        ("drama, don't want any war please", "drama", ["Drama"], ["War"]),
        ("comedy no comedy", "comedy", [], ["Comedy"]),
        ("no", "", [], []),
        ("", "", [], []),
        ("?!,.", "", [], []),
    ],
)
def test_queries_are_taken_apart(query, text, categories, excluded):
    parsed = parse_query(query, VOCABULARY)
    assert parsed.text == text
    assert names(parsed.categories) == categories
    assert names(parsed.excluded_categories) == excluded


def test_what_is_ruled_out_and_is_no_category_is_kept_as_words():
    assert parse_query("space, no giant robots or zombies", VOCABULARY).negated == ("giant robots zombies",)


def test_the_longest_name_wins():
    assert Vocabulary(["Life", "Slice of Life"]).find(["slice", "of", "life"]) == (1,)


@pytest.mark.parametrize(
    ("word", "folded"), [("comedies", "comedy"), ("wars", "war"), ("class", "class"), ("gas", "gas")]
)
def test_plurals(word, folded):
    assert stem(word) == folded
