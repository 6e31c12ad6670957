"""A package: what is written is read again, and what was damaged, exchanged or is not known is refused."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tailor._version import __version__
from tailor.errors import BadInputError
from tailor.serving import package as package_module
from tailor.serving.package import FORMAT, verify_code, verify_manifest, write_code_hashes, write_manifest
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import listed


@pytest.fixture
def package(served, tmp_path):
    """A package without an encoder."""
    replace(served, encoder_of=None).save(tmp_path / "package")
    return tmp_path / "package"


def change_about(package, **about):
    path = package / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | about))
    write_manifest(package)


def change_model(package, change):
    """Rewrite the recipes in the header of the model's file."""
    path = package / "model.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    recipes = json.loads(metadata["models"])
    change(recipes["model"], arrays)
    save_file(arrays, path, metadata=metadata | {"models": json.dumps(recipes), "tailor_version": "9.9"})
    write_manifest(package)


def is_mapped(array) -> bool:
    return isinstance(array, np.memmap) or (array is not None and is_mapped(array.base))


def test_saved_and_loaded_without_pickle(served, package, known):
    assert sorted(path.name for path in package.iterdir()) == [
        "about.json",
        "histories.safetensors",
        "ids.npz",
        "items.parquet",
        "manifest.json",
        "model.safetensors",
    ]
    np.load(package / "ids.npz", allow_pickle=False)
    loaded = Recommender.load(package)
    sources = loaded.model.sources
    for array in (loaded.histories.history.data, sources["ease"].weights, sources["ials"].item_factors):
        assert not array.flags.writeable
        assert is_mapped(array)
    assert loaded.about == served.about | {"format": FORMAT, "tailor_version": __version__}
    requests = [Request(known), Request(None, ["i1"]), Request(), Request(filters={"year": {"min": 2000}})]
    for settings in (Settings(k=9), Settings(tail_boost=0.5), Settings(rerank={"method": "mmr", "strength": 0.4})):
        assert loaded.recommend(requests, settings) == served.recommend(requests, settings)
    assert listed(loaded, Request(known), explain=True).explanations[0]["sources"]
    assert loaded.histories.order is not None


def test_a_model_that_is_no_hybrid_is_packaged_too(popular, tmp_path):
    popular.save(tmp_path / "package")
    assert not (tmp_path / "package/items.parquet").exists()
    loaded = Recommender.load(tmp_path / "package")
    assert listed(loaded, Request()) == listed(popular, Request())


def test_the_encoder_goes_with_it(served, tmp_path):
    served.save(tmp_path / "package")
    assert (tmp_path / "package/encoder/kept.txt").is_file()


def test_a_damaged_package_is_refused_by_its_hash(package):
    ids = package / "ids.npz"
    ids.write_bytes(ids.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInputError, match=r"Damaged package: ids\.npz is not what was registered"):
        Recommender.load(package)
    (package / "manifest.json").unlink()
    with pytest.raises(BadInputError, match=r"manifest\.json is missing"):
        Recommender.load(package)


@pytest.mark.parametrize("name", ["model.safetensors", "histories.safetensors", "ids.npz"])
def test_a_package_without_one_of_its_files_is_refused(package, name):
    (package / name).unlink()
    write_manifest(package)
    with pytest.raises(BadInputError, match=f"The package has no {name}: another version of Tailor wrote it"):
        Recommender.load(package)


def test_a_package_of_a_newer_format_is_refused_with_its_version(package):
    change_about(package, format=FORMAT + 1, tailor_version="7.3.1")
    with pytest.raises(BadInputError) as refused:
        Recommender.load(package)
    assert str(refused.value) == (
        f"The package was written by Tailor 7.3.1, this is {__version__}. Install that version."
    )


def test_a_package_without_its_plug_in_is_refused(package):
    change_about(package, plugins=["no_such_shop.sources"])
    with pytest.raises(BadInputError) as refused:
        Recommender.load(package)
    message = str(refused.value)
    start = f"The package, written by Tailor {__version__} and read by {__version__}, needs a plug-in: "
    assert message.startswith(f"{start}plugins names 'no_such_shop.sources', but there is no module 'no_such_shop'.")
    assert "\n" not in message


