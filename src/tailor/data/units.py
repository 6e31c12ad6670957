"""Whom an experiment deals out and counts: a user, or the session of somebody who has no id."""

#: Stands before a session in the place of a user: no id that is stored has it, so no session is taken for a user.
_OF_SESSION = "\x1f"


def unit_of(user_id: str | None, session_id: str | None) -> str | None:
    """Return what stands for who asked: the user, else the session; None where neither is known.

    Example:
        >>> unit_of("u1", "s1"), unit_of(None, "s1") == unit_of("s1", None), unit_of(None, None)
        ('u1', False, None)
    """
    if user_id is not None:
        return user_id
    return None if session_id is None else _OF_SESSION + session_id


def is_session(unit: str) -> bool:
    """Tell whether a unit is a session."""
    return unit.startswith(_OF_SESSION)
