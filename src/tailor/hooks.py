"""What the project checks before a run and says after it."""

import math
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from rich.console import Console
from rich.table import Table

from tailor import staleness
from tailor.config import parse
from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.evaluation.tables import NOTHING
from tailor.options import ProjectOptions
from tailor.plugins import load_plugins
from tailor.serving.scenario import read_scenarios

_TRACKING_URI = "MLFLOW_TRACKING_URI"
#: Remembers what a session exported; in the environment, since reloading the project forgets everything else.
_EXPORTED = "TAILOR_EXPORTED_TRACKING_URI"


#: Printed at the end of a run that made them.
_TABLES = {
    "data_accounts": "Rows of the raw tables",
    "data_quality": "Skipped, dropped, repaired, noticed",
    "update_accounts": "Rows of the new interactions",
    "update_quality": "Skipped, dropped, repaired, noticed",
    "summary": "Test figures, full ranking",
    "tuning_summary": "Best on validation: hybrid_cf.trials before, the search after",
}


class ProjectHooks:
    """Environment, parameters and inputs are checked before the first node; the summary is printed after the last."""

    _tuned = ""

    @hook_impl(wrapper=True, tryfirst=True)
    def after_context_created(self, context: KedroContext) -> Generator[None, Any, Any]:
        """Refuse an environment that does not exist, and any parameter that does not; then let the plugins set up.

        kedro-mlflow exports the tracking URI it was configured with. In a second session of the process (a notebook
        that changes its environment) that would pass for the user's own MLFLOW_TRACKING_URI, so it is taken back first.

        Raises:
            ConfigurationError: naming the environment or parameter, and what exists.
        """
        conf = Path(context.config_loader.conf_source)
        known = sorted(folder.name for folder in conf.iterdir() if folder.is_dir())
        if context.env and context.env not in known:
            raise ConfigurationError(
                f"No environment '{context.env}': conf/{context.env} does not exist.{did_you_mean(context.env, known)} "
                f"Known: {', '.join(known)}. For an own catalogue: make new NAME={context.env}."
            )
        (conf / "local").mkdir(exist_ok=True)
        load_plugins(context.params.get("plugins", []))
        read_scenarios(parse(ProjectOptions, context.params, "").evaluation.scenarios)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        exported = os.environ.pop(_EXPORTED, None)
        if exported and os.environ.get(_TRACKING_URI) == exported:
            del os.environ[_TRACKING_URI]
        given = os.environ.get(_TRACKING_URI)
        self._tuned = _tuned_options(context)
        result = yield
        if not given and _TRACKING_URI in os.environ:
            os.environ[_EXPORTED] = os.environ[_TRACKING_URI]
        return result

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse to start when an input of the pipelines to run does not exist; say which tuned options are in force.

        Raises:
            BadInputError: naming each missing file and what makes it.
        """
        missing = [
            f"  {name}: {_path(catalog, name)}"
            for name in sorted(pipeline.inputs())
            if _path(catalog, name) and not catalog.exists(name)
        ]
        if missing:
            raise BadInputError(
                "Inputs that do not exist:\n" + "\n".join(missing) + "\nRaw files: put them there (docs/catalogue.md). "
                "Anything else: run the pipeline that makes it first, or `kedro run` for all."
            )
        Console().print(self._tuned, markup=False, highlight=False, soft_wrap=True)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print what this run repaired, where its data card is, how its models compare, and what it registered."""
        console = Console(width=None if Console().is_terminal else 200)
        outputs = staleness.made_in(run_params, pipeline, staleness.file_of(catalog).known())
        if not outputs:
            console.print("Nothing to do: every output is up to date.")
        for name, title in _TABLES.items():
            if name in outputs:
                console.print(_table(catalog.load(name), title))
        if "data_card_page" in outputs:
            console.print(f"Data card: {_path(catalog, 'data_card_page')}", markup=False, soft_wrap=True)
        if "tuned_parameters" in outputs:
            console.print(_written(_path(catalog, "tuned_parameters")), markup=False, highlight=False, soft_wrap=True)
        if "promotion" in outputs:
            model = catalog.load("promotion")
            console.print(
                f"Registered [bold]{model['name']}[/] version {model['version']} as [bold]{model['alias']}[/]: "
                f'mlflow.pyfunc.load_model("models:/{model["name"]}@{model["alias"]}")'
            )
            for reason in model["reasons"]:
                console.print(f"  {model['decision']}: {reason}", markup=False)


def _tuned_options(context: KedroContext) -> str:
    """Say which file of tuned options is in force, and how to undo it."""
    loader: Any = context.config_loader
    file = Path(loader.conf_source) / (context.env or loader.default_run_env) / "parameters_tuned.yml"
    if not file.is_file():
        return "Tuned options: none; every model's option sets in hybrid_cf.trials are tried."
    tuned = context.params["tuned"]
    models = [*tuned["baselines"], *(name for name, options in tuned.items() if name != "baselines" and options)]
    return (
        f"Tuned options: {_relative(file)} is in force for {', '.join(models) or 'no model'}. "
        "Delete the file to try hybrid_cf.trials again."
    )


def _written(file: str | None) -> str:
    return f"Tuned options: {file} is in force from the next run on. Delete the file to try hybrid_cf.trials again."


def _path(catalog: DataCatalog, name: str) -> str | None:
    """Return the file of a dataset, None for what is no file (the model registry, an absent table)."""
    if name == "parameters" or name.startswith("params:"):
        return None if name in catalog.keys() else "no such parameter"  # noqa: SIM118  (patterns match any name)
    path = catalog.config_resolver.resolve_pattern(name).get("filepath")
    return None if path is None else path if "://" in path else _relative(Path(path))


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _table(frame: pd.DataFrame, title: str) -> Table:
    table = Table(title=title if len(frame) else f"{title}: nothing")
    for column in frame.columns:
        table.add_column(str(column), overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*map(_cell, row))
    return table


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return NOTHING if math.isnan(cell) else f"{cell:.3f}"
    return str(cell)
