"""Requests for one of several catalogues, and items that join one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.hybrid.config import DomainBoosts
from tailor.serving.about_model import describe
from tailor.serving.items import Embeddings, columns_of, put, read_items
from tailor.serving.package import DOMAINS
from tailor.serving.reach import reach
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.serving.update import with_interactions
from tests.unit.serving.conftest import FAST, hybrid, listed, weights


@pytest.fixture(scope="module")
def of_items(tables):
    """The first half of the catalogue is books, the second films."""
    return np.arange(len(tables.items)) // (len(tables.items) // 2)


@pytest.fixture(scope="module")
def joint(served, tables, of_items):
    model = hybrid(weights(ials=0.5, ease=0.25, text_knn=0.15, popular=0.1), FAST)
    table = served.metadata.table.assign(domain=np.array(["books", "films"])[of_items])
    return replace(
        served,
        model=model.fit(tables.train_set.with_domains(of_items)),
        about=served.about | {DOMAINS: ["books", "films"]},
        metadata=replace(served.metadata, table=table),
    )


@pytest.mark.parametrize("domain", ["books", "films"])
def test_a_list_holds_items_of_the_domain_that_is_asked_for(joint, known, of_items, domain):
    answer = listed(joint, Request(user_id=known, domain=domain), k=1000)
    rows = joint.item_indices(answer.item_ids)
    assert set(of_items[rows]) == {["books", "films"].index(domain)}
    every = listed(joint, Request(user_id=known), k=1000)
    of_domain = [item for item in every.item_ids if item in set(answer.item_ids)]
    assert of_domain == answer.item_ids  # the same order, without the others
    assert len(every.item_ids) > len(answer.item_ids)


def test_a_history_of_one_domain_tells_of_the_other(joint, tables, of_items, genres):
    taken = [item for item, of_domain in zip(joint.item_ids, of_items, strict=True) if of_domain == 0]
    genre = genres[taken[0]]
    history = [item for item in taken if genres[item] == genre][:5]
    answer = listed(joint, Request(history=history, domain="films"))
    assert [genres[item] for item in answer.item_ids[:5]] == [genre] * 5


def test_a_domain_joins_filters_and_candidates(joint, names):
    answer = listed(joint, Request(domain="films", filters={"categories": [names[0]]}), k=1000)
    both = listed(joint, Request(filters={"categories": [names[0]]}), k=1000)
    assert 0 < len(answer.item_ids) < len(both.item_ids)
    assert listed(joint, Request(domain="books", candidates=list(joint.item_ids[-3:]))).item_ids == []


def test_an_unknown_domain_is_refused_by_name(joint, served):
    with pytest.raises(BadInputError, match=r"Unknown domain 'book'\. Did you mean 'books'\? .*has: books, films"):
        joint.recommend([Request(domain="book")])
    with pytest.raises(BadInputError, match=r"Unknown domain 'books'.* one catalogue, so leave the domain out"):
        served.recommend([Request(domain="books")])


def test_a_package_carries_domains(joint, tmp_path, known):
    replace(joint, encoder_of=None).save(tmp_path / "package")
    loaded = Recommender.load(tmp_path / "package")
    request = Request(user_id=known, domain="films")
    assert loaded.domains == ["books", "films"]
    assert listed(loaded, request).item_ids == listed(joint, request).item_ids


def test_a_new_item_says_its_domain(joint, names):
    assert "domain" in columns_of(joint)
    row = {"item_id": "new", "title": "thing", "genre": names[0]}
    with pytest.raises(BadInputError, match=r"The item 'new' is of domain None: say one of books, films in the col"):
        read_items(joint, [row])
    grown = put(joint, read_items(joint, [row | {"domain": "films"}]))
    assert grown.of_domain("films")[-1]
    assert not grown.of_domain("books")[-1]
    assert grown.item_domains["domain"].tolist()[-1] == "films"
    assert "new" in listed(grown, Request(domain="films"), k=1000).item_ids


def test_a_model_of_one_catalogue_knows_no_such_column(served):
    assert "domain" not in columns_of(served)
    assert list(served.item_domains) == ["item_id"]


def test_an_update_keeps_domains(joint, known, of_items):
    taken = set(joint.histories.history[[joint.users.index(known)]].indices)
    fresh = next(row for row in np.flatnonzero(joint.model.warm) if row not in taken)
    rows = pd.DataFrame({"user_id": [known], "item_id": [joint.item_ids[fresh]], "timestamp": [2e9]})
    updated = with_interactions(joint, rows, sweeps=1).recommender
    np.testing.assert_array_equal(updated.model.domains, of_items)
    answer = listed(updated, Request(user_id=known, domain="films"), k=1000)
    assert set(of_items[updated.item_indices(answer.item_ids)]) == {1}


@pytest.fixture(scope="module")
def lifting(joint):
    """Films lift their tail half of the way, books not at all; the scenario goes half of the rest."""
    points = [DomainBoosts(), DomainBoosts(tail_boost=0.5)]
    boosts = joint.model.boosts.model_copy(update={"tail_boost": 0.2, "tail_boost_scale": 4.0, "by_domain": points})
    about = joint.about | {"scenarios": {"discover": {"tail_boost": 0.5, "k": 30}}}
    return replace(joint, model=joint.model.with_boosts(boosts), about=about)


def lifts_of(recommender, user, domain, **settings):
    """What the settings add to the domain's tail items that are listed, beside the same without boosts."""
    values = []
    for given in (settings, {"tail_boost": 0.0}):
        (answer,) = recommender.recommend([Request(user_id=user, domain=domain)], Settings(**{"k": 1000} | given))
        values.append(dict(zip(answer.item_ids, answer.scores, strict=True)))
    rows = recommender.item_indices(list(values[0]))
    added = np.array([values[0][item] - values[1][item] for item in values[0]])
    return np.unique(added[recommender.model.tail[rows]].round(4)).tolist()


