"""Who is left out of the data, and under which names the others stand: keyed hashes in the place of ids.

A hash without a key hides nobody: all ids of a shop are hashed in a second. HMAC-SHA256 (RFC 2104) with a secret key
can be compared only by who has the key.
"""

import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.cells import read_id
from tailor.data.ids import IdMap
from tailor.data.quality import QualityReport
from tailor.errors import BadInputError, ConfigurationError

#: Names the key of the suppression list, and that of pseudonyms.
SUPPRESSION_KEY, PSEUDONYM_KEY = "TAILOR_SUPPRESSION_KEY", "TAILOR_PSEUDONYM_KEY"
#: Characters of a key: fewer could be guessed.
LEAST_KEY = 32
HOW_TO_MAKE_A_KEY = "python -c 'import secrets; print(secrets.token_hex(32))'"
#: What the quality report says of rows that are left out.
SUPPRESSED = "of a person who is suppressed"
#: Characters of a pseudonym: 128 bits, so that of 10^9 people no two share one.
_PSEUDONYM = 32
_IS_PSEUDONYM = re.compile(f"[0-9a-f]{{{_PSEUDONYM}}}")
#: Characters by which a key is recognised.
_KEY_ID = 16


def key_of_environment(variable: str, what_for: str) -> bytes:
    """Return the secret key that an environment variable holds.

    Args:
        variable: its name.
        what_for: what cannot be done without it, for the error.

    Raises:
        ConfigurationError: it is not set, or too short to be a secret.
    """
    key = os.environ.get(variable, "").strip()
    if len(key) >= LEAST_KEY:
        return key.encode()
    state = f"has {len(key)} characters, at least {LEAST_KEY} are needed" if key else "is not set"
    raise ConfigurationError(
        f"{variable} {state}: {what_for}. Set it to the key that was used before, or make one with "
        f"`{HOW_TO_MAKE_A_KEY}` and keep it as you keep a password."
    )


def keyed_hash(key: bytes, text: str) -> str:
    """Return the HMAC-SHA256 of a text, 64 hexadecimal digits.

    >>> keyed_hash(b"Jefe", "what do ya want for nothing?")  # RFC 4231, test case 2
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
    """
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def key_id(key: bytes) -> str:
    """Return what tells one key from another and says nothing else of it, 16 hexadecimal digits."""
    return keyed_hash(key, "name of this key")[:_KEY_ID]


@dataclass(frozen=True)
class SuppressionList:
    """People who asked to be forgotten, by keyed hash.

    Example:
        >>> "u7" in SuppressionList.of(["u7"], b"k" * 32), "u8" in SuppressionList.of(["u7"], b"k" * 32)
        (True, False)
    """

    hashes: frozenset[str] = frozenset()
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, user_ids: Iterable[str], key: bytes) -> Self:
        """Return the list of these people."""
        return cls(frozenset(keyed_hash(key, one) for one in user_ids), key)

    def __len__(self) -> int:
        """Return how many hashes it holds."""
        return len(self.hashes)

    def __contains__(self, user_id: object) -> bool:
        """Tell whether a person is suppressed."""
        return bool(self.hashes) and isinstance(user_id, str) and keyed_hash(self.key, user_id) in self.hashes

    def mask(self, user_ids: pd.Series | NDArray[np.object_]) -> NDArray[np.bool_]:
        """Mark the ids of people who are suppressed (n,); missing ids are nobody's."""
        if not self.hashes:
            return np.zeros(len(user_ids), dtype=bool)
        codes, different = pd.factorize(np.asarray(user_ids, dtype=object))
        marked = np.array([one in self for one in different], dtype=bool)
        return np.asarray(np.append(marked, False)[codes])


#: A list that leaves nobody out.
NOBODY = SuppressionList()


@dataclass(frozen=True)
class Pseudonyms:
    """Keyed hashes that stand for people from the first table on."""

    key: bytes = field(repr=False)

    @classmethod
    def of_environment(cls, expected: str = "") -> Self:
        """Take the key from the environment.

        Args:
            expected: :func:`key_id` of the key that a model was made with; empty: any.

        Raises:
            ConfigurationError: there is no key, or it is another one.
        """
        key = key_of_environment(PSEUDONYM_KEY, "people go by pseudonyms here (data_processing.pseudonyms)")
        if expected and key_id(key) != expected:
            raise ConfigurationError(
                f"{PSEUDONYM_KEY} is not the key that this model's pseudonyms were made with, so it would know nobody: "
                "set that key, or run `kedro run` with the new one."
            )
        return cls(key)

    def of(self, user_id: str) -> str:
        """Return the pseudonym of a person, 32 hexadecimal digits."""
        return keyed_hash(self.key, user_id)[:_PSEUDONYM]

    def of_all(self, user_ids: pd.Series) -> pd.Series:
        """Return the pseudonym of each id, in the place of the ids."""
        codes, different = pd.factorize(user_ids)
        made = np.array([self.of(str(one)) for one in different], dtype=object)
        return pd.Series(made[codes], index=user_ids.index, name=user_ids.name, dtype=user_ids.dtype)


