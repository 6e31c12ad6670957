"""Who is to be forgotten comes from a file or from the list; a fit without them is made on request alone."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tailor.data.people import NOBODY, People, Pseudonyms, SuppressionList
from tailor.errors import BadInputError, ConfigurationError
from tailor.pipelines.forget import nodes
from tailor.serving.people import Forgotten


@pytest.fixture
def champion():
    model = SimpleNamespace(recommender=SimpleNamespace(people=People()))
    return SimpleNamespace(unwrap_python_model=lambda: model, model_id="m-1")


def test_people_of_a_file_are_named_as_the_champion_knows_them(champion, tmp_path):
    file = tmp_path / "ids.txt"
    file.write_text("u1\n7.0\n")
    assert nodes.suppress(champion, {}) == []
    assert nodes.suppress(champion, {"file": str(file)}) == ["u1", "7"]
    names = Pseudonyms(b"p" * 32)
    champion.unwrap_python_model().recommender.people = People(pseudonyms=names)
    assert nodes.suppress(champion, {"file": str(file)}) == ["u1", names.of("u1"), "7", names.of("7")]
    with pytest.raises(BadInputError, match=r"none\.txt cannot be read"):
        nodes.suppress(champion, {"file": str(tmp_path / "none.txt")})
    with pytest.raises(ConfigurationError, match=r"'forget\.fil' does not exist\. Did you mean 'file'"):
        nodes.suppress(champion, {"fil": "x"})


@pytest.mark.parametrize(("refit", "n_users", "fitted"), [(False, 1, False), (True, 1, True), (True, 0, False)])
def test_a_fit_is_made_on_request_and_only_where_somebody_went(champion, monkeypatch, refit, n_users, fitted):
    forgotten = Forgotten(SimpleNamespace(), {"users": n_users, "interactions": 3 * n_users})
    monkeypatch.setattr(nodes, "without_suppressed", lambda model, suppressed: forgotten)
    monkeypatch.setattr(nodes.forget, "refitted", lambda model: "fitted anew")
    made = nodes.take_out(champion, NOBODY, {"refit": refit})
    assert (made.recommender == "fitted anew") == fitted
    assert (made.counts, made.model_id) == (forgotten.counts, "m-1")


def test_folders_come_from_the_parameters(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(nodes.holders, "find_holders", lambda *arguments: asked.append(arguments) or [])
    listed = SuppressionList.of(["u1"], b"k" * 32)
    params = {"data": str(tmp_path), "raw": "there"}
    table = nodes.list_holders({"name": "shop"}, listed, params, None, "sqlite:///x.db")
    assert isinstance(table, pd.DataFrame)
    ((name, suppressed, folders),) = asked
    assert (name, suppressed) == ("shop", listed)
    assert (folders.data, str(folders.raw), folders.checkpoints) == (tmp_path, "there", None)
    assert folders.searches == "sqlite:///x.db"
