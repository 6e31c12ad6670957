"""Fitted models in one file; what every model comes back as is part of ModelTests."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy import sparse

from tailor import __version__
from tailor.errors import BadInputError, ConfigurationError
from tailor.models.base import Query
from tailor.models.popular import Popular
from tailor.models.store import load_models, map_arrays, save_models, sparse_from_state, sparse_state
from tests.recipes import MODELS, make


def rewritten(path, change, version="7.8.9"):
    """The file with ``change`` applied to its recipes, as if another version had written it."""
    with safe_open(path, framework="numpy") as file:
        recipes = json.loads(file.metadata()["models"])
    change(recipes)
    other = path.with_name("rewritten.safetensors")
    save_file(load_file(path), other, metadata={"models": json.dumps(recipes), "tailor_version": version})
    return other


@pytest.fixture(scope="module")
def saved(tables, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "models.safetensors"
    save_models(path, {"a": make("ease").fit(tables.train_set)})
    return path


def test_all_models_of_a_run_stand_in_one_file(tables, tmp_path):
    fitted = {name: make(name).fit(tables.train_set) for name in MODELS}
    save_models(tmp_path / "models.safetensors", fitted)
    loaded = load_models(tmp_path / "models.safetensors")
    query = tables.train_set.queries().take(slice(0, 5))
    assert list(loaded) == list(fitted)
    for name, model in loaded.items():
        scores = fitted[name].score(query.take(slice(0, 5)))
        np.testing.assert_allclose(model.score(query), scores, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_file_says_who_wrote_it_and_by_which_recipes(saved):
    with safe_open(saved, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["tailor_version"] == __version__
    recipe = json.loads(metadata["models"])["a"]
    assert (recipe["model"], recipe["seed"], recipe["config"]["regularization"]) == ("ease", 0, 20.0)


def test_mapped_arrays_are_the_saved_ones(saved):
    mapped, read = map_arrays(saved), load_file(saved)
    assert list(mapped) == list(read) == ["a/weights"]
    np.testing.assert_array_equal(mapped["a/weights"], read["a/weights"])
    with pytest.raises(ValueError, match="read-only"):
        mapped["a/weights"][0] = 1


def test_single_numbers_and_empty_arrays_keep_their_shapes(tmp_path):
    arrays = {"number": np.array(0.5), "empty": np.zeros((0, 3), np.float32), "mask": np.array([True, False])}
    save_file(arrays, tmp_path / "x.safetensors")
    for name, array in map_arrays(tmp_path / "x.safetensors").items():
        assert array.shape == arrays[name].shape
        np.testing.assert_array_equal(array, arrays[name])


def test_a_file_without_models_is_refused(tmp_path):
    save_file({"x": np.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(BadInputError, match=r"x.safetensors holds no models. Rerun the pipeline that writes it"):
        load_models(tmp_path / "x.safetensors")


def test_a_model_that_this_version_does_not_know_is_refused_with_both_versions(saved):
    path = rewritten(saved, lambda recipes: recipes["a"].update(model="eese"))
    message = rf"was written by Tailor 7\.8\.9 and cannot be read by {__version__}: No model 'eese'.*'ease'"
    with pytest.raises(BadInputError, match=message):
        load_models(path)


def test_an_option_that_this_version_does_not_know_is_refused_with_both_versions(saved):
    path = rewritten(saved, lambda recipes: recipes["a"]["config"].update({"lambda": 1}))
    with pytest.raises(BadInputError, match=rf"Tailor 7\.8\.9 .* {__version__}: Parameter 'a.lambda' does not exist"):
        load_models(path)


def test_a_missing_array_is_named(saved, tmp_path):
    path = tmp_path / "broken.safetensors"
    with safe_open(saved, framework="numpy") as file:
        metadata = file.metadata()
    save_file({"other": np.zeros(1)}, path, metadata=metadata)
    with pytest.raises(BadInputError, match=r"cannot be read by .*: no array 'weights'"):
        load_models(path)


def test_a_model_without_a_name_of_its_own_is_not_saved_as_its_parent(tables, tmp_path):
    class Newest(Popular):
        pass

    with pytest.raises(ConfigurationError, match=r"Newest cannot be saved: .* @register_model"):
        save_models(tmp_path / "x.safetensors", {"newest": Newest().fit(tables.train_set)})


def test_sparse_matrices_survive_as_arrays():
    matrix = sparse.csr_matrix(np.array([[0, 2, 0], [1, 0, 0]], np.float32))
    state = sparse_state("items", matrix)
    again = sparse_from_state(state | {"other/data": np.zeros(3)}, "items")
    np.testing.assert_array_equal(again.toarray(), matrix.toarray())
    assert Query.of(again).n_items == 3