@dataclass(frozen=True)
class People:
    """Who is left out, and whether the others go by pseudonyms."""

    suppressed: SuppressionList = NOBODY
    pseudonyms: Pseudonyms | None = None
    prefix: str = ""
    """Stands before ids when tables are read: the domain whose users these are."""

    def read(self, data: pd.DataFrame, table: str, report: QualityReport) -> pd.DataFrame:
        """Return a table without the rows of people who are suppressed, the others by the names they go by.

        The name is the prefix and the id, or the pseudonym of both where pseudonyms are in use.

        Args:
            data: with user_id, no id missing.
            table: its name, for the report.
            report: counts the rows; it names neither ids nor lines.
        """
        names = self.prefix + data[c.USER]
        gone = pd.Series(self.suppressed.mask(names), index=data.index)
        if self.pseudonyms is not None:
            names = self.pseudonyms.of_all(names)
            gone |= self.suppressed.mask(names)
        data = data.assign(**{c.USER: names})
        if gone.any():
            report.add(table, SUPPRESSED, gone, "dropped", name_lines=False)
        return data[~gone] if gone.any() else data

    def hides(self, user_id: str) -> bool:
        """Tell whether a person is suppressed, by whichever of the names."""
        return bool(self.suppressed) and any(name in self.suppressed for name in self.names(user_id))

    def row(self, users: IdMap, user_id: str | None) -> int:
        """Return the row of a person who is asked for, -1 where nothing may be known of them.

        Tables of a catalogue with pseudonyms name people by these, so a pseudonym is taken as well as an id.

        Args:
            users: ids, or pseudonyms, of those who are known.
            user_id: as a caller writes it; None: nobody.
        """
        if user_id is None or self.hides(user_id):
            return -1
        row = -1 if self.pseudonyms is None else users.index(self.pseudonyms.of(user_id))
        return row if row >= 0 else users.index(user_id)

    def name(self, users: IdMap, user_id: str | None) -> str | None:
        """Return the name under which something may be recorded of a person, or read; None: nothing may.

        A pseudonym of a person who is known stays as it is: tables of a catalogue with pseudonyms name people so.

        Args:
            users: ids, or pseudonyms, of those who are known.
            user_id: as a caller writes it; None: nobody.

        Example:
            >>> hidden = People(SuppressionList.of(["u7"], b"k" * 32))
            >>> ALL_PEOPLE.name(IdMap([]), "u7"), hidden.name(IdMap([]), "u7")
            ('u7', None)
        """
        if user_id is None or self.hides(user_id):
            return None
        return user_id if self.pseudonyms is None or user_id in users else self.pseudonyms.of(user_id)

    def name_of_stored(self, users: IdMap, stored: str) -> str | None:
        """Return the name under which something that was recorded of a person may be taken in; None: nothing may.

        What was recorded before pseudonyms were in use stands under ids. What looks like a pseudonym is taken for one,
        unless it is the id of a person who is known.

        Args:
            users: ids, or pseudonyms, of those who are known.
            stored: as it was recorded.
        """
        name = self.name(users, stored)
        is_pseudonym = self.pseudonyms is not None and _IS_PSEUDONYM.fullmatch(stored) is not None
        return stored if is_pseudonym and name is not None and name not in users else name

    def names(self, user_id: str) -> list[str]:
        """Return every name that a person has here: the id, and the pseudonym where these are in use."""
        return [user_id] if self.pseudonyms is None else [user_id, self.pseudonyms.of(user_id)]


#: Nobody is left out, and ids are as they stand in the file.
ALL_PEOPLE = People()


def read_user_file(path: Path) -> list[str]:
    """Read ids of people from a text file, one a line; empty lines are passed over.

    Raises:
        BadInputError: there is no such file, or it holds no id.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise BadInputError(f"{path} cannot be read ({reason}): write one user_id a line into it.") from None
    ids = [read_id(line, f"a line of {path}") for line in lines]
    if not any(ids):
        raise BadInputError(f"{path} names nobody: write one user_id a line into it.")
    return [one for one in ids if one]
