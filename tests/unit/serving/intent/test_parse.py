"""Constructions of wanting, ruling out and softening in three languages; scopes; what is left as text."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.vocabulary import Vocabulary
from tailor.serving.intent import TitleIndex, parse_query
from tailor.serving.intent.dates import NumericColumns

NAMES = ["Action", "Children's", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Slice of Life", "War", "Western"]
ALIASES = {
    "Action": ["动作", "action"],
    "Comedy": ["喜剧", "komödie", "komödien", "funny"],
    "Drama": ["剧情", "dramen"],
    "Horror": ["恐怖", "恐怖片", "scary"],
    "Romance": ["爱情", "liebe", "liebesfilm", "romantic"],
    "Sci-Fi": ["科幻", "science fiction"],
    "War": ["战争", "krieg"],
    "Western": ["西部"],
    "No such category": ["nothing"],
}
VOCABULARY = Vocabulary(NAMES, ALIASES)
TITLES = TitleIndex(["Star Wars", "Fargo", "Matrix, The", "Heat"], np.arange(4))
COLUMNS = NumericColumns.of(pd.DataFrame({"year": [1977.0, 1996.0, 1999.0, 1995.0]}), ["year"])


def names(categories):
    return {NAMES[category] for category in categories}


def understood(query):
    intent = parse_query(query, VOCABULARY, TITLES, COLUMNS)
    return names(intent.categories), names(intent.excluded_categories), names(intent.softer_categories)


@pytest.mark.parametrize(
    "query",
    [
        "comedy",
        "Comedies for a rainy day",
        "we could use a comedy",
        "not merely comedies",
        "I can't say no to a comedy",
        "you can never have too many comedies, never too many",
        "who doesn't love a comedy",
        "I would not mind a comedy",
        "there's nothing better than a comedy",
        "don't skip the comedies",
        "my mother is addicted to comedy",
        "comedy yes please",
        "a komödie",
        "eine Komödie wäre toll",
        "Komödien nicht vergessen, am liebsten",
        "ohne Komödien geht nicht, kein Tag ohne Komödien",
        "warum nicht eine Komödie",
        "给我推荐一部喜剧",
        "谁不喜欢喜剧",
        "喜剧百看不厌",
        "不仅仅是喜剧",
    ],
)
def test_a_category_is_wanted(query):
    assert understood(query) == ({"Comedy"}, set(), set())


@pytest.mark.parametrize(
    "query",
    [
        "no horror",
        "please no horror tonight",
        "I really dislike horror",
        "anything but horror",
        "everything except horror",
        "I do not like horror",
        "horror isn't for me",
        "horror is not my thing",
        "horror? no thanks",
        "I'm tired of horror",
        "we had enough of horror",
        "horror gets on my nerves",
        "leave horror out",
        "steer clear of horror",
        "nothing scary",
        "not interested in horror",
        "my son hates horror",
        "I am no fan of horror",
        "horror can wait",
        "bitte keinen Horror",
        "ich hasse Horror",
        "Horror geht gar nicht",
        "auf keinen Fall Horror",
        "Horrorfilme mag ich nicht",
        "alles, nur kein Horror",
        "别给我恐怖片",
        "不喜欢恐怖片",
        "讨厌恐怖片",
        "恐怖片就算了",
        "恐怖片除外",
    ],
)
def test_a_category_is_ruled_out(query):
    assert understood(query) == (set(), {"Horror"}, set())


@pytest.mark.parametrize(
    "query",
    [
        "less action",
        "not so much action",
        "go easy on the action",
        "cut down on the action a bit",
        "a bit less action",
        "turn the action down",
        "not too much action",
        "I don't want too much action",
        "etwas weniger Action",
        "nicht zu viel Action",
        "Action bitte nicht so oft",
        "动作少一点",
        "动作不要太多",
        "少来点动作",
    ],
)
def test_a_category_is_softened(query):
    assert understood(query) == (set(), set(), {"Action"})


@pytest.mark.parametrize(
    ("query", "wanted", "excluded", "softer"),
    [
        ("slow space opera, no romance", [], ["Romance"], []),
        ("no romance, action", ["Action"], ["Romance"], []),
        ("action without drama or war", ["Action"], ["Drama", "War"], []),
        ("no horror, war or drama", [], ["Horror", "War", "Drama"], []),
        ("not a comedy but drama", ["Drama"], ["Comedy"], []),
        ("drama, don't want any war please", ["Drama"], ["War"], []),
        ("comedy no comedy", [], ["Comedy"], []),
        ("hate westerns but love comedies", ["Comedy"], ["Western"], []),
        ("no horror and more comedy", ["Comedy"], ["Horror"], []),
        ("a drama instead of a comedy", ["Drama"], ["Comedy"], []),
        ("trade the drama for a western", ["Western"], ["Drama"], []),
        ("I'd choose comedy over drama", ["Comedy"], ["Drama"], []),
        ("dramas bore me and I love westerns", ["Western"], ["Drama"], []),
        ("less drama, no war, more comedy", ["Comedy"], ["War"], ["Drama"]),
        ("a not too gloomy drama", ["Drama"], [], []),
        ("a western that is not boring", ["Western"], [], []),
        ("a slice of life", ["Slice of Life"], [], []),
        ("Krieg nein, Komödie ja", ["Comedy"], ["War"], []),
        ("Komödien statt Dramen", ["Comedy"], ["Drama"], []),
        ("lieber Western als Krieg", ["Western"], ["War"], []),
        ("没有战争的爱情片", ["Romance"], ["War"], []),
        ("不要恐怖、战争，想看喜剧", ["Comedy"], ["Horror", "War"], []),
        ("不要太沉重的剧情片", ["Drama"], [], []),
        ("?!,.", [], [], []),
        ("", [], [], []),
    ],
)
def test_scopes_end_where_the_phrase_does(query, wanted, excluded, softer):
    assert understood(query) == (set(wanted), set(excluded), set(softer))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Comedies for a rainy day", "comedies for a rainy day"),
        ("show me a movie please", ""),
        ("I want to see something with dragons, no elves", "dragons"),
        ("action without drama", "action"),
        ("something like Fargo in the snow", "snow"),
        ("想看龙的电影", "龙"),
        ("no", ""),
        ("pirates hide their treasure", "pirates hide their treasure"),
        ("I hate spiders, something with dragons", "dragons"),
    ],
)
def test_frames_names_and_what_is_ruled_out_leave_the_text(query, text):
    assert parse_query(query, VOCABULARY, TITLES, COLUMNS).text == text


def test_what_is_ruled_out_or_softened_and_is_no_category_is_kept_as_words():
    assert parse_query("space, no giant robots or zombies", VOCABULARY).negated == ("giant robots zombies",)
    assert parse_query("a drama, not too gloomy", VOCABULARY).softened == ("gloomy",)


@pytest.mark.parametrize(
    ("query", "category"),
    [("commedy", "Comedy"), ("wetsern please", "Western"), ("a horrror flick", "Horror"), ("Komödje", "Comedy")],
)
def test_misspelt_categories(query, category):
    assert understood(query)[0] == {category}


@pytest.mark.parametrize("query", ["was war das", "wer war der Held"])
def test_a_german_word_is_no_english_category(query):
    assert understood(query) == (set(), set(), set())


@pytest.mark.parametrize(
    ("query", "like"),
    [
        ("something like star wars", [0]),
        ("I loved Fargo", [1]),
        ("matrix", [2]),
        ("like the matrix but funny", [2]),
        ("so was wie Fargo", [1]),
        ("类似 Fargo 的片子", [1]),
    ],
)
def test_titles_are_examples(query, like):
    assert list(parse_query(query, VOCABULARY, TITLES, COLUMNS).like) == like
    assert "War" not in understood(query)[0]


def test_a_title_that_is_ruled_out_is_no_example():
    intent = parse_query('nothing like "Fargo"', VOCABULARY, TITLES, COLUMNS)
    assert (intent.like, intent.unlike) == ((), (1,))


def test_bounds_and_categories_stand_together():
    intent = parse_query("a comedy from before 1990 without romance", VOCABULARY, TITLES, COLUMNS)
    assert names(intent.categories) == {"Comedy"}
    assert names(intent.excluded_categories) == {"Romance"}
    assert intent.filters == {"year": {"max": 1989.0}}


def test_keywords_tell_of_a_category_without_naming_it():
    keywords = Vocabulary(NAMES, {"Western": ["saloon", "牛仔"]}, with_names=False)
    intent = parse_query("a saloon at noon", VOCABULARY, keywords=keywords)
    assert (names(intent.categories), names(intent.about)) == (set(), {"Western"})
    assert names(parse_query("两个牛仔", VOCABULARY, keywords=keywords).about) == {"Western"}
    assert parse_query("no saloon", VOCABULARY, keywords=keywords).about == ()
    assert not parse_query("a walk at noon", VOCABULARY, keywords=keywords).is_structured
