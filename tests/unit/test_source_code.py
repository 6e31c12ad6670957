"""What the code of a function is."""

import functools
from pathlib import Path

import pytest

from tailor import source_code


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package called tailor, of five modules and a template."""
    root = tmp_path / "tailor"
    files = {
        "__init__.py": "",
        "top.py": "from tailor import low\n\ndef run():\n    from tailor.models import build\n",
        "low.py": "import os\n",
        "models/__init__.py": "",
        "models/build.py": 'import importlib\nimportlib.import_module(f"tailor.models.{1}")\nPAGE = "page.html"\n',
        "models/ease.py": "x = 1\n",
        "models/page.html": "<p>",
        "other.py": "y = 1\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(source_code, "_ROOT", root)
    source_code.files_of.cache_clear()
    yield root
    source_code.files_of.cache_clear()


def names(root: Path, module: str) -> set[str]:
    return {path.relative_to(root).as_posix() for path in source_code.files_of(module)}


def test_imports_names_in_strings_and_templates_are_followed(package):
    assert names(package, "tailor.top") == {
        "top.py",
        "low.py",
        "models/build.py",
        "models/ease.py",
        "models/__init__.py",
        "models/page.html",
    }
    assert names(package, "tailor.low") == {"low.py"}


@pytest.mark.parametrize(
    ("file", "changes"),
    [("low.py", True), ("models/ease.py", True), ("models/page.html", True), ("other.py", False)],
)
def test_a_hash_changes_with_what_the_module_leads_to(package, file, changes):
    before = source_code.source_hash("tailor.top")
    (package / file).write_text((package / file).read_text() + "# more\n")
    assert (source_code.source_hash("tailor.top") != before) == changes


def test_the_place_of_a_clone_is_no_matter(package, tmp_path, monkeypatch):
    before = source_code.source_hash("tailor.top")
    package.rename(tmp_path / "moved")
    monkeypatch.setattr(source_code, "_ROOT", tmp_path / "moved")
    monkeypatch.setattr(source_code, "_PACKAGE", "tailor")
    source_code.files_of.cache_clear()
    assert source_code.source_hash("tailor.top") == before


def test_modules_of_others_are_hashed_by_their_file():
    assert source_code.source_hash("json") != source_code.source_hash("ast")
    assert source_code.source_hash("sys") == "unknown"


def test_functions_of_one_module_differ_and_a_partial_is_its_function():
    parse, files = (
        source_code.function_hash(source_code.plugins_hash),
        source_code.function_hash(source_code.files_hash),
    )
    assert parse != files
    assert source_code.function_hash(functools.partial(source_code.files_hash, [])) == files


def test_plugins_are_hashed_as_whole_packages(tmp_path, monkeypatch):
    folder = tmp_path / "planted_plugin"
    folder.mkdir()
    for name in ("__init__.py", "deep.py"):
        (folder / name).write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = source_code.plugins_hash(["planted_plugin"])
    (folder / "deep.py").write_text("x = 1")
    assert source_code.plugins_hash(["planted_plugin"]) != before
    assert source_code.plugins_hash([]) == source_code.plugins_hash([])


def test_fitting_does_not_depend_on_evaluation_nor_the_data_on_serving():
    """What makes a change of evaluation cheap: nothing before it is fitted again."""
    fitted = {path.as_posix() for path in source_code.files_of("tailor.pipelines.hybrid_cf.nodes")}
    assert any(path.endswith("models/demographic.py") for path in fitted)  # known by name only
    assert not any("/tailor/evaluation/" in path or "/tailor/serving/" in path for path in fitted)
    tuned = {path.as_posix() for path in source_code.files_of("tailor.pipelines.lm_finetuning.nodes")}
    assert not any("/tailor/hybrid/" in path for path in tuned)


def test_a_file_that_many_modules_lead_to_is_parsed_once(package, monkeypatch):
    parsed, parse = [], source_code.ast.parse
    monkeypatch.setattr(source_code.ast, "parse", lambda text: parsed.append(text) or parse(text))
    assert names(package, "tailor.top") > names(package, "tailor.models.build")
    assert len(parsed) == 5  # top, low, build, ease, models/__init__
    (package / "low.py").write_text("import re\n")
    source_code.files_of.cache_clear()
    assert names(package, "tailor.top") > names(package, "tailor.models.build")
    assert len(parsed) == 6  # the one that was changed
