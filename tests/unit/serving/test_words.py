"""What words are worth: nearness, categories, negations; and how they are weighed against a history."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tailor.serving.intent import parse_query
from tailor.serving.schema import Request
from tailor.serving.words import in_categories, score_words
from tests.unit.serving.conftest import listed, scores_of

#: The planted encoder knows none of these words, so they say nothing of any item.
NOTHING = "unknown words"


def standardised(scores):
    return (scores - scores.mean()) / scores.std(ddof=0)


def words_of(served, query, **options):
    metadata = served.known_metadata
    parsed = parse_query(query, metadata.vocabulary)
    return score_words(parsed, served.encoder, served.item_features, metadata, **options)


@pytest.mark.parametrize("n_history", [1, 5, 20])
def test_a_history_of_n_items_weighs_n_by_n_plus_5(served, n_history):
    """Beside words that say nothing, what is left is the history's share of its own standardised scores."""
    raw = np.arange(len(served.items), dtype=np.float32)
    blended = words_of(served, NOTHING).blended(raw, n_history)
    np.testing.assert_allclose(blended, n_history / (n_history + 5) * standardised(raw), atol=1e-4)


def test_without_anything_wanted_the_history_weighs_all(served, names):
    raw = np.arange(len(served.items), dtype=np.float32)
    np.testing.assert_allclose(words_of(served, f"no {names[0]}").blended(raw, 0), standardised(raw), atol=1e-4)


def test_a_longer_history_moves_the_answer_to_the_same_words_further(served, history, genres, names):
    """The longer the history, the less of the list is what the words name."""
    other = next(name for name in names if name != genres[history[0]])
    words = Request(query=f"{other}")
    alone = scores_of(served, words)

    def distance(n):
        together = scores_of(served, Request(query=words.query, history=history[:n]))
        return float(np.abs(together - alone[together.index]).mean())

    distances = [distance(n) for n in (1, 3, 10, len(history))]
    assert distances == sorted(distances)
    assert distances[0] < 0.5 * distances[-1]


def test_without_a_history_popularity_weighs_a_little_beside_the_words(served):
    raw = np.arange(len(served.items), dtype=np.float32)
    np.testing.assert_allclose(words_of(served, NOTHING).blended(raw, 0), 0.3 * standardised(raw), atol=1e-4)


@pytest.mark.parametrize(("n_history", "share"), [(0, 0.3), (5, 0.5)])
def test_one_item_that_everybody_takes_does_not_drown_the_words(served, n_history, share):
    """Its score is sqrt(n - 1) deviations above the mean, and counts as 7 beside the words."""
    raw = np.zeros(len(served.items), np.float32)
    raw[3] = 1000.0
    highest = np.sqrt(len(raw) - 1)
    assert highest > 7
    blended = words_of(served, NOTHING).blended(raw, n_history)
    np.testing.assert_allclose(blended, share * 7 / highest * standardised(raw), atol=1e-4)
    assert blended[3] == pytest.approx(share * 7, rel=1e-4)


def test_beside_what_is_ruled_out_a_score_counts_as_7_too(served, names):
    raw = np.zeros(len(served.items), np.float32)
    raw[3] = 1000.0
    words = words_of(served, f"no x{names[0]}")
    highest = np.sqrt(len(raw) - 1)
    np.testing.assert_allclose(
        words.blended(raw, 5), words.query_score + 7 / highest * standardised(raw), rtol=1e-4, atol=1e-4
    )


def test_words_that_say_nothing_of_the_catalogue_change_nothing(served, history):
    """The answer says so, and is the user's own list."""
    answer = listed(served, Request(query="show me xyzzy", history=history[:3]))
    assert (answer.path, answer.understood) == ("not_understood", {})
    assert answer.item_ids == listed(served, Request(history=history[:3])).item_ids


def test_what_was_understood_is_said(served, names):
    title = served.known_metadata.titles[3]
    query = f'{names[0]} like "{title}", before 1990, less {names[1]}, no {names[2]} or xyzzy'
    answer = listed(served, Request(query=query))
    assert answer.path == "query"
    assert answer.understood["wanted"] == [names[0]]
    assert answer.understood["softer"] == [names[1]]
    assert answer.understood["excluded_categories"] == [names[2]]
    assert answer.understood["negated"] == ["xyzzy"]
    assert answer.understood["like"] == [{"item_id": served.item_ids[3], "title": title}]
    assert answer.understood["filters"] == {"year": {"max": 1989.0}}
    table = served.known_metadata.table.set_index("item_id")
    assert (table.loc[answer.item_ids, "year"] < 1990).all()
    assert served.item_ids[3] not in answer.item_ids


def test_a_title_joins_the_history_once(served, history):
    """Words name what the history has already: nothing changes but that it is not listed."""
    title = served.known_metadata.titles[served.items.index(history[0])]
    once = scores_of(served, Request(query=f'like "{title}"', history=history[:1]))
    named = scores_of(served, Request(query=f'like "{title}"'))
    np.testing.assert_allclose(once, named[once.index], atol=1e-5)
    assert history[0] not in once.index


def test_a_softer_category_loses_2_deviations(served, genres, names):
    lost = words_of(served, f"less {names[0]}").query_score
    of_genre = np.array([genre == names[0] for genre in genres.values()])
    np.testing.assert_allclose(lost[of_genre], -2, atol=1e-5)
    np.testing.assert_allclose(lost[~of_genre], 0, atol=1e-5)


