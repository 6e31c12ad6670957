"""Models of other libraries: what their interpreter is handed and hands back, and the file that names them.

The library of these tests is a module of planted models, run by this interpreter in a process of its own.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from tailor.errors import BadInputError, ConfigurationError
from tailor.models.base import Query, TrainSet
from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import peer_entries
import peer_lists
import peers

TOY = '''
import os
import sys

import numpy as np


class Popular:
    """Scores by the rows of each item, times a sign."""

    def __init__(self, sign=1.0):
        self.sign = sign

    def scores(self, task):
        counts = np.bincount(task.rows["item"], minlength=task.shape[1])
        return np.tile(self.sign * counts, (len(task.users), 1)).astype(np.float32)


class Latest(Popular):
    """Scores the neighbour above of the latest item of each user's history, then what was first among the rows."""

    def scores(self, task):
        scores = np.zeros((task.shape[0], task.shape[1]), np.float32)
        history = task.histories
        for user, item, place in sorted(zip(history["user"], history["item"], history["place"]), key=lambda x: x[2]):
            scores[user, (item + 1) % task.shape[1]] = place
        return scores[task.users]


class Silent(Popular):
    def scores(self, task):
        return np.full((len(task.users), task.shape[1]), np.nan, np.float32)


class Seeded(Popular):
    def scores(self, task):
        scores = np.zeros((len(task.users), task.shape[1]), np.float32)
        scores[:, task.seed] = 1
        return scores


class Broken(Popular):
    def scores(self, task):
        raise RuntimeError("no convergence\\nafter 3 sweeps")


class Invalid(ValueError):
    def errors(self):
        return [{"loc": ("model", "K"), "msg": "Input should be above 0"}, {"loc": ("k",), "msg": "No such key"}]


class Picky(Popular):
    def __init__(self, **options):
        raise Invalid("two\\nproblems, see https://")


class Crash(Popular):
    def scores(self, task):
        print("out of memory", file=sys.stderr)
        os._exit(9)


class Lawless(Popular):
    """Lists user, item and rank as they are given."""

    def __init__(self, rows):
        super().__init__()
        self.given = rows
