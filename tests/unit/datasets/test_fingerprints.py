"""Fingerprints of outputs, written by several at once."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tailor.datasets.fingerprints import FingerprintsDataset, latest
from tailor.errors import BadInputError

WRITER = """
import sys
from tailor.datasets.fingerprints import FingerprintsDataset
file, who = FingerprintsDataset(filepath=sys.argv[1]), sys.argv[2]
for number in range(40):
    file.update({f"{who}{number}": {"inputs": {}, "identity": who, "run": who, "made_at": "1"}})
"""


def entry(at="1", identity="a"):
    return {"inputs": {"code": "c"}, "identity": identity, "run": "r", "made_at": at}


@pytest.fixture
def file(root):
    return FingerprintsDataset(filepath=f"{root}/data/fingerprints.json")


def test_an_absent_file_has_none_and_what_is_written_comes_back(file):
    assert file.known() == {}
    file.update({"items": entry()})
    file.update({"users": entry(identity="b")})
    assert file.load() == {"items": entry(), "users": entry(identity="b")}


def test_of_two_entries_the_later_is_kept(file):
    file.update({"items": entry("2", "late")})
    file.update({"items": entry("1", "early")})
    assert file.known()["items"]["identity"] == "late"
    assert latest({"x": entry("1")}, {"x": entry("3", "new"), "y": entry()})["x"]["identity"] == "new"


def test_two_runs_at_once_lose_nothing(tmp_path):
    path = tmp_path / "fingerprints.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), who]) for who in "ab"]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0]
    assert len(json.loads(path.read_text())) == 80


def test_threads_lose_nothing(file):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: file.update({str(number): entry()}), range(40)))
    assert len(file.known()) == 40


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"items": 3}', '{"items": {"inputs": {}}}'])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, text):
    path = tmp_path / "fingerprints.json"
    path.write_text(text)
    with pytest.raises(
        BadInputError, match=r"fingerprints.json is damaged: delete it; the next resume then runs every"
    ):
        FingerprintsDataset(filepath=str(path)).known()


def test_nothing_is_left_beside_the_file(tmp_path):
    FingerprintsDataset(filepath=str(tmp_path / "fingerprints.json")).update({"items": entry()})
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == [".fingerprints.json.lock", "fingerprints.json"]
