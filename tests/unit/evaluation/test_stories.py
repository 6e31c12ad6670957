"""Three stories of the tail: whom they are of, and that hits are marked as the later interactions say."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.evaluation import stories
from tailor.evaluation.groups import NICHE, taste_of
from tailor.evaluation.protocol import NewUserProtocol
from tailor.evaluation.stories import describe_score
from tailor.hybrid.explain import Explanation
from tests.recipes import hybrid


def explanation(**parts):
    """One item of one user, with two history items whose shares are 2 and -1."""
    other = {"cold_boost": np.array([parts.pop("other", 0.0)])}
    sources = {name: np.array([value]) for name, value in parts.items()}
    shares = {"ials": np.array([[2.0, -1.0]])}
    return Explanation(np.array([5]), sources, other, np.array([1, 2]), shares, {}, np.zeros(9, np.float32))


TITLES = ["zero", "one", "two"]


def test_a_score_is_said_in_shares_of_what_carried_it():
    text = describe_score(explanation(ials=0.6, popular=0.3, text_knn=0.1, slit=-0.5), 0, TITLES)
    assert text == "factors 60%, popularity 30%, text 10%; most because of one"


def test_little_is_not_said_and_the_rest_has_a_name():
    text = describe_score(explanation(ials=0.57, popular=0.03, other=0.4), 0, TITLES)
    assert text == "factors 57%, exposure of rare items 40%; most because of one"


def test_where_nothing_speaks_for_an_item_it_is_popularity():
    assert describe_score(explanation(ials=-0.5), 0, TITLES) == "popularity"


def test_no_history_item_is_named_where_the_history_carries_little():
    """Of what lifts the item, 0.2 / (0.2 + 0.8) is the history's: less than three tenths."""
    text = describe_score(explanation(ials=0.2, popular=0.8), 0, TITLES)
    assert text == "popularity 80%, factors 20%"


@pytest.fixture(scope="module")
def scorer(tables):
    return hybrid().fit(tables.train_set)


@pytest.fixture(scope="module")
def niche(tables):
    """Rows of the users with a taste for the tail."""
    head = (tables.items["bucket"] == "head").to_numpy()
    return np.flatnonzero(taste_of(tables.matrices["train"], head, tables.users["user_id"]) == NICHE)


def of_bucket(tables, name, n):
    rows = np.flatnonzero(tables.items["bucket"] == name)
    assert len(rows) >= n
    return rows[:n].tolist()


def long_table(tables, lists):
    """A long table of lists: rows of items by row of the user."""
    users, items = tables.users["user_id"], tables.items["item_id"]
    cells = [(users[user], items[item], place + 1) for user, of in lists.items() for place, item in enumerate(of)]
    return pd.DataFrame(cells, columns=["user_id", "item_id", "rank"])


def later(tables, taken):
    """What users took later (U, n_items), by row of the user."""
    cells = [(user, item) for user, items in taken.items() for item in items]
    rows, columns = zip(*cells, strict=True) if cells else ((), ())
    shape = (len(tables.users), len(tables.items))
    return sparse.csr_matrix((np.ones(len(cells), np.float32), (rows, columns)), shape=shape)


def lover(tables, scorer, lists, taken, k=5):
    histories, train = tables.train_set.queries(), tables.matrices["train"]
    return stories.tell_tail_lover(
        scorer, tables.items, tables.users, histories, train, later(tables, taken), long_table(tables, lists), k
    )


def titles_of(tables, rows):
    return tables.items["title"].iloc[rows].tolist()


def test_the_lover_of_the_tail_is_the_niche_user_with_the_most_tail_hits_and_hits_are_marked(tables, scorer, niche):
    tail, head = of_bucket(tables, "tail", 4), of_bucket(tables, "head", 3)
    one, two, three = niche[:3].tolist()
    other = next(row for row in range(len(tables.users)) if row not in niche)
    lists = {one: [tail[0], head[0], head[1]], two: [tail[0], head[0], tail[1], tail[2]], three: head, other: tail}
    taken = {one: [tail[0], *head], two: [tail[0], tail[1], tail[3]], three: head, other: tail}
    (story,) = lover(tables, scorer, lists, taken)
    assert [(row["rank"], row["hit"]) for row in story["rows"]] == [(1, True), (2, False), (3, True), (4, False)]
    assert [row["title"] for row in story["rows"]] == titles_of(tables, lists[two])
    assert [row["bucket"] for row in story["rows"]] == ["tail", "head", "tail", "tail"]
    assert story["chosen"].startswith(
        "Of 3 users in whose histories head items have the smallest share, 2 later took a tail item of their list; "
        "this one took the most, 2."
    )
    truth = {item["title"]: item["hit"] for item in story["truth"]}
    assert truth == dict(zip(titles_of(tables, [tail[0], tail[1], tail[3]]), [True, True, False], strict=True))
    assert not [user for user in tables.users["user_id"] if f"'{user}'" in str(story)]


def test_hits_behind_the_cut_off_do_not_count_and_those_behind_the_first_ten_are_written_out(tables, scorer, niche):
    tail, head = of_bucket(tables, "tail", 2), of_bucket(tables, "head", 12)
    lists = {int(niche[0]): [*head[:11], tail[0], tail[1]]}
    (story,) = lover(tables, scorer, lists, {int(niche[0]): tail}, k=12)
    assert [row["rank"] for row in story["rows"]] == [*range(1, 11), 12]
    assert [row["hit"] for row in story["rows"]] == [False] * 10 + [True]
    assert [item["hit"] for item in story["truth"]] == [True, False]


