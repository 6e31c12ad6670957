"""``tailor backtest``: date by date, then the mean; what is done stays, and an interrupted backtest goes on."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from tailor.backtesting import project as projects
from tailor.backtesting.project import Project
from tailor.backtesting.wording import describe_date, describe_mean
from tailor.data.until import as_date
from tailor.environment import read_environment
from tailor.errors import ConfigurationError
from tailor.evaluation.backtest import (
    BacktestOptions,
    DateResult,
    lay_windows,
    mean_over_dates,
    table_to_json,
    to_frame,
)
from tailor.files import write_aside
from tailor.source_code import package_hash, plugins_hash
from tailor.types import JsonObject, Parameters

_FOLDER = Path("08_reporting", "backtest")
Say = Callable[[str], object]


def backtest(
    environment: str | None,
    conf_source: str,
    project_path: Path,
    options: JsonObject,
    seed: int | None = None,
    say: Say = print,
) -> list[DateResult]:
    """Judge the recipe of an environment at several dates, print what each shows, and write the tables.

    Args:
        environment: folder of conf/; None for the default.
        conf_source: folder or archive of the configuration.
        project_path: folder that relative paths start from.
        options: of :class:`BacktestOptions`.
        seed: in place of the environment's own.
        say: takes one line or table.

    Returns:
        What every date showed, the earliest first; also in ``08_reporting/backtest.parquet`` and ``backtest.json``.

    Raises:
        BadInputError: the catalogue has no times, or too few rows at a date.
        ConfigurationError: an option, parameter or environment does not exist or does not fit.
    """
    asked = read_options(options)
    data = project_path / read_environment(environment, conf_source).data
    with _quiet():
        project = Project.read(environment, conf_source, project_path)
        if seed is not None:
            project = replace(project, parameters=project.parameters | {"seed": seed})
        results = _measure_dates(project, asked, data / _FOLDER, say)
    say(describe_mean(results, asked))
    _write(results, asked, data / _FOLDER.parent)
    say(f"Written: {data / _FOLDER.parent / 'backtest.parquet'} and backtest.json")
    return results


def _measure_dates(project: Project, asked: BacktestOptions, folder: Path, say: Say) -> list[DateResult]:
    """Measure the dates that are not measured yet, one after the other."""
    results = []
    for number, windows in enumerate(lay_windows(project.times(project.parameters), asked), start=1):
        parameters = project.on(windows, asked)
        file = folder / f"{number}_{_key(project, parameters, asked)}.json"
        if not file.is_file():
            say(f"Date {number} of {asked.dates}, {as_date(windows.test)}: choosing and fitting …")
        result = _known(file) or _measure(project, parameters, asked, as_date(windows.test), file)
        say(describe_date(result, number, asked))
        results.append(result)
    return results


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the pipelines of the dates log warnings alone."""
    loggers = [logging.getLogger(name) for name in ("kedro", "tailor")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)


def read_options(options: JsonObject) -> BacktestOptions:
    """Read what was asked for on the command line.

    Raises:
        ConfigurationError: it does not fit.
    """
    try:
        return BacktestOptions.model_validate(options)
    except ValidationError as error:
        problems = [
            f"{''.join(f'{part}: ' for part in problem['loc'])}{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise ConfigurationError(f"backtest: {'; '.join(problems)}.") from None


def _known(file: Path) -> DateResult | None:
    """Return what was measured before, with the same data, parameters and code."""
    return DateResult.from_json(json.loads(file.read_text())) if file.is_file() else None


def _measure(project: Project, parameters: Parameters, asked: BacktestOptions, until: str, file: Path) -> DateResult:
    start = time.perf_counter()
    measured = projects.run(project, parameters, asked.k)
    result = DateResult(until=until, seconds=round(time.perf_counter() - start, 1), **measured)
    with write_aside(file) as aside:
        aside.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    return result


def _key(project: Project, parameters: Parameters, asked: BacktestOptions) -> str:
    """Hash what a date's figures depend on: raw tables, parameters, length of lists, code."""
    tables = [pd.util.hash_pandas_object(table.astype("str")).to_numpy().tobytes() for table in project.raw.values()]
    code = [package_hash(), plugins_hash(parameters.get("plugins", []))]
    digest = hashlib.sha256(json.dumps([parameters, asked.k, code], sort_keys=True, default=str).encode())
    for table in tables:
        digest.update(table)
    return digest.hexdigest()[:12]


def _write(results: list[DateResult], asked: BacktestOptions, folder: Path) -> None:
    with write_aside(folder / "backtest.parquet") as aside:
        to_frame(results).to_parquet(aside, index=False)
    dates = [result.to_json() for result in results]
    result = {"options": asked.model_dump(), "mean": table_to_json(mean_over_dates(results)), "dates": dates}
    with write_aside(folder / "backtest.json") as aside:
        aside.write_text(json.dumps(result, indent=2, default=str) + "\n")