def test_keywords_gain_like_what_a_text_is_about(served, genres, names):
    parsed = replace(parse_query(NOTHING, served.known_metadata.vocabulary), about=(0, 0, 1))
    words = score_words(parsed, served.encoder, served.item_features, served.known_metadata)
    of_genre = np.array([genre == names[0] for genre in genres.values()])
    np.testing.assert_allclose(words.query_score[of_genre], 3 * 2 / 3, atol=1e-5)
    assert words.about == (0, 1)


def test_of_equally_near_items_the_popular_come_first(served, names, genres, tables):
    """Ten genre's items are nearly equally near; what tells the first from the last is who takes them."""
    counts = tables.items.set_index("item_id")["n_train"]
    of_genre = [item for item, genre in genres.items() if genre == names[0]]
    item_ids = listed(served, Request(query=names[0], candidates=of_genre), k=len(of_genre)).item_ids
    half = len(item_ids) // 2
    assert counts[item_ids[:half]].mean() > counts[item_ids[half:]].mean()


def test_a_category_named_in_words_fills_the_list(served, genres, names):
    answer = listed(served, Request(query=f"{names[0]} please"))
    assert answer.path == "query"
    assert {genres[i] for i in answer.item_ids} == {names[0]}
    assert set(answer.reasons) == {"category"}


def test_negated_categories_never_come(served, genres, names):
    answer = listed(served, Request(query=f"anything but good, no {names[0]} or {names[1]}"), k=1000)
    assert set(answer.item_ids) == {i for i, genre in genres.items() if genre not in names[:2]}


def test_what_is_negated_and_is_no_category_is_moved_away_from(served, names):
    """Of what is negated, an item loses its nearness to it, as far as that is above the mean."""
    metadata = served.known_metadata
    parsed = parse_query(f"{names[1]}, no x{names[0]}", metadata.vocabulary)
    plain = parse_query(names[1], metadata.vocabulary)
    assert parsed.negated
    negated = score_words(parsed, served.encoder, served.item_features, metadata)
    wanted = score_words(plain, served.encoder, served.item_features, metadata)
    near = served.item_features @ served.encoder.encode([names[0]])[0]
    near = (near - near.mean()) / near.std()
    lost = wanted.query_score - negated.query_score
    np.testing.assert_allclose(lost, np.maximum(near, 0), atol=1e-4)
    assert lost.max() > 1


def test_negated_words_alone_are_enough(served, names):
    """Nothing is wanted: only the distance to what is negated counts."""
    words = words_of(served, f"no x{names[0]}")
    assert words.query_score.max() == 0
    assert words.query_score.min() < -0.5


def test_a_negated_word_that_is_no_category_lowers_its_items(served, genres, names):
    """The vocabulary does not know 'xthing', the encoder reads the genre out of it."""
    word = f"x{names[0].lower()}"
    assert not parse_query(f"no {word}", served.known_metadata.vocabulary).excluded_categories
    lost = words_of(served, f"{NOTHING}, no {word}").query_score - words_of(served, NOTHING).query_score
    of_genre = np.array([genre == names[0] for genre in genres.values()])
    assert lost[of_genre].max() < -0.5
    assert lost[~of_genre].min() > -0.2


def test_an_item_whose_text_has_what_is_ruled_out_never_comes(served, history):
    """Though the words name no category, and although the planted encoder knows nothing of them."""
    titles = served.known_metadata.titles
    word = titles[5].split()[1]
    marked = [item for item, other in zip(served.item_ids, titles, strict=True) if word in other.split()]
    answer = listed(served, Request(query=f"no {word} or xyzzy {word}", history=history[:3]), k=len(titles))
    assert answer.path == "query"
    assert marked
    assert not set(marked) & set(answer.item_ids)
    assert answer.understood["excluded_phrases"] == [word.lower()]
    assert answer.understood["negated"] == [f"xyzzy {word.lower()}"]


def test_words_of_most_items_that_are_ruled_out_leave_a_list(served):
    """Were every item gone that has them, nothing could be listed."""
    metadata = served.known_metadata
    alike = [json.dumps([f"thing {n}"]) for n in range(len(metadata.table))]
    everywhere = replace(metadata, table=metadata.table.assign(pieces=alike, title=""))
    parsed = parse_query("no thing", metadata.vocabulary)
    assert everywhere.saying("thing").all()
    words = score_words(parsed, served.encoder, served.item_features, everywhere)
    assert not words.excluded.any()
    assert words.excluded_phrases == ()


def test_items_in_categories(served, genres, names):
    place = served.known_metadata.vocabulary.names.index(names[1])
    expected = [genre == names[1] for genre in genres.values()]
    assert in_categories(served.known_metadata, (place,)).tolist() == expected
    assert not in_categories(served.known_metadata, ()).any()


def test_an_item_of_every_category_named_gains_4_deviations(served, genres, names):
    """And half of them half as much; what the words are near to comes on top."""
    encoder, vocabulary = served.encoder, served.known_metadata.vocabulary
    plain = parse_query(NOTHING, vocabulary)
    of_genre = np.array([genre == names[0] for genre in genres.values()])
    for categories, gain in (((0,), 4.0), ((0, 1), 2.0)):
        scores = [
            score_words(parsed, encoder, served.item_features, served.known_metadata).query_score
            for parsed in (replace(plain, categories=categories), plain)
        ]
        np.testing.assert_allclose((scores[0] - scores[1])[of_genre], gain, atol=1e-5)
    assert vocabulary.names[0] == names[0]