def test_an_unknown_source_is_refused_with_name_and_version(package):
    def rename(recipe, arrays):
        recipe["config"]["sources"]["trending"] = recipe["config"]["sources"].pop("slit")
        for key in [key for key in arrays if "slit" in key]:
            arrays[key.replace("slit", "trending")] = arrays.pop(key)

    change_model(package, rename)
    words = rf"model\.safetensors was written by Tailor 9\.9 and cannot be read by {__version__}: .*'trending'"
    with pytest.raises(BadInputError, match=words):
        Recommender.load(package)


def test_a_weight_of_a_source_that_the_model_does_not_have_is_refused(package):
    """A weight that nobody reads would change the scores without a word."""

    def leave_out(recipe, _):
        del recipe["config"]["sources"]["ease"]

    change_model(package, leave_out)
    words = r"written by Tailor 9\.9 .*The blend weighs sources that this model does not have: ease\. It has: ials"
    with pytest.raises(BadInputError, match=words):
        Recommender.load(package)


def test_an_unknown_model_is_refused_with_name_and_version(package):
    def rename(recipe, _):
        recipe["model"] = "hybird"

    change_model(package, rename)
    words = rf"written by Tailor 9\.9 and cannot be read by {__version__}: No model 'hybird'\. Did you mean 'hybrid'"
    with pytest.raises(BadInputError, match=words):
        Recommender.load(package)


def test_an_unknown_option_is_refused_with_name_and_version(package):
    def add(recipe, _):
        recipe["config"]["colour"] = "red"

    change_model(package, add)
    with pytest.raises(BadInputError, match=r"written by Tailor 9\.9 .*'model\.colour' does not exist"):
        Recommender.load(package)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is missing or unreadable"),
        ("[]", "is no mapping"),
        ("null", "is no mapping"),
        ('{"format": "2"}', "has format '2', which is no number from 1 on"),
    ],
)
def test_an_unreadable_about_is_refused(package, text, words):
    (package / "about.json").write_text(text)
    write_manifest(package)
    with pytest.raises(BadInputError, match=rf"about\.json {words}"):
        Recommender.load(package)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("{", "is missing or unreadable"),
        ("[]", "is no mapping"),
        ("null", "is no mapping"),
        ('{"a.txt": 3}', "has no mapping from files to hashes"),
        ('{"a.txt": "0"}', "a.txt is not what was registered"),
        ("{}", "a.txt is not what was registered"),
        ('{"format": 2}', "has no mapping from files to hashes"),
        ('{"format": 2, "files": null}', "has no mapping from files to hashes"),
        ('{"format": 2, "files": ["a.txt"]}', "has no mapping from files to hashes"),
        ('{"format": 2, "files": {"a.txt": null}}', "has no mapping from files to hashes"),
        ('{"format": 2, "files": {}}', "a.txt is not what was registered"),
        ('{"format": null, "files": {}}', "has format None, which is no number from 1 on"),
        (
            '{"format": 9, "files": {}}',
            "has format 9, this is .* Install the version that wrote the package",
        ),
    ],
)
def test_broken_manifests_are_refused_in_one_sentence(tmp_path, manifest, words):
    (tmp_path / "a.txt").write_text("a")
    write_manifest(tmp_path)
    verify_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(BadInputError, match=words):
        verify_manifest(tmp_path)


def test_a_manifest_says_its_format_and_one_without_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    write_manifest(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest == {"format": FORMAT, "files": {"a.txt": hashlib.sha256(b"a").hexdigest()}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest["files"]))
    verify_manifest(tmp_path)


@pytest.mark.parametrize("target", ["file", "folder", "manifest"])
def test_symbolic_links_that_lead_out_are_refused(tmp_path, target):
    package, outside = tmp_path / "package", tmp_path / "outside"
    (package / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "a.txt").write_text("a")
    (package / "inner/a.txt").write_text("a")
    write_manifest(package)
    linked = {"file": "inner/a.txt", "folder": "inner", "manifest": "manifest.json"}[target]
    (package / linked).rename(outside / "moved")
    (package / linked).symlink_to(outside / "moved")
    with pytest.raises(BadInputError, match=f"{linked} is a symbolic link"):
        verify_manifest(package)


