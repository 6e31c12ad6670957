"""An MLflow server that does not answer: how long it is waited for, and what is said of it."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

#: MLflow asks again up to 7 times, 120 seconds each. At the first contact of a process this is enough.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
#: How each sentence begins.
SERVER = "The MLflow server"
_REQUEST = re.compile(r"API request to (?P<url>\w+://[^/\s]+)\S* failed with exception (?P<why>.*)", re.DOTALL)
_REFUSED = re.compile(r"API request to (?P<what>.*?failed with error code \d+)", re.DOTALL)
_REASON = re.compile(r"\[Errno -?\d+\] (?P<reason>[^\"')]+)|(?P<timeout>timed out)")


def quiet() -> None:
    """Keep MLflow from telling of every table it makes; call it after MLflow is imported, which sets its own level.

    ``MLFLOW_LOGGING_LEVEL`` wins.
    """
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.WARNING)


@contextmanager
def first_contact() -> Iterator[None]:
    """Give up on an MLflow server after half a minute, whatever variables of the environment say wins.

    A server that has answered once may be busy or restart: MLflow's own patience is for that.
    """
    ours = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    log = logging.getLogger("urllib3.connectionpool")  # it tells each try
    os.environ.update(ours)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        for name in ours:
            os.environ.pop(name, None)


def does_not_answer(error: BaseException) -> str:
    """Say in a sentence which MLflow server does not answer, or refuses; empty where an error is of another kind.

    >>> does_not_answer(ValueError("API request to http://a:9/x failed with exception [Errno 111] Connection refused"))
    'The MLflow server http://a:9 does not answer (Connection refused). Start it, or change MLFLOW_TRACKING_URI.'
    """
    failed, refused = _REQUEST.search(str(error)), _REFUSED.search(str(error))
    if failed:
        match = _REASON.search(failed["why"])
        reason = (match["reason"] or match["timeout"]) if match else failed["why"][:200]
        what = f"{SERVER} {failed['url']} does not answer ({reason.strip()}). Start it"
    elif refused:
        what = f"{SERVER} refuses a request: {refused['what']}. Look at its log"
    else:
        return ""
    return f"{what}, or change MLFLOW_TRACKING_URI."
