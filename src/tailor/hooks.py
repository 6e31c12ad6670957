"""What the project checks before a run and says after it."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.io.data_catalog import SharedMemoryDataCatalog
from kedro.pipeline import Pipeline
from rich.console import Console

from tailor import staleness
from tailor.config import parse
from tailor.environment import check_configuration, check_environment
from tailor.errors import BadInputError, ConfigurationError
from tailor.mlflow_server import quiet
from tailor.models import checkpoints
from tailor.options import ProjectOptions
from tailor.terminal import FinishedRun, print_run

_TRACKING_URI = "MLFLOW_TRACKING_URI"
#: Remembers what a session exported; in the environment, since reloading the project forgets everything else.
_EXPORTED = "TAILOR_EXPORTED_TRACKING_URI"
#: Raw tables that are optional, and the pages that describe them.
_PAGES = {"raw_policy_log": "docs/pipelines/offpolicy.md"}
#: Of inputs that do not exist, so many are named.
_NAMED = 3


class ProjectHooks:
    """Environment, parameters and inputs are checked before the first node; what was found is printed after."""

    _tuned = ""
    _env: str | None = None

    @hook_impl(wrapper=True, tryfirst=True)
    def after_context_created(self, context: KedroContext) -> Generator[None, Any, Any]:
        """Refuse an environment that does not exist, and any parameter that does not; then let the plugins set up.

        kedro-mlflow exports the tracking URI it was configured with. In a second session of the process (a notebook
        that changes its environment) that would pass for the user's own MLFLOW_TRACKING_URI, so it is taken back first.

        Raises:
            ConfigurationError: naming the environment or parameter, and what exists.
        """
        check_environment(context.config_loader, context.env)
        check_configuration(context.params)
        checkpoints.set_folder(context.params.get("hybrid_cf", {}).get("checkpoints"))
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        quiet()
        exported = os.environ.pop(_EXPORTED, None)
        if exported and os.environ.get(_TRACKING_URI) == exported:
            del os.environ[_TRACKING_URI]
        given = os.environ.get(_TRACKING_URI)
        self._tuned, self._env = _tuned_options(context), context.env
        result = yield
        if not given and _TRACKING_URI in os.environ:
            os.environ[_EXPORTED] = os.environ[_TRACKING_URI]
        return result

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse to start where nodes cannot run; say which tuned options are in force.

        Raises:
            BadInputError: an input of the pipelines does not exist; naming its file and what makes it.
            ConfigurationError: the runner starts other processes.
        """
        if isinstance(catalog, SharedMemoryDataCatalog):
            raise ConfigurationError(
                "ParallelRunner cannot run Tailor: nodes hand models on in memory and write to one MLflow run. "
                "Leave --runner out; the libraries use all cores."
            )
        files = {name: _path(catalog, name) for name in sorted(pipeline.inputs())}
        missing = {name: path for name, path in files.items() if path and not catalog.exists(name)}
        if missing:
            raise BadInputError(_missing(missing))
        Console().print(self._tuned, markup=False, highlight=False, soft_wrap=True)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print what was repaired, where the pages are, how the models compare, and what was registered."""
        console = Console(width=None if Console().is_terminal or "COLUMNS" in os.environ else 120)
        made = staleness.made_in(run_params, pipeline, staleness.file_of(catalog).known())
        if not made:
            console.print("Nothing to do: every output is up to date.")
        options = parse(ProjectOptions, catalog.load("parameters"), "").evaluation
        run = FinishedRun(
            outputs=made,
            load=catalog.load,
            path=lambda name: _path(catalog, name),
            registered=options.registered,
            fit_on=options.fit_on,
            max_users=options.max_users,
            next_steps=_next_steps(self._env),
        )
        print_run(run, console)


def _missing(files: dict[str, str]) -> str:
    """Say which inputs do not exist, and what to do."""
    named = [f"{name} ({path})" for name, path in list(files.items())[:_NAMED]]
    more = [f"{len(files) - _NAMED} more"] if len(files) > _NAMED else []
    remedies = dict.fromkeys(_remedy(name) for name in files)
    return f"Inputs that do not exist: {', '.join([*named, *more])}: {'; '.join(remedies)}."


def _remedy(name: str) -> str:
    if name in _PAGES:
        return f"{_PAGES[name]} says what belongs into that file"
    if name.startswith("raw_"):
        return "put the raw files there (docs/catalogue.md)"
    if name.startswith("spark_"):
        return "docs/how-to/spark.md says what writes it (--env=spark)"
    return "run the pipeline that makes them first, or `kedro run` for all"


def _next_steps(env: str | None) -> tuple[str, ...]:
    """Return the commands that make sense after a run: those of the Makefile where there is one."""
    if Path("Makefile").is_file():
        name = f" ENV={env}" if env else ""
        return (f"Serve it: make serve{name}", f"Runs and versions: make mlflow{name}")
    return (f"Serve it: tailor serve{f' --env={env}' if env else ''}",)


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
    config = catalog.config_resolver.resolve_pattern(name)
    path = catalog[name].filepath if "domains" in config else config.get("filepath")  # type: ignore[attr-defined]
    return None if not path else path if "://" in path else _relative(Path(path))


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
