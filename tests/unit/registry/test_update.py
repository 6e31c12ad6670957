"""An update is registered without people who were suppressed while it was made, and never over another champion."""

from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.evaluation.config import DriftLimits
from tailor.evaluation.update_rules import UpdateEvidence
from tailor.metrics.significance import paired_bootstrap
from tailor.registry import update as registry
from tailor.serving.people import without_suppressed
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.serving.update import with_interactions
from tests.unit.serving.conftest import hybrid, recommender_of, weights

DRIFT = pd.DataFrame({"distribution": ["popularity"], "psi": [0.01], "chance": [0.0]})
NO_USERS = paired_bootstrap(np.array([]), np.array([]))
EVIDENCE = UpdateEvidence(NO_USERS, NO_USERS, float("nan"))


@pytest.fixture(scope="module")
def before(tables):
    return recommender_of(
        tables, hybrid(weights(ials=0.6, ease=0.2, popular=0.2)).fit(tables.train_set), about={"seed": 0}
    )


@pytest.fixture(scope="module")
def person(before):
    """A known user with new rows."""
    return str(before.user_ids[3])


@pytest.fixture(scope="module")
def update(before, person):
    rows = [(user, item, 2e9) for user in (person, "newer") for item in ("i3", "i7", "i11")]
    rows = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return with_interactions(before, rows, 1).until(17)


class Registry:
    """A store of MLflow whose packages are written without their code, and a suppression list that grows."""

    def __init__(self, name, folder, people):
        self.name, self.folder, self.client = name, folder, mlflow.MlflowClient()
        self.list, self.people = SuppressionList(), people
        """People who are suppressed when the list has been read so often."""
        self.n_reads = 0

    def suppressed(self):
        self.n_reads += 1
        if self.n_reads in self.people:
            self.list = SuppressionList.of(self.people[self.n_reads], b"k" * 32)
        return self.list

    def log_package(self, recommender, name):
        number = len(list(self.folder.iterdir())) + 1
        recommender.save(self.folder / str(number))
        version = self.client.create_model_version(name, str(self.folder / str(number)))
        return SimpleNamespace(registered_model_version=version.version)

    @property
    def champion(self):
        return str(self.client.get_model_version_by_alias(self.name, "champion").version)

    @property
    def versions(self):
        return sorted(str(one.version) for one in self.client.search_model_versions(f"name = '{self.name}'"))

    def load(self, number):
        return Recommender.load(self.folder / number)

    def register(self, update):
        return registry.register_update(update, DRIFT, EVIDENCE, go.Figure(), DriftLimits(), self.name, self.suppressed)


@pytest.fixture
def registry_of(experiment, before, tmp_path, monkeypatch):
    """Makes a registry whose champion, version 1, is what it was before the update."""

    def make(people):
        (tmp_path / "packages").mkdir()
        made = Registry(f"shop-{experiment}", tmp_path / "packages", people)
        monkeypatch.setattr(registry, "log_package", made.log_package)
        made.client.create_registered_model(made.name)
        made.log_package(before, made.name)
        made.client.set_registered_model_alias(made.name, "champion", "1")
        return made

    with mlflow.start_run(experiment_id=experiment):
        yield make


def test_where_nobody_is_suppressed_one_version_is_made(update, registry_of):
    store = registry_of({})
    outcome = store.register(update)
    assert (outcome["version"], outcome["alias"], outcome["replaced_version"]) == ("2", "champion", "1")
    assert store.versions == ["1", "2"]
    assert store.n_reads == 3


@pytest.mark.parametrize("read", [1, 2, 3], ids=["before the package", "while it is written", "as the alias moves"])
def test_who_is_suppressed_after_the_fit_is_in_no_version_that_stays(before, update, person, registry_of, read, caplog):
    caplog.set_level("INFO")
    store = registry_of({read: [person]})
    outcome = store.register(update)
    number = {1: "2", 2: "3", 3: "3"}[read]
    assert (outcome["version"], store.champion, store.versions) == (number, number, ["1", number])
    assert outcome["replaced_version"] == "1"
    assert outcome["events_until"] == "17"
    assert outcome["people suppressed while it was made, and left out"] == 1
    assert outcome["interactions"] == 3
    n_known = int(np.diff(before.histories.history.indptr)[3])
    expected = f"made: 1; it is made again without their 3 new rows and {n_known} known interactions"
    assert expected in caplog.text
    assert person not in caplog.text
    registered = store.load(number)
    assert person not in registered.user_ids
    assert "newer" in registered.user_ids
    # Nothing is left of the rows: it is the update of a champion that did not know the person.
    began_later = with_interactions(
        without_suppressed(before, store.list).recommender, update.rows[update.rows["user_id"] != person], 1
    ).recommender
    users = [Request("newer"), Request(str(before.user_ids[0])), Request()]
    ours, theirs = registered.recommend(users, Settings(k=20)), began_later.recommend(users, Settings(k=20))
    assert [answer.item_ids for answer in ours] == [answer.item_ids for answer in theirs]
    assert (
        registered.popularity.sum() == began_later.popularity.sum() == update.recommender.popularity.sum() - 3 - n_known
    )


@pytest.mark.parametrize("read", [1, 3])
def test_where_only_rows_of_suppressed_people_are_left_nothing_stays_registered(before, update, registry_of, read):
    store = registry_of({read: [str(before.user_ids[3]), "newer"]})
    with pytest.raises(BadInputError, match="all new rows are of people who asked to be forgotten while the update"):
        store.register(update)
    assert (store.champion, store.versions) == ("1", ["1"])


def test_an_update_of_a_champion_that_is_none_any_more_is_refused(before, update, registry_of, monkeypatch):
    store = registry_of({})
    log_package = registry.log_package

    def forgotten_meanwhile(recommender, name):
        made = log_package(recommender, name)
        log_package(before, name)
        store.client.set_registered_model_alias(name, "champion", "3")
        return made

    monkeypatch.setattr(registry, "log_package", forgotten_meanwhile)
    outcome = store.register(update)
    assert (outcome["version"], outcome["alias"], store.champion) == ("2", "challenger", "3")
    assert "fails: version 3 became the champion while this update of another one was made" in outcome["reasons"][1]


def test_an_update_of_another_model_than_the_champion_is_refused(update, registry_of, monkeypatch):
    store = registry_of({})
    monkeypatch.setattr(registry, "logged_model_id", lambda *_: "m-now")
    assert store.register(update.of("m-then"))["alias"] == "challenger"
    assert store.register(replace(update, model_id="m-now"))["alias"] == "champion"
