"""MLflow around a run: its store is opened by one process at a time, its runs have names and are closed."""

import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from tailor.mlflow_server import first_contact
from tailor.registry import runs, store

log = logging.getLogger(__name__)


class RunHooks:
    """What kedro-mlflow leaves to the project; without it, these do nothing."""

    _config: Any = None
    _about: tuple[str, int] = ("", 0)
    _project = Path()

    @hook_impl(wrapper=True, tryfirst=True)
    def after_context_created(self, context: KedroContext) -> Generator[None, Any, Any]:
        """Let kedro-mlflow open the store while no other run does."""
        with store.one_at_a_time(store.tracking_uri(context.config_loader)), first_contact():
            result = yield
        self._config, self._project = getattr(context, "mlflow", None), Path(context.project_path)
        self._about = str(context.params["model_name"]), int(context.params["seed"])
        return result

    @hook_impl(wrapper=True, tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> Generator[None, Any, Any]:
        """Check where artifacts go, close what a kill left open; name the run and tag it with its process.

        Raises:
            ConfigurationError: the artifacts of the experiment are gone.
        """
        if self._config is not None:
            self._prepare(list(run_params.get("pipeline_names") or []))
        result = yield
        runs.mark_run()
        return result

    @hook_impl(tryfirst=True)
    def before_node_run(self, inputs: dict[str, Any]) -> None:
        """Keep MLflow from logging all parameters once more under ``parameters.*``, where a node reads them all.

        Kedro hands hooks a copy of the inputs: the node still gets its own.
        """
        project = inputs.pop("parameters", None)
        if project and project.get("plugins"):
            inputs["params:plugins"] = project["plugins"]

    def _prepare(self, pipelines: list[str]) -> None:
        tracking = self._config.tracking
        experiment = mlflow.get_experiment_by_name(tracking.experiment.name)
        if experiment is not None:
            warning = store.check_artifacts(experiment, mlflow.get_tracking_uri(), self._project)
            if warning:
                log.warning(warning)
            runs.close_left_open(experiment.experiment_id)
        if tracking.run.name is None:
            tracking.run.name = runs.run_name(*self._about, pipelines)
