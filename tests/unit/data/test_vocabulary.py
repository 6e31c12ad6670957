"""Names of categories in text: case, hyphens, plural, the longest name first."""

import pytest

from tailor.data.vocabulary import Vocabulary, edit_distance, stem, tokenise, words

NAMES = Vocabulary(["Comedy", "Science Fiction", "Fiction", "Sci-Fi", "Children's", "One Two Three Four Five", "Sc-Fi"])


def found(text: str) -> list[str]:
    return [NAMES.names[index] for index in NAMES.find(words(text))]


def test_words_and_punctuation_in_lower_case():
    assert words("Slow, SPACE opera; it’s 1984!") == ["slow", ",", "space", "opera", ";", "it's", "1984", "!"]
    assert words("sci-fi_film") == ["sci", "fi", "film"]


@pytest.mark.parametrize(
    ("word", "singular"),
    [
        ("comedies", "comedy"),
        ("westerns", "western"),
        ("children's", "children"),
        ("kids", "kid"),
        ("ties", "tie"),  # four letters are too short for -y
        ("flies", "fly"),
        ("bus", "bus"),  # three letters stay
        ("boss", "boss"),
        ("drama", "drama"),
    ],
)
def test_the_plural_is_folded(word, singular):
    assert stem(word) == singular


def test_names_are_found_whatever_their_case_hyphens_or_plural():
    assert found("COMEDIES please") == ["Comedy"]
    assert found("some sci fi, children") == ["Sci-Fi", "Children's"]
    assert found("nothing here") == []
    assert found("") == []


def test_the_longest_name_wins_and_no_word_counts_twice():
    assert found("science fiction") == ["Science Fiction"]
    assert found("science and fiction") == ["Fiction"]
    assert found("fiction science fiction comedy fiction") == ["Fiction", "Science Fiction", "Comedy"]
    assert found("comedy comedies") == ["Comedy"]


def test_names_of_five_words_at_the_end_of_a_text_are_found():
    assert found("one two three four five") == ["One Two Three Four Five"]
    assert found("a one two three four five") == ["One Two Three Four Five"]
    assert found("one two three four") == []


def test_of_names_that_read_alike_the_first_is_meant():
    twice = Vocabulary(["Sci-Fi", "sci fi"])
    assert twice.find(["sci", "fi"]) == (0,)


def test_aliases_of_any_language_name_a_category():
    aliased = Vocabulary(["War", "Sci-Fi"], {"War": ["krieg", "战争"], "Sci-Fi": ["科幻", "war stars"], "None": ["x"]})
    assert aliased.find(words("kein Kriegsfilm")) == (0,)
    assert aliased.find(words("科幻战争片")) == (1, 0)
    assert aliased.find(words("war stars")) == (1,)
    assert aliased.find(words("x")) == ()


def test_a_name_comes_before_an_alias_and_may_be_left_out():
    assert Vocabulary(["Mystery", "Crime"], {"Mystery": ["crime"]}).find(["crime"]) == (1,)
    assert Vocabulary(["Mystery", "Crime"], {"Mystery": ["crime"]}, with_names=False).find(["crime", "mystery"]) == (0,)


@pytest.mark.parametrize(
    ("text", "place"),
    [("commedy", 0), ("comdey", 0), ("komedy", None), ("come", None), ("chidlren's", 4), ("sciense fiction", 1)],
)
def test_typing_errors(text, place):
    mentions = NAMES.mentions(words(text), typos=True)
    assert [index for _, _, index in mentions] == ([] if place is None else [place])
    assert NAMES.mentions(["commedy"], known=["commedy"], typos=True) == []


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("war", "war", 0), ("war", "wars", 1), ("horror", "horor", 1), ("comedy", "comdey", 1), ("abcd", "wxyz", 3)],
)
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b) == distance


def test_tokens_fold_accents_and_split_chinese():
    assert words("Léon, Straße 战争") == ["leon", ",", "strasse", "战", "争"]
    assert [(token.raw, token.start, token.end) for token in tokenise("A Ö")] == [("A", 0, 1), ("Ö", 2, 3)]
