"""Errors that say what was wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class TailorError(ValueError):
    """Base of every error Tailor raises on purpose."""


class BadInputError(TailorError):
    """A file, table or field that cannot be used as it is."""


class ConfigurationError(TailorError):
    """An option, parameter, pipeline or environment that does not exist or does not fit."""


class DownloadError(TailorError):
    """The packaged data could not be fetched, or is not what was pinned."""


#: Characters of a word that are compared: what is longer is no slip of the pen.
_COMPARED = 100


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(str(word)[:_COMPARED], [str(k) for k in known], n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
