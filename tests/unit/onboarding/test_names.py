import pytest

from tailor import columns as c
from tailor.onboarding.names import is_usual, name_score, plain, tidy_name, words_of


@pytest.mark.parametrize("name", ["userId", "user_id", "USER ID", "user_id:token", "reviewerID", "customer", "cust_id"])
def test_users_are_known_in_many_spellings(name):
    assert is_usual(c.USER, name)


@pytest.mark.parametrize("name", ["itemId", "asin", "movieId", "movie_id:token", "SKU", "product", "ISBN"])
def test_items_are_known_in_many_spellings(name):
    assert is_usual(c.ITEM, name)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (c.TIMESTAMP, "unixReviewTime"),
        (c.TIMESTAMP, "ts"),
        (c.TIMESTAMP, "created_at"),
        (c.VALUE, "overall"),
        (c.VALUE, "rating:float"),
        (c.TEXT, "reviewText"),
        (c.SPLIT, "x_set"),
        ("categories", "genre:token_seq"),
    ],
)
def test_other_roles(role, name):
    assert is_usual(role, name)


def test_the_most_usual_name_scores_most():
    assert name_score(c.TITLE, "title") == 1.0
    assert 0.7 <= name_score(c.TITLE, "headline") < name_score(c.TITLE, "name") < 1.0
    assert name_score(c.USER, "user_code") == 0.4  # one of its words
    assert name_score(c.USER, "colour") == 0.0


def test_words_of_names():
    assert words_of("ratingsTrain_2020.csv") == ["ratings", "train", "2020", "csv"]
    assert plain("Kundennummer (neu)") == "kundennummerneu"


def test_tidy_names_never_meet_those_that_are_taken():
    assert tidy_name("BrandName", []) == "brand_name"
    assert tidy_name("class:token_seq", []) == "class"
    assert tidy_name("bucket", ["bucket", "item_bucket"]) == "item_item_bucket"
    assert tidy_name("2nd name", []) == "column_2nd_name"
    assert tidy_name("%", []) == "column"