def test_symbolic_links_are_refused(tmp_path):
    (tmp_path / "package/inner").mkdir(parents=True)
    (tmp_path / "package/a.txt").write_text("a")
    write_manifest(tmp_path / "package")
    (tmp_path / "package/inner/b.txt").symlink_to(tmp_path / "package/a.txt")
    with pytest.raises(BadInputError, match=r"inner/b\.txt is a symbolic link"):
        verify_manifest(tmp_path / "package")
    with pytest.raises(BadInputError, match="is a symbolic link"):
        write_manifest(tmp_path / "package")


@pytest.mark.parametrize(
    ("choice", "student", "encoder"), [("static", "the student", "the student"), ("tuned", "the student", None)]
)
def test_words_are_read_by_the_token_table_only_where_that_is_asked_for(
    tmp_path, monkeypatch, choice, student, encoder
):
    monkeypatch.setenv(package_module.ENCODER_VARIABLE, choice)
    chosen = package_module._encoder_of(tmp_path, student)
    assert (chosen and chosen()) == encoder


def test_the_tuned_encoder_is_loaded_when_words_come(tmp_path, monkeypatch):
    monkeypatch.delenv(package_module.ENCODER_VARIABLE, raising=False)
    monkeypatch.setattr(package_module, "_load_encoder", lambda folder: f"loaded from {folder.name}")
    assert package_module._encoder_of(tmp_path, "the student") is None
    (tmp_path / package_module.ENCODER).mkdir()
    assert package_module._encoder_of(tmp_path, "the student")() == f"loaded from {package_module.ENCODER}"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("static", "TAILOR_ENCODER=static: known are tuned and static; this model was packaged without a token table"),
        ("frozen", "TAILOR_ENCODER=frozen: known are tuned and static"),
    ],
)
def test_an_encoder_that_is_not_there_is_refused(tmp_path, monkeypatch, choice, words):
    monkeypatch.setenv(package_module.ENCODER_VARIABLE, choice)
    with pytest.raises(BadInputError) as refused:
        package_module._encoder_of(tmp_path, None)
    assert str(refused.value) == words


@pytest.fixture
def stored(package, tmp_path):
    """A package in a store, with the code beside it."""
    (tmp_path / "code/tailor").mkdir(parents=True)
    (tmp_path / "code/tailor/a.py").write_text("a = 1")
    (tmp_path / "model.py").write_text("b = 1")
    write_code_hashes(package, tmp_path / "code", tmp_path / "model.py")
    return tmp_path


def changed(path):
    path.write_text("a = 2")


def test_the_code_beside_a_package_is_what_was_registered(stored, package):
    verify_manifest(package)
    (stored / "code/tailor/__pycache__").mkdir()
    (stored / "code/tailor/__pycache__/a.pyc").touch()
    (stored / "other.yaml").touch()
    verify_code(package, stored.joinpath)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("code/tailor/a.py", changed),
        ("code/tailor/a.py", lambda path: path.unlink()),
        ("code/tailor/b.py", changed),
        ("model.py", changed),
    ],
    ids=["changed", "missing", "unexpected", "changed beside"],
)
def test_other_code_is_refused_by_name(stored, package, name, change):
    change(stored / name)
    with pytest.raises(BadInputError, match=f"^Damaged package: {name} is not what was registered"):
        verify_code(package, stored.joinpath)


def test_the_hashes_of_code_are_part_of_the_package(stored, package):
    hashes = json.loads((package / "code.json").read_text())
    assert hashes["model.py"] == hashlib.sha256(b"b = 1").hexdigest()
    (package / "code.json").write_text(json.dumps(hashes | {"model.py": hashlib.sha256(b"b = 2").hexdigest()}))
    with pytest.raises(BadInputError, match=r"Damaged package: code\.json"):
        verify_manifest(package)


def test_a_package_that_says_nothing_of_its_code_is_read(package, tmp_path):
    verify_code(package, tmp_path.joinpath)


@pytest.mark.parametrize("number", [1, 2])
def test_packages_of_former_formats_are_read(package, number):
    change_about(package, format=number)
    manifest = json.loads((package / "manifest.json").read_text())
    (package / "manifest.json").write_text(json.dumps(manifest | {"format": number}))
    assert Recommender.load(package).about["format"] == number
