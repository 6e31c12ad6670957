"""Modules of one's own: found by name, copied into packages, found there where they are not installed."""

import sys

import pytest

from tailor.errors import ConfigurationError
from tailor.plugins import copy_plugins, load_plugins, plugin_files


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A package and a module, on the path; forgotten afterwards."""
    folder = tmp_path / "src"
    (folder / "ts_shop/inner").mkdir(parents=True)
    (folder / "ts_shop/__init__.py").touch()
    (folder / "ts_shop/sources.py").write_text("from ts_shop.inner import VALUE\n")
    (folder / "ts_shop/inner/__init__.py").write_text("VALUE = 3\n")
    (folder / "ts_single.py").write_text("VALUE = 4\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    yield folder
    forget()


def forget():
    for name in [name for name in sys.modules if name.startswith("ts_")]:
        del sys.modules[name]


def test_they_are_imported_by_name(modules):
    assert load_plugins(["ts_shop.sources", "ts_single"]) == ["ts_shop.sources", "ts_single"]
    assert sys.modules["ts_shop.sources"].VALUE == 3
    assert load_plugins([]) == []


def test_one_that_is_not_there_is_refused_with_where_to_put_it(modules):
    with pytest.raises(ConfigurationError, match=r"plugins names 'ts_nowhere', but there is no module 'ts_nowhere'"):
        load_plugins(["ts_nowhere"])
    (modules / "ts_shop/broken.py").write_text("import ts_missing\n")
    with pytest.raises(
        ConfigurationError, match=r"plugins names 'ts_shop.broken', but there is no module 'ts_missing'"
    ):
        load_plugins(["ts_shop.broken"])


def test_copies_serve_where_they_are_not_on_the_path(modules, tmp_path, monkeypatch):
    load_plugins(["ts_shop.sources", "ts_single"])
    copy_plugins(["ts_shop.sources", "ts_shop", "ts_single", "tailor.models.ease"], tmp_path / "copies")
    files = {path.relative_to(tmp_path / "copies").as_posix() for path in (tmp_path / "copies").rglob("*.py")}
    assert files == {"ts_shop/__init__.py", "ts_shop/sources.py", "ts_shop/inner/__init__.py", "ts_single.py"}
    assert not list((tmp_path / "copies").rglob("__pycache__"))
    forget()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(modules)])
    with pytest.raises(ConfigurationError, match="ts_shop"):
        load_plugins(["ts_shop.sources"], tmp_path / "no copies")
    load_plugins(["ts_shop.sources", "ts_single"], tmp_path / "copies")
    assert sys.modules["ts_shop.sources"].__file__.startswith(str(tmp_path / "copies"))


def test_what_is_on_the_path_comes_before_a_copy(modules, tmp_path):
    copy_plugins(["ts_single"], tmp_path / "copies")
    (tmp_path / "copies/ts_single.py").write_text("VALUE = 5\n")
    forget()
    load_plugins(["ts_single"], tmp_path / "copies")
    assert sys.modules["ts_single"].VALUE == 4


def test_nothing_is_copied_of_what_has_no_plug_ins(tmp_path):
    copy_plugins([], tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


def test_a_module_without_a_file_cannot_be_packaged(modules):
    (modules / "ts_bare").mkdir()
    (modules / "ts_bare/sources.py").touch()
    load_plugins(["ts_bare.sources"])
    with pytest.raises(ConfigurationError, match=r"'ts_bare.sources', whose package has no __init__.py"):
        plugin_files(["ts_bare.sources"])
