"""A folder on any file system, and a package index of one wheel."""

import os
import zipfile

import fsspec
import pytest


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index of one wheel, on disk; no other index can be reached."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "planted_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("planted_data/table.inter", "user_id:token\titem_id:token\n1\ta\n2\tb\n")
        archive.writestr("planted_data/empty.inter", "")
        archive.writestr(
            "planted_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: planted-data\nVersion: 1.0\n"
        )
        archive.writestr("planted_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("planted_data-1.0.dist-info/RECORD", "")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return wheel


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    """A folder on the local file system, or in memory."""
    if request.param == "local":
        yield str(tmp_path)
        return
    memory = fsspec.filesystem("memory")
    yield "memory://shop"
    memory.rm("/shop", recursive=True)
    assert not memory.find("/"), "something was written outside the folder"
