"""Keyed hashes in the place of ids: who is left out, and under which names the others stand."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.ids import IdMap
from tailor.data.people import (
    PSEUDONYM_KEY,
    SUPPRESSED,
    SUPPRESSION_KEY,
    People,
    Pseudonyms,
    SuppressionList,
    key_id,
    key_of_environment,
    keyed_hash,
    read_user_file,
)
from tailor.data.quality import QualityReport
from tailor.errors import BadInputError, ConfigurationError

KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_hash_is_hmac_sha256():
    """RFC 4231, test cases 1 and 2."""
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert keyed_hash(b"\x0b" * 20, "Hi There") == expected
    assert keyed_hash(b"Jefe", "what do ya want for nothing?").startswith("5bdcc146bf60754e")


def test_a_list_knows_its_people_and_holds_no_id():
    listed = SuppressionList.of(["u7", "ü"], KEY)
    assert "u7" in listed
    assert "ü" in listed
    assert "u8" not in listed
    assert None not in listed
    assert listed.hashes.isdisjoint({"u7", "ü"})
    assert "u7" not in SuppressionList(listed.hashes, OTHER)  # another key compares nothing
    assert KEY.decode() not in repr(listed)


def test_a_mask_marks_every_row_of_a_person_and_no_missing_id():
    ids = pd.Series(["u7", "u1", None, "u7", "u2"], dtype="str")
    assert SuppressionList.of(["u7"], KEY).mask(ids).tolist() == [True, False, False, True, False]
    assert SuppressionList().mask(ids).tolist() == [False] * 5
    assert SuppressionList.of(["u7"], KEY).mask(np.array([], dtype=object)).tolist() == []


@pytest.mark.parametrize(
    ("value", "words"),
    [("", "X_KEY is not set: why"), ("  ", "is not set"), ("k" * 31, "has 31 characters, at least 32")],
)
def test_a_key_that_is_no_secret_is_refused(monkeypatch, value, words):
    monkeypatch.setenv("X_KEY", value)
    with pytest.raises(ConfigurationError, match=words) as refused:
        key_of_environment("X_KEY", "why")
    assert "secrets.token_hex(32)" in str(refused.value)
    assert "k" * 31 not in str(refused.value)


def test_pseudonyms_tell_people_apart_and_the_key_decides(monkeypatch):
    names = Pseudonyms(KEY)
    ids = pd.Series(["u1", "u2", "u1"], index=[5, 6, 7], name="user_id", dtype="str")
    made = names.of_all(ids)
    assert made.tolist() == [names.of("u1"), names.of("u2"), names.of("u1")]
    assert made.index.tolist() == [5, 6, 7]
    assert made.dtype == ids.dtype
    assert len(names.of("u1")) == 32
    assert names.of("u1") != names.of("u2")
    assert names.of("u1") != Pseudonyms(OTHER).of("u1")
    monkeypatch.setenv(PSEUDONYM_KEY, KEY.decode())
    assert Pseudonyms.of_environment(key_id(KEY)) == names
    with pytest.raises(ConfigurationError, match=f"{PSEUDONYM_KEY} is not the key that this model's pseudonyms"):
        Pseudonyms.of_environment(key_id(OTHER))


def test_rows_of_a_suppressed_person_are_counted_and_point_at_nobody():
    report = QualityReport()
    data = pd.DataFrame({"user_id": pd.Series(["u1", "u7", "u1", "u7"], dtype="str"), "x": [1, 2, 3, 4]})
    read = People(SuppressionList.of(["u7"], KEY)).read(data, "interactions", report)
    assert read["x"].tolist() == [1, 3]
    (row,) = report.to_frame().to_dict("records")
    assert (row["problem"], row["action"], row["rows"]) == (SUPPRESSED, "dropped", 2)
    assert (row["lines"], row["examples"]) == ("", "")
    assert report.accounts()["dropped"].tolist() == [2]


def test_the_hash_of_the_id_leaves_out_whoever_goes_by_a_pseudonym():
    data = pd.DataFrame({"user_id": pd.Series(["u1", "u7"], dtype="str")})
    people = People(SuppressionList.of(["u7"], KEY), Pseudonyms(OTHER))
    assert people.read(data, "users", QualityReport())["user_id"].tolist() == [Pseudonyms(OTHER).of("u1")]


def test_a_person_is_looked_up_by_id_and_by_pseudonym_until_suppressed():
    names = Pseudonyms(OTHER)
    users = IdMap([names.of("u1"), names.of("u7")])
    people = People(pseudonyms=names)
    assert [people.row(users, one) for one in ("u1", "u7", "u8", None)] == [0, 1, -1, -1]
    assert people.row(users, names.of("u7")) == 1
    hidden = People(SuppressionList.of(people.names("u7"), KEY), names)
    assert [hidden.row(users, one) for one in ("u1", "u7", names.of("u7"))] == [0, -1, -1]
    assert People().row(IdMap(["u1"]), "u1") == 0
    assert People().names("u1") == ["u1"]


def test_a_name_is_a_pseudonym_once_whichever_name_asks():
    names = Pseudonyms(OTHER)
    users, people = IdMap([names.of("u1")]), People(pseudonyms=names)
    assert people.name(users, "u1") == people.name(users, names.of("u1")) == names.of("u1")
    assert people.name(users, "u2") == names.of("u2")
    assert people.name(users, None) is None


@pytest.mark.parametrize("listed", ["u7", Pseudonyms(OTHER).of("u7")])
def test_either_name_in_the_list_hides_who_asks_by_the_id(listed):
    names = Pseudonyms(OTHER)
    users = IdMap([names.of("u1"), names.of("u7")])
    people = People(SuppressionList.of([listed], KEY), names)
    assert people.row(users, "u7") == -1
    assert people.name(users, "u7") is None
    assert (people.hides("u7"), people.hides("u1")) == (True, False)
    data = pd.DataFrame({"user_id": pd.Series(["u1", "u7"], dtype="str")})
    assert people.read(data, "users", QualityReport())["user_id"].tolist() == [names.of("u1")]


def test_ids_of_a_file_are_read_as_ids_of_tables_are(tmp_path):
    file = tmp_path / "ids.txt"
    file.write_text("7.0\n\n  u8 \n")
    assert read_user_file(file) == ["7", "u8"]
    file.write_text("\n")
    with pytest.raises(BadInputError, match=r"ids\.txt names nobody: write one user_id a line"):
        read_user_file(file)
    with pytest.raises(BadInputError, match="cannot be read \\(No such file"):
        read_user_file(tmp_path / "none.txt")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError, match="it is not UTF-8"):
        read_user_file(file)


def test_the_variables_differ():
    """One key for both would let who serves pseudonyms read the list, and the other way round."""
    assert SUPPRESSION_KEY != PSEUDONYM_KEY