def test_a_request_is_answered_at_the_point_of_its_domain(lifting, known):
    assert lifts_of(lifting, known, "books") == [0.0]
    assert lifts_of(lifting, known, "films") == [0.5 * 4.0]


def test_what_a_request_sets_holds_in_every_domain(lifting, known):
    for domain in ("books", "films"):
        assert lifts_of(lifting, known, domain, tail_boost=0.25) == [0.25 * 4.0]


def test_a_scenario_is_a_step_from_the_point_of_the_domain(lifting, known):
    assert lifts_of(lifting, known, "books", scenario="discover", k=1000) == [0.5 * 4.0]
    assert lifts_of(lifting, known, "films", scenario="discover", k=1000) == [(0.5 + 0.5 * 0.5) * 4.0]
    assert lifts_of(lifting, known, "films", scenario="discover", tail_boost=0.25, k=1000) == [0.25 * 4.0]


def test_the_model_says_where_its_domains_stand(lifting, joint):
    said = describe(lifting, "1")
    assert said["boosts"]["tail_boost"] == 0.2
    assert {name: point["tail_boost"] for name, point in said["boosts_by_domain"].items()} == {
        "books": 0.0,
        "films": 0.5,
    }
    assert describe(joint, "1")["boosts_by_domain"] == {}


def test_reach_tries_boosts_from_the_point_of_the_item_s_domain(lifting, of_items):
    for domain, start in enumerate((0.0, 0.5)):
        item = lifting.item_ids[np.flatnonzero(lifting.model.tail & (of_items == domain))[0]]
        steps = reach(lifting, item, "1", 10, 50).boosts
        assert [step.value for step in steps] == [start + share * (1 - start) for share in (0.25, 0.5, 1.0)]


def test_a_package_carries_the_points_of_domains(lifting, tmp_path, known):
    replace(lifting, encoder_of=None).save(tmp_path / "package")
    loaded = Recommender.load(tmp_path / "package")
    assert loaded.operating_points == lifting.operating_points != {}
    assert lifts_of(loaded, known, "films") == [0.5 * 4.0]


class ReadsFilmsOtherwise:
    """In films every genre means what the next one does elsewhere."""

    def __init__(self, plain):
        self.plain, names = plain, list(plain.centres)
        turned = {name: plain.centres[names[place - 1]] for place, name in enumerate(names)}
        self.domains = {"films": type(plain)(turned)}

    def encode(self, texts):
        return self.plain.encode(texts)

    def of_domain(self, name):
        return self.domains.get(name, self.plain)


@pytest.fixture(scope="module")
def apart(joint, served):
    encoder = ReadsFilmsOtherwise(served.encoder)
    return replace(joint, encoder_of=lambda: encoder)


@pytest.fixture(scope="module")
def films_alone(apart):
    """The same model, all of whose texts are read as those of films."""
    return replace(apart, encoder_of=lambda: apart.encoder.domains["films"])


def test_items_that_are_put_are_read_by_the_adapter_of_their_domain(apart, names):
    row = {"title": "thing", "genre": names[0]}
    rows = [row | {"item_id": f"new {domain}", "domain": domain} for domain in ("films", "books", "films")]
    rows[2]["item_id"] = "another"
    grown = put(apart, read_items(apart, rows))
    read = grown.model.item_features[-3:]
    for features, domain in zip(read, ("films", "books", "films"), strict=True):
        np.testing.assert_allclose(
            features, apart.encoder.of_domain(domain).encode([f"thing. {names[0]}"])[0], atol=1e-6
        )
    assert (read[0] != read[1]).any()


def test_stored_embeddings_are_those_of_the_encoders_and_the_domain(apart, joint, names):
    state = SimpleNamespace(kept={})
    state.embeddings = lambda encoder, ids: {
        name: state.kept[encoder, name] for name in ids if (encoder, name) in state.kept
    }
    state.keep_embeddings = lambda encoder, made: state.kept.update({(encoder, name): v for name, v in made.items()})

    def read(model, domain):
        metadata = read_items(model, [{"item_id": "new", "title": "thing", "genre": names[0], "domain": domain}])
        known = Embeddings(state)
        rows = known.of(model, metadata)
        known.keep()
        return rows[0]

    films, books = (read(apart, domain) for domain in ("films", "books"))
    assert (films != books).any()
    np.testing.assert_array_equal(read(apart, "films"), films)
    np.testing.assert_array_equal(read(joint, "films"), books)
    assert len({encoder for encoder, _ in state.kept}) == 2


def test_words_that_the_own_encoder_reads_are_read_as_in_the_domain_asked_for(apart, films_alone, joint, names):
    asked = {"query": f"something like {names[0]}", "domain": "films"}
    rankings = [listed(model, Request(**asked), k=30).scores for model in (apart, films_alone, joint)]
    assert rankings[0] == rankings[1] != rankings[2]
    books = [listed(model, Request(**asked | {"domain": "books"}), k=30).scores for model in (apart, joint)]
    assert books[0] == books[1]


@pytest.mark.parametrize("query", ["thing", "words"])
def test_texts_and_words_are_explained_as_in_their_domain(apart, films_alone, joint, known, names, query):
    def told(model, domain):
        request = Request(
            user_id=known, domain=domain, query=query if query == "thing" else f"something like {names[0]}"
        )
        (answer,) = model.recommend([request], Settings(k=5, explain=True))
        return [(entry["words"], entry.get("query")) for entry in answer.explanations]

    assert told(apart, "films") == told(films_alone, "films") != told(joint, "films")
    assert told(apart, "books") == told(joint, "books")
