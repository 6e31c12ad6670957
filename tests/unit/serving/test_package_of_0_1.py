"""A package that 0.1 wrote is served by this version, with the answers that 0.1 gave."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import tailor
from tailor.errors import BadInputError
from tailor.models import legacy
from tailor.serving.package import write_manifest
from tests.conftest import ROOT

PACKAGE = ROOT / "tests/data/package_0_1"
ANSWERS = json.loads((ROOT / "tests/data/package_0_1_answers.json").read_text())
READ_BY = r"model\.safetensors was written by Tailor 0\.1\.0 and cannot be read by \S+: "
REQUESTS = [tailor.Request(**request) for request in ANSWERS["requests"]]


@pytest.fixture(scope="module")
def recommender():
    return tailor.load(str(PACKAGE))


@pytest.mark.parametrize("case", ANSWERS["expected"], ids=lambda case: ",".join(case["settings"]))
def test_it_answers_as_it_did(recommender, case):
    answers = recommender.recommend(REQUESTS, tailor.Settings(**legacy.rename_boosts(case["settings"])))
    for answer, expected in zip(answers, case["answers"], strict=True):
        assert answer.item_ids == expected["item_ids"]
        assert answer.path in (expected["path"], "popular")  # 0.1 did not say that popularity carried a list
        assert answer.reasons == expected["reasons"]
        np.testing.assert_allclose(answer.scores, expected["scores"], rtol=1e-5, atol=1e-5)


def test_every_path_and_boost_of_0_1_is_among_the_cases():
    paths = {answer["path"] for case in ANSWERS["expected"] for answer in case["answers"]}
    assert paths == {"known_user", "fold_in", "profile", "popular"}
    settings = {name for case in ANSWERS["expected"] for name in case["settings"]}
    assert settings >= {"tail_weight", "cold_exposure", "personal_weight"}


def test_its_scenarios_are_read_under_todays_names(recommender):
    boosts = {"tail_boost": 0.5, "cold_boost": 0.5, "popularity_debias": 0.3}
    rerank = {"rerank": {"method": "mmr", "strength": 0.2}}
    assert recommender.about["scenarios"] == {"discover": boosts | rerank}
    by_name = recommender.recommend(REQUESTS, tailor.Settings(scenario="discover"))
    assert by_name == recommender.recommend(REQUESTS, tailor.Settings(**boosts, **rerank))


def test_it_is_written_as_a_package_of_today(recommender, tmp_path):
    recommender.save(tmp_path / "package")
    again = tailor.load(str(tmp_path / "package"))
    assert again.recommend(REQUESTS) == recommender.recommend(REQUESTS)


def change_engines(folder, change):
    path = folder / "model.safetensors"
    with safe_open(path, framework="numpy") as file:
        engines = json.loads(file.metadata()["engines"])
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    change(engines["model"], arrays)
    save_file(arrays, path, metadata={"engines": json.dumps(engines)})
    write_manifest(folder)


def test_a_model_that_0_1_did_not_have_is_refused(tmp_path):
    folder = shutil.copytree(PACKAGE, tmp_path / "package")

    def rename(recipe, _):
        recipe["engine"] = "Hybird"

    change_engines(folder, rename)
    with pytest.raises(
        BadInputError,
        match=rf"{READ_BY}no model 'Hybird'\. Known of 0\.1: .*Hybrid",
    ):
        tailor.load(str(folder))


def test_weights_of_more_sources_than_0_1_had_are_refused(tmp_path):
    """0.1 told sources apart by their place alone."""
    folder = shutil.copytree(PACKAGE, tmp_path / "package")

    def add(_, arrays):
        arrays["model/gate/base"] = np.append(arrays["model/gate/base"], np.float32(0.5))

    change_engines(folder, add)
    with pytest.raises(BadInputError, match=rf"{READ_BY}it weighs 9 sources, 0\.1 had 8"):
        tailor.load(str(folder))


def test_places_that_are_all_alike_say_that_no_order_was_known(recommender, tmp_path):
    assert recommender.histories.order is not None
    folder = tmp_path / "package"
    shutil.copytree(PACKAGE, folder)
    path = folder / "history.safetensors"
    with safe_open(path, framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    places = arrays["data"]
    for values, ordered in ((np.ones_like(places), False), (np.where(np.arange(len(places)), 1, 2), True)):
        save_file(arrays | {"data": values.astype(places.dtype)}, path)
        write_manifest(folder)
        histories = tailor.load(str(folder)).histories
        assert (histories.order is not None) == ordered
        assert (histories.history != recommender.histories.history).nnz == 0