'''
RUNNER = f"""
import sys

sys.path[:0] = [{str(ROOT / "benchmarks" / "peers")!r}]
import exchange
import numpy as np


def lists(model, task):
    if not hasattr(model, "given"):
        return task.lists((place, model.scores(task)[place]) for place in task.blocks(2))
    items = np.full((len(task.users), task.k), -1)
    for row, rank, item in model.given:
        items[row, rank] = item
    return {{name: (items, np.zeros(items.shape)) for name in task.candidates}}


exchange.run("numpy", lambda cls, options, seed: cls(**options), lambda model, task: None, lists)
"""


@pytest.fixture
def library(tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "toy_models.py").write_text(RUNNER)
    return peer_entries.Library(Path(sys.executable), tmp_path / "toy_models.py", "make .venv-toy/built")


def csr(rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


@pytest.fixture
def side():
    """Four users, six items; item 5 is no candidate, user 3 is not asked for. Rows per item: 3, 2, 2, 1, 0, 0."""
    fitted = csr([[1, 2, 0, 0, 0, 0], [2, 0, 1, 0, 0, 0], [0, 1, 2, 0, 0, 0], [1, 0, 0, 2, 0, 0]])
    known = csr([[1, 2, 0, 3, 0, 0], [2, 0, 1, 0, 0, 0], [0, 1, 2, 0, 0, 0], [1, 0, 0, 2, 0, 0]])
    ones = sparse.csr_matrix((known > 0).astype(np.float32))
    return peer_lists.Side(
        data=TrainSet.of(sparse.csr_matrix((fitted > 0).astype(np.float32)), np.arange(6) < 4, order=fitted),
        query=Query.of(ones, known),
        seen=ones,
        users=np.array([0, 1, 2]),
        candidates=np.arange(6) < 5,
        positives=csr([[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0]]),
        tail=np.isin(np.arange(6), [3, 4]),
        items=pd.DataFrame(
            {
                "item_id": list("abcdef"),
                "n_train": [3, 2, 2, 1, 0, 0],
                "bucket": ["head", "head", "head", "tail", "tail", "cold"],
            }
        ),
        tie_rank=np.array([0, 4, 1, 2, 3, 5]),
        seed=4,
    )


def peer(class_path="toy.Popular", options=({},), **fields):
    values = {"name": "toy.peer", "library": "toy", "class_path": class_path, "options": list(options)}
    return peer_entries.Peer(**values | fields)


def filled(lists):
    return [[int(item) for item in row if item >= 0] for row in lists]


def test_lists_leave_out_what_was_seen_and_what_is_no_candidate(side, library):
    """Most rows first."""
    (answer,), version = peer_lists.by_peer(peer(), library, side, [{}])
    assert filled(answer.lists) == [[2, 4], [1, 3, 4], [0, 3, 4]]
    assert answer.lists.shape == (3, peer_lists.K)
    assert version == np.__version__
    assert answer.fit_s >= 0
    assert answer.lists_s >= 0


def test_every_option_set_has_its_lists(side, library):
    answers, _ = peer_lists.by_peer(peer(), library, side, [{"sign": 1.0}, {"sign": -1.0}])
    assert filled(answers[0].lists)[1] == [1, 3, 4]
    assert filled(answers[1].lists)[1] == [4, 3, 1]


def test_histories_and_places_arrive_beside_the_rows_of_the_fit(side, library):
    """User 0's latest item is 3, which is in the history alone: item 4 leads. Of user 1's items 2 came before 0."""
    (answer,), _ = peer_lists.by_peer(peer("toy.Latest"), library, side, [{}])
    assert [row[0] for row in filled(answer.lists)] == [4, 1, 3]


def test_items_without_a_score_are_not_listed(side, library):
    (answer,), _ = peer_lists.by_peer(peer("toy.Silent"), library, side, [{}])
    assert filled(answer.lists) == [[], [], []]


def test_the_seed_arrives_and_ties_are_broken_by_the_tie_rank(side, library):
    """Item 4, whose place is the seed, scores 1, all others 0: of 1 and 3 the latter has the lower tie rank."""
    (answer,), _ = peer_lists.by_peer(peer("toy.Seeded"), library, side, [{}])
    assert filled(answer.lists) == [[4, 2], [4, 3, 1], [4, 0, 3]]


def test_a_peer_agrees_with_the_same_model_of_tailor(side, library):
    same = {"model": "popular", "options": {}, "peer_options": {"sign": 1.0}}
    known, other = (peer(same_as=same | {"peer_options": {"sign": sign}}) for sign in (1.0, -1.0))

    def ask(side, option_sets):
        return peer_lists.by_peer(known, library, side, option_sets)[0]

    assert peers.agreement(known, ask, side) == {"same_lists": 1.0, "same_ndcg_difference": 0.0}
    found = peers.agreement(other, ask, side)
    moved = 2 + 2 + 2  # of 2 + 3 + 3 places: both of user 0's, the ends of the others'
    assert found["same_lists"] == pytest.approx(1 - moved / 8)
    # Positives stand at ranks 1 | 2 | 1 and 3, and reversed at 2 | 2 | 3 and 1.
    assert found["same_ndcg_difference"] == pytest.approx((1 - 1 / np.log2(3)) / 3)
    assert peers.agreement(peer(), ask, side) == {}


def test_figures_are_those_of_the_warm_lists(side):
    """Users 0 to 2 hit at rank 1, 2, and at 1 and 3; tail positives are 3 of user 1 and 4 of user 2."""
    lists = np.full((3, peer_lists.K), -1)
    lists[0, :2], lists[1, :3], lists[2, :3] = [2, 4], [1, 3, 4], [0, 3, 4]
    figures = peers.measure(side, lists)
    both = (1 + 1 / 2) / (1 + 1 / np.log2(3))
    assert figures["warm_ndcg"] == pytest.approx((1 + 1 / np.log2(3) + both) / 3)
    assert figures["tail_ndcg"] == pytest.approx((1 / np.log2(3) + 1 / 2) / 2)
    assert figures["coverage"] == 1.0


def test_validation_chooses_and_both_fits_are_measured(side):
    good, bad = np.full((3, peer_lists.K), -1), np.full((3, peer_lists.K), -1)
    good[:, 0], bad[:, 0] = [2, 3, 0], [4, 1, 3]
    sides = {
        name: replace(side, seed=seed) for seed, name in enumerate(("validation", "train", "train_and_validation"))
    }
    asked = []

    def ask(side, option_sets):
        asked.append((side.seed, [options["n"] for options in option_sets]))
        return [peer_lists.Answer(good if options["n"] == 2 else bad, 1.5, 0.25) for options in option_sets]

    made = peers.choose_and_test(ask, [{"n": 1}, {"n": 2}, {"n": 3}], sides)
    assert made["chosen"] == {"n": 2}
    assert asked == [(0, [1, 2, 3]), (1, [2]), (2, [2])]
    expected = (1 + 1 + 1 / (1 + 1 / np.log2(3))) / 3
    assert made["figures"]["warm_ndcg"] == made["figures"]["warm_ndcg_fit_on_all"] == round(expected, 4)
    assert (made["figures"]["fit_s"], made["figures"]["lists_s"]) == (1.5, 0.25)
    assert made["validation_warm_ndcg"] == [0.0, round(expected, 4), 0.0]


@pytest.mark.parametrize(
    ("class_path", "options", "message"),
    [
        ("toy.Populer", {}, r"class_path 'toy.Populer' cannot be imported: module 'toy' has no attribute 'Populer'\.$"),
        ("toys.Popular", {}, r"class_path 'toys.Popular' cannot be imported: No module named 'toys'\.$"),
        ("toy.Popular", {"sing": 2}, r'toy.Popular does not take options {"sing": 2}: TypeError: .*\'sing\'\.$'),
        (
            "toy.Broken",
            {"sign": 2},
            r'toy.Broken fails with options {"sign": 2}: RuntimeError: no convergence after 3 sweeps\.$',
        ),
        ("toy.Picky", {"k": 1}, r'options {"k": 1}: model\.K: Input should be above 0; k: No such key\.$'),
        ("toy.Crash", {}, r"its interpreter stopped: out of memory$"),
    ],
)
def test_what_a_peer_cannot_do_is_one_sentence(side, library, class_path, options, message):
    with pytest.raises(ConfigurationError, match=r"^Peer 'toy\.peer' of models\.yml: .*" + message):
        peer_lists.by_peer(peer(class_path), library, side, [options])


def test_an_environment_that_is_not_built_is_named(side, library):
    gone = replace(library, interpreter=Path("/none/python"))
    with pytest.raises(
        ConfigurationError, match=r"^Peer 'toy\.peer' needs /none/python: run `make \.venv-toy/built`\.$"
    ):
        peer_lists.by_peer(peer(), gone, side, [{}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 0, 2), (1, 0, 5)], "an item that is no candidate, 1 times; first: user 1, item 5, rank 1"),
        ([(0, 0, 6)], "an item that is no candidate, 1 times; first: user 0, item 6, rank 1"),
        ([(0, 0, 2), (0, 1, 3)], "an item that the user has seen, 1 times; first: user 0, item 3, rank 2"),
        ([(0, 0, 2), (0, 1, 4), (0, 2, 2)], "an item twice for one user, 1 times; first: user 0, item 2, rank 3"),
    ],
)
def test_lists_against_the_rules_are_refused(side, library, rows, message):
    with pytest.raises(BadInputError, match=rf"^Peer 'toy\.peer' lists {message} \("):
        peer_lists.by_peer(peer("toy.Lawless"), library, side, [{"rows": rows}])


@pytest.mark.parametrize(
    ("user", "item", "rank", "message"),
    [
        ([3], [2], [1], "a user who was not asked for, 1 times; first: user 3, item 2, rank 1"),
        ([0], [2], [0], "a rank outside 1 to 20, 1 times; first: user 0, item 2, rank 0"),
        ([0], [2], [21], "a rank outside 1 to 20, 1 times; first: user 0, item 2, rank 21"),
        ([0, 0], [2, 4], [1, 1], "two items at one rank, 1 times; first: user 0, item 4, rank 1"),
    ],
)
def test_rows_of_lists_against_the_rules_are_refused(side, tmp_path, user, item, rank, message):
    columns = {"warm_user": user, "warm_item": item, "warm_rank": rank}
    np.savez(tmp_path / "lists.npz", **{name: np.array(values) for name, values in columns.items()})
    with pytest.raises(BadInputError, match=rf"^Peer 'toy' lists {message} \("):
        peer_lists.read_lists(tmp_path / "lists.npz", side, "toy")


ENTRY = {"name": "toy.a", "library": "toy", "class_path": "toy.Popular", "options": [{}]}


@pytest.fixture
def read(tmp_path, library):
    def read_text(content):
        path = tmp_path / "some.yml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return peer_entries.read_peers(path, {"toy": library})

    return read_text


def test_an_entry_is_all_it_takes(read):
    first, second = read([ENTRY, ENTRY | {"name": "toy.b", "on_request": True, "options": [{"sign": 2}]}])
    assert (first.name, first.class_path, first.options, first.on_request) == ("toy.a", "toy.Popular", [{}], False)
    assert second.on_request
    assert peer_entries.chosen_peers([first, second], []) == [first]
    assert peer_entries.chosen_peers([first, second], ["toy.b"]) == [second]
    with pytest.raises(ConfigurationError, match=r"^ONLY names 'toy\.c', which is no peer\. Did you mean 'toy\.b'\?"):
        peer_entries.chosen_peers([first, second], ["toy.c"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- {name: a", r"some\.yml is not YAML: while parsing a flow mapping.*\.$"),
        ("name: a", r"some\.yml holds dict: write a list of entries, each with a name\.$"),
        ([ENTRY, "toy.b"], r"entry 2 is 'toy\.b': write name, library, class_path and options\.$"),
        ([{"name": "toy.a", "library": "toy", "options": [{}]}], r"entry 1 \('toy\.a'\): 'class_path' is missing\.$"),
        ([ENTRY | {"option": []}], r"\('toy\.a'\): no key 'option'\. Did you mean 'options'\? Known here: name, lib"),
        ([ENTRY | {"library": "toys"}], r"\('toy\.a'\): no library 'toys'\. Did you mean 'toy'\? Known: toy\.$"),
        ([ENTRY, ENTRY], r"entry 2 \('toy\.a'\): another entry has this name; choose another one\.$"),
        ([ENTRY | {"name": "ease"}], r"\('ease'\): a model of Tailor is called so; write 'toy\.ease'\.$"),
        ([ENTRY | {"options": [{}] * 5}], r"5 option sets; at most 4, as many as Tailor's own models have\.$"),
        ([ENTRY | {"options": []}], r"\('toy\.a'\): options = \[\]: List should have at least 1 item.*\.$"),
        ([ENTRY | {"options": {"sign": 1}}], r"options = \{'sign': 1\}: Input should be a valid list\.$"),
        ([ENTRY | {"class_path": "Popular"}], r"class_path = 'Popular': String should match pattern.*\.$"),
        (
            [ENTRY | {"same_as": {"model": "eese", "options": {}, "peer_options": {}}}],
            r"\('toy\.a'\), same_as: No model 'eese'\. Did you mean 'ease'\?",
        ),
        (
            [ENTRY | {"same_as": {"model": "ease", "options": {}, "peer_option": {}}}],
            r"'same_as\.peer_options' is missing\.\n.*no key 'same_as\.peer_option'\. Did you mean 'peer_options'\?",
        ),
    ],
)
def test_a_wrong_entry_is_named(read, content, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(content)
    assert str(caught.value).count("some.yml") == len(str(caught.value).splitlines())


def test_the_entries_of_the_project_are_valid():
    entries = peer_entries.read_peers(peer_entries.MODELS, peer_entries.LIBRARIES)
    assert {entry.library for entry in entries} == set(peer_entries.LIBRARIES)
    assert all(len(entry.options) == peer_entries.TRIALS for entry in entries if not entry.on_request)
    assert all(entry.class_path.split(".")[0] in entry.library for entry in entries)
    makefile = (ROOT / "Makefile").read_text()
    for library in peer_entries.LIBRARIES.values():
        assert library.runner.is_file()
        assert f"\n{library.make.removeprefix('make ')}: benchmarks/requirements-" in makefile


def test_what_is_done_is_not_measured_again_unless_its_entry_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "RESULT", tmp_path / "peers.json")
    monkeypatch.setattr(peers, "OWN", ("ease",))
    measured = []

    def once(name, more=()):
        measured.append(name)
        return {"figures": {"warm_ndcg": 0.25}} | dict(more)

    monkeypatch.setattr(peers, "one_own", lambda name, catalogue, sides: once(name))
    monkeypatch.setattr(peers, "one_peer", lambda one, sides: once(one.name, {"entry": one.digest}))
    monkeypatch.setattr(peers, "prepare", lambda env, seed: once(f"prepare {env}"))
    monkeypatch.setattr(peers, "validation_side", lambda catalogue: None)
    monkeypatch.setattr(peers, "test_side", lambda catalogue, fit_on: None)
    first, second = peer(name="toy.a"), peer(name="toy.b")
    peers.measure_all("base", [first])
    peers.measure_all("base", [first])
    assert measured == ["prepare base", "ease", "toy.a"]
    peers.measure_all("base", [first, second])
    peers.measure_all("base", [first.model_copy(update={"options": [{"sign": 2}]}), second])
    assert measured[3:] == ["prepare base", "toy.b", "prepare base", "toy.a"]
    made = json.loads(peers.RESULT.read_text())
    assert {"headline", "targets", "command", "commit", "date", "seeds", "machine"} <= made.keys()
    assert made["headline"] == {f"ml100k_{name}_warm_ndcg": 0.25 for name in ("ease", "toy.a", "toy.b")}