def test_without_a_tail_hit_the_story_says_so(tables, scorer, niche):
    head = of_bucket(tables, "head", 3)
    one, two = niche[:2].tolist()
    lists = {one: head, two: head}
    (story,) = lover(tables, scorer, lists, {one: head[:1], two: head[:2]})
    assert "nobody took a tail item of the list later; this one took the most items of it, 2" in story["chosen"]
    (story,) = lover(tables, scorer, lists, {})
    assert "nobody took an item of the list later; this one is the first by a hash" in story["chosen"]
    assert not any(row["hit"] for row in story["rows"]) and story["truth"] == []


def test_without_niche_users_there_is_no_story(tables, scorer, niche):
    other = next(row for row in range(len(tables.users)) if row not in niche)
    assert lover(tables, scorer, {other: of_bucket(tables, "head", 2)}, {}) == []


def test_lists_of_several_domains_stand_one_behind_the_other(tables, scorer, niche):
    head, user = of_bucket(tables, "head", 4), int(niche[0])
    films = long_table(tables, {user: head[:2]}).assign(domain="films")
    books = long_table(tables, {user: head[2:]}).assign(domain="books")
    histories, train = tables.train_set.queries(), tables.matrices["train"]
    (story,) = stories.tell_tail_lover(
        scorer,
        tables.items,
        tables.users,
        histories,
        train,
        later(tables, {user: head[3:]}),
        pd.concat([films, books]),
        5,
    )
    assert [row["domain"] for row in story["rows"]] == ["books", "books", "films", "films"]
    assert [row["rank"] for row in story["rows"]] == [1, 2, 1, 2]
    assert [row["hit"] for row in story["rows"]] == [False, True, False, False]


def cold(tables, scorer, lists, taken):
    histories = tables.train_set.queries()
    return stories.tell_cold_item(
        scorer, tables.items, tables.users, histories, later(tables, taken), long_table(tables, lists), 5
    )


def test_the_cold_item_is_the_one_that_most_of_its_takers_had_on_their_lists(tables, scorer, niche):
    (first, second, third), head = of_bucket(tables, "cold", 3), of_bucket(tables, "head", 1)
    a, b, c, d = niche[:4].tolist()
    lists = {a: [*head, first], b: [first, second], c: [second], d: [*head, second]}
    taken = {a: [first], b: [second], d: [second, first, third]}
    (story,) = cold(tables, scorer, lists, taken)
    assert story["name"] == f"A cold item: {titles_of(tables, [second])[0]}"
    assert story["chosen"] == (
        "Of 3 items that nobody in training has taken and somebody took later, 2 stood on a list of 5 of somebody who "
        "took it. This one stood on 3 lists; 2 of the 2 users who took it are among them."
    )
    assert [(row["rank"], row["hit"]) for row in story["rows"]] == [(2, True), (2, True), (1, False)]
    lengths = np.diff(tables.train_set.queries().history.indptr)
    said = sorted(row["title"] for row in story["rows"])
    assert said == sorted(f"a user with {lengths[user]} known items" for user in (b, c, d))
    assert not [user for user in tables.users["user_id"] if f"'{user}'" in str(story)]


def test_where_no_cold_item_was_taken_there_is_no_story(tables, scorer, niche):
    assert cold(tables, scorer, {int(niche[0]): of_bucket(tables, "cold", 1)}, {}) == []


def new_user_lists(tables, protocol, lists):
    """Long table of lists by row of the new user and number of known items."""
    frames = [long_table(tables, {int(protocol.users[row]): of}).assign(n_history=n) for (row, n), of in lists.items()]
    return pd.concat(frames, ignore_index=True)


def test_the_new_user_is_told_at_three_known_items(tables, scorer):
    features = {"profiles": np.zeros((len(tables.users), 0), np.float32)}
    matrices = tables.matrices
    protocol = NewUserProtocol.build(tables.users, tables.items, matrices["new_user"], tables.reveal_order, features)
    hidden, bucket = protocol.hidden(3), tables.items["bucket"].to_numpy(dtype=str)
    in_tail = {row: [i for i in hidden[row].indices if bucket[i] == "tail"] for row in range(len(protocol.users))}
    row = max(in_tail, key=lambda user: len(in_tail[user]))
    assert in_tail[row], "no new user of the fixture has later tail items"
    others = [user for user in range(len(protocol.users)) if user != row]
    listed = of_bucket(tables, "head", 1)
    lists = {(user, 3): [i for i in listed if i not in hidden[user].indices] for user in others}
    lists |= {(row, 3): [in_tail[row][0], *listed], (row, 0): listed}
    made = new_user_lists(tables, protocol, lists)
    (story,) = stories.tell_new_user(scorer, tables.items, tables.users, protocol, made, 5)
    assert story["name"] == "A new user: 3 known items"
    assert "1 later took a tail item of their list; this one took the most, 1." in story["chosen"]
    assert story["chosen"].startswith(
        f"Of {made.query('n_history == 3')['user_id'].nunique()} new users of whom 3 items are"
    )
    expected = [item in hidden[row].indices for item in lists[row, 3]]
    assert [entry["hit"] for entry in story["rows"]] == expected
    assert expected[0]
    assert stories.tell_new_user(scorer, tables.items, tables.users, protocol, made.iloc[:0], 5) == []
