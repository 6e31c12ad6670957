"""A unit of an experiment is a user or a session, and neither is taken for the other."""

import pytest

from tailor.data.units import is_session, unit_of


@pytest.mark.parametrize(
    ("user", "session", "unit", "of_session"),
    [("u1", None, "u1", False), ("u1", "s1", "u1", False), ("0", "", "0", False), ("", "s1", "", False)],
)
def test_a_user_stands_for_what_the_user_does_in_any_session(user, session, unit, of_session):
    assert unit_of(user, session) == unit
    assert is_session(unit) is of_session


def test_a_session_stands_for_who_has_no_id_and_is_no_user_of_the_same_name():
    unit = unit_of(None, "u1")
    assert is_session(unit)
    assert unit not in {unit_of("u1", None), unit_of(None, "u2")}
    assert unit_of(None, None) is None
