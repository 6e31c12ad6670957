"""What files of entries share, for each kind of them: written by several at once, damaged, locked."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tailor.datasets.costs import NodeCostsDataset
from tailor.datasets.fingerprints import FingerprintsDataset
from tailor.errors import BadInputError

ENTRIES = {
    NodeCostsDataset: {"seconds": 2.5, "peak_gib": 1.25},
    FingerprintsDataset: {"inputs": {"code": "c"}, "identity": "a", "run": "r", "made_at": "1"},
}
WRITER = """
import json, sys
from tailor import datasets
kind, path, who, entry = sys.argv[1:]
file = getattr(datasets, kind)(filepath=path)
for number in range(40):
    file.update({f"{who}{number}": json.loads(entry)})
"""


@pytest.fixture(params=ENTRIES, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def entry(kind):
    return ENTRIES[kind]


@pytest.fixture
def file(kind, root):
    return kind(filepath=f"{root}/data/entries.json")


def test_an_absent_file_has_none_and_what_is_written_comes_back(file, entry):
    assert file.known() == {}
    file.update({"items": entry})
    file.update({"users": entry})
    assert file.load() == {"items": entry, "users": entry}


def test_two_runs_at_once_lose_nothing(tmp_path, kind, entry):
    path, words = tmp_path / "entries.json", json.dumps(entry)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, kind.__name__, str(path), who, words]) for who in "ab"]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0]
    assert len(json.loads(path.read_text())) == 80


def test_threads_lose_nothing(file, entry):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: file.update({str(number): entry}), range(40)))
    assert len(file.known()) == 40


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"items": 3}', '{"items": {"inputs": {}}}', "\x00"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, kind, text):
    path = tmp_path / "entries.json"
    path.write_text(text)
    with pytest.raises(BadInputError, match=rf"entries\.json is damaged: delete it; {kind.remedy}\."):
        kind(filepath=str(path)).known()


def test_nothing_is_left_beside_the_file(tmp_path, kind, entry):
    kind(filepath=str(tmp_path / "entries.json")).update({"items": entry})
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == [".entries.json.lock", "entries.json"]
